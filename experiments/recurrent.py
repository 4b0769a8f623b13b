"""A still image as a boring video (§3.4): two layers that hear each other and settle.

Smaller than the paper's net of 2 or 3 layers of 2000, and trained by chapter 06's loss
on pairs, Adam and a cosine decay instead of the paper's logistic loss and momentum.
"""

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from experiments.runner import NetTrial, autocast_bf16, score_errors
from ffutils import batches, cosine_decay, drop_pixels, normalize, sample_wrong_labels
from ffutils.recurrent import RecurrentNet, goodness_over_time, recurrent_loss
from ffutils.training import set_lr

TITLE = "Supervised, recurrent, top-down"
PAPER = {"section": "3.4", "test_error": 1.31}
CONFIGURATION = {
    "network": [784, 500, 500, 10],
    "paper_network": "2 or 3 layers of 2000",
    "damping": 0.3,
    "label_strength": 3,
    "steps": 8,
    "loss": "pair",
    "scale": 10,
    "negatives": "hard, softmax on one upward pass",
    "dropped_pixels": 0.3,
    "optimizer": "Adam",
    "lr": 0.002,
    "lr_schedule": "half cosine",
    "batch_size": 128,
    "epochs": 60,
    "precision": "bfloat16",  # of matrix products
    "eval_every": 15,
}
VARIANTS = {"default": {}}
SEEDS = (0,)
STAGES = ("test",)


class Trial(NetTrial):
    def __init__(self, configuration, split):
        c = self.configuration = configuration
        self.split = split
        device = split.images.device
        self.net = RecurrentNet(
            *c["network"], damping=c["damping"], label_strength=c["label_strength"]
        ).to(device)
        self.head = nn.Linear(sum(c["network"][1:-1]), 10, device=device)
        self.optimizers = [
            torch.optim.Adam(module.parameters(), lr=c["lr"])
            for module in (self.net, self.head)
        ]

    def autocast(self):
        half = self.configuration["precision"] == "bfloat16"
        return autocast_bf16(self.split.images.device, half)

    def train_epoch(self, epoch):
        c, total = self.configuration, 0
        set_lr(self.optimizers, c["lr"] * cosine_decay(epoch / c["epochs"]))
        net_optimizer, _ = self.optimizers
        with self.autocast():
            for x, y in batches(self.split, c["batch_size"]):
                x = drop_pixels(x, c["dropped_pixels"])
                wrong = self.negative_labels(x, y)
                loss = recurrent_loss(self.net, x, y, wrong, c["steps"], c["scale"])
                net_optimizer.zero_grad()
                loss.backward()
                net_optimizer.step()
                total += len(x) * loss.detach()
        return total / len(self.split.labels)

    def negative_labels(self, x, y):
        """Draw wrong labels from what a softmax makes of one upward pass.

        It learns from the batch as it goes.
        """
        with torch.no_grad():
            _, states = self.net.start(x)
        features = torch.cat([normalize(h) for h in states], dim=1)
        scores = self.head(features).float()
        self.optimizers[1].zero_grad()
        cross_entropy(scores, y).backward()
        self.optimizers[1].step()
        return sample_wrong_labels(scores.detach(), y)

    def errors(self, split):
        """Of each layer and of all at the paper's iterations 3 to 5; of all at each."""
        with self.autocast():
            values = goodness_over_time(
                self.net, split.images, self.configuration["steps"]
            )  # (images, labels, layers, steps)
        layers = {
            f"layer {k + 1}": values[:, :, k, 2:5].sum(dim=2)
            for k in range(values.shape[2])
        }
        layers["sum of all layers"] = values[:, :, :, 2:5].sum(dim=(2, 3))
        iterations = {
            f"iteration {t + 1}": values[:, :, :, t].sum(dim=2)
            for t in range(values.shape[3])
        }
        return {
            "error": score_errors(layers, split.labels),
            "error_by_iteration": score_errors(iterations, split.labels),
        }

    def state_dict(self):
        return super().state_dict() | {"head": self.head.state_dict()}

    def load_state_dict(self, state):
        super().load_state_dict(state)
        self.head.load_state_dict(state["head"])
