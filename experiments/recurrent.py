"""A still image as a boring video (§3.4): two layers that listen up and down, settling for eight steps.

Smaller than the paper's net of 2 or 3 layers of 2000, and trained by chapter 06's loss on pairs, Adam and
a cool-down instead of the paper's logistic loss and momentum.
"""

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from experiments.runner import NetTrial, half_precision
from ffutils import batches, draw_wrong, drop_pixels, error_rate, normalize
from ffutils.recipe import cool_down
from ffutils.recurrent import RecurrentNet, goodness_over_time, recurrent_loss
from ffutils.training import set_lr

TITLE = "Supervised, recurrent, top-down"
PAPER = {"section": "3.4", "test error": 1.31}
CONFIGURATION = {
    "network": [784, 500, 500, 10],
    "paper's size": "2 or 3 layers of 2000",
    "damping": 0.3,
    "label strength": 3,
    "steps": 8,
    "loss": "pair",
    "scale": 10,
    "negatives": "hard, by a softmax on one pass upwards",
    "dropped pixels": 0.3,
    "optimizer": "Adam",
    "lr": 0.002,
    "schedule": "half a cosine",
    "batch size": 128,
    "epochs": 60,
    "matrix products": "bfloat16",
    "judge every": 15,
}
VARIANTS = {"": {}}
SEEDS = (0,)
STAGES = ("test",)


class Trial(NetTrial):
    def __init__(self, configuration, split):
        c = self.configuration = configuration
        self.split = split
        device = split.images.device
        self.net = RecurrentNet(*c["network"], damping=c["damping"], strength=c["label strength"]).to(device)
        self.head = nn.Linear(sum(c["network"][1:-1]), 10, device=device)
        self.optimizers = [torch.optim.Adam(module.parameters(), lr=c["lr"]) for module in (self.net, self.head)]

    def train_epoch(self, epoch):
        c = self.configuration
        set_lr(self.optimizers, c["lr"] * cool_down(epoch / c["epochs"]))
        net_optimizer, _ = self.optimizers
        with half_precision(self.split.images.device, c["matrix products"] == "bfloat16"):
            for x, y in batches(self.split, c["batch size"]):
                x = drop_pixels(x, c["dropped pixels"])
                loss = recurrent_loss(self.net, x, y, self.hard_negatives(x, y), c["steps"], c["scale"])
                net_optimizer.zero_grad()
                loss.backward()
                net_optimizer.step()

    def hard_negatives(self, x, y):
        """Draw wrong labels from what a softmax makes of one pass upwards; it learns from the batch as it goes."""
        with torch.no_grad():
            _, states = self.net.start(x)
        scores = self.head(torch.cat([normalize(h.float()) for h in states], dim=1)).float()
        self.optimizers[1].zero_grad()
        cross_entropy(scores, y).backward()
        self.optimizers[1].step()
        return draw_wrong(scores.detach(), y)

    def errors(self, split):
        """Of the goodness of each layer and of all, at the paper's iterations 3 to 5; of all at each iteration."""
        with half_precision(split.images.device, self.configuration["matrix products"] == "bfloat16"):
            found = goodness_over_time(self.net, split.images, self.configuration["steps"])
        layers = {f"layer {k + 1}": found[:, :, k, 2:5].sum(dim=2) for k in range(found.shape[2])}
        steps = {f"iteration {t + 1}": found[:, :, :, t].sum(dim=2) for t in range(found.shape[3])}
        return {
            "error": self.judged(layers | {"all layers": found[:, :, :, 2:5].sum(dim=(2, 3))}, split.labels),
            "error by iteration": self.judged(steps, split.labels),
        }

    @staticmethod
    def judged(sums, labels):
        return {key: round(error_rate(sum.argmax(dim=1), labels), 2) for key, sum in sums.items()}

    def state_dict(self):
        return super().state_dict() | {"head": self.head.state_dict()}

    def load_state_dict(self, state):
        super().load_state_dict(state)
        self.head.load_state_dict(state["head"])
