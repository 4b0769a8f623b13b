"""The paper's supervised experiment (§3.3): 4 layers of 2000, logistic loss, hard negatives from a neutral label.

What the paper leaves out is taken from Hinton's published Matlab code: inputs of RMS 1, a threshold of 1 per unit, all
layers trained on every batch of 100, momentum 0.9, a learning rate that stays for half the epochs and then falls to 0.
His code also has a weak peer normalisation here, which the paper does not mention for this experiment; we leave it out.
"""

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from experiments.runner import NetTrial, half_precision
from ffutils import FFNet, logistic_loss, neutral, normalize
from ffutils.recipe import draw_wrong
from ffutils.training import set_lr, train_epoch

TITLE = "Supervised, the paper's recipe"
PAPER = {"section": "3.3", "test error": 1.36}
CONFIGURATION = {
    "network": [784, 2000, 2000, 2000, 2000],
    "loss": "logistic, width x (goodness - 1)",
    "negatives": "hard, by a softmax on layers 2 to 4 from the neutral label",
    "optimizer": "SGD, momentum 0.9, dampening 0.9",
    "lr": 0.01,
    "weight decay": 0.001,
    "lr of the softmax": 0.1,
    "weight decay of the softmax": 0.003,
    "schedule": "constant for half the epochs, then linear to 0",
    "batch size": 100,
    "epochs": 60,
    "matrix products": "bfloat16",
    "judge every": 10,
}
VARIANTS = {"": {}}
SEEDS = (0,)
STAGES = ("test",)


class Trial(NetTrial):
    def __init__(self, configuration, split):
        self.configuration, self.split = configuration, split
        device = split.images.device
        widths = configuration["network"]
        self.net = FFNet(*widths).to(device)
        for layer in self.net.layers:
            nn.init.normal_(layer.weight, std=layer.in_features**-0.5)
        self.head = nn.Linear(sum(widths[2:]), 10, device=device)
        self.optimizers = [damped_sgd(layer, configuration["weight decay"]) for layer in self.net.layers]
        self.optimizers.append(damped_sgd(self.head, configuration["weight decay of the softmax"]))

    def train_epoch(self, epoch):
        c = self.configuration
        factor = constant_then_linear(epoch, c["epochs"])
        *layers, head = self.optimizers
        set_lr(layers, c["lr"] * factor)
        set_lr([head], c["lr of the softmax"] * factor)
        with half_precision(self.split.images.device, c["matrix products"] == "bfloat16"):
            train_epoch(
                self.net, layers, self.split, list(range(len(layers))), c["batch size"],
                float_loss, self.hard_negatives, progress=False,
            )  # fmt: skip

    def hard_negatives(self, net, x, y):
        """Draw wrong labels in proportion to the softmax's belief in them, and train the softmax on the way."""
        with torch.no_grad():
            seen = torch.cat([normalize(h.float()) for h in net(neutral(x))[1:]], dim=1)
        scores = self.head(seen).float()
        self.optimizers[-1].zero_grad()
        cross_entropy(scores, y).backward()
        self.optimizers[-1].step()
        return draw_wrong(scores.detach(), y)

    def state_dict(self):
        return super().state_dict() | {"head": self.head.state_dict()}

    def load_state_dict(self, state):
        super().load_state_dict(state)
        self.head.load_state_dict(state["head"])


def float_loss(positive, negative):
    """A goodness needs more than the three digits of bfloat16."""
    return logistic_loss(positive.float(), negative.float())


def damped_sgd(module, weight_decay):
    """Gradient descent with the momentum of Hinton's code: the average of about the last ten gradients."""
    optimizer = torch.optim.SGD(module.parameters(), lr=0.0, momentum=0.9, dampening=0.9, weight_decay=weight_decay)
    for parameter in module.parameters():  # otherwise PyTorch takes the first step without the dampening
        optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    return optimizer


def constant_then_linear(epoch, epochs):
    """The factor on the learning rate: 1 for half the epochs, then in a straight line towards 0."""
    return min(1, (1 + 2 * (epochs - epoch - 1)) / epochs)
