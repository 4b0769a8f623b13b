"""The paper's supervised experiment (§3.3): 4 layers of 2000 and the logistic loss.

Its negatives are hard, from a pass with a neutral label. What the paper leaves out is
taken from Hinton's published Matlab code: inputs of RMS 1, a threshold of 1 per unit,
all layers trained on every batch of 100, momentum 0.9, a learning rate that stays for
half the epochs and then falls to 0. His code also has a weak peer normalisation here,
which the paper does not mention for this experiment; we leave it out.
"""

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from experiments.runner import NetTrial, autocast_bf16
from ffutils import FFNet, neutral, normalize, sample_wrong_labels, train_epoch
from ffutils.training import set_lr

TITLE = "Supervised, the paper's recipe"
PAPER = {"section": "3.3", "test_error": 1.36}
CONFIGURATION = {
    "network": [784, 2000, 2000, 2000, 2000],
    "loss": "logistic, width x (goodness - 1)",
    "negatives": "hard, softmax on layers 2 to 4 from the neutral label",
    "optimizer": "SGD, momentum 0.9, dampening 0.9",
    "lr": 0.01,
    "weight_decay": 0.001,
    "softmax_lr": 0.1,
    "softmax_weight_decay": 0.003,
    "lr_schedule": "constant for half the epochs, then linear to 0",
    "batch_size": 100,
    "epochs": 60,
    "precision": "bfloat16",  # of matrix products
    "eval_every": 10,
}
VARIANTS = {"default": {}}
SEEDS = (0,)
STAGES = ("test",)


class Trial(NetTrial):
    def __init__(self, configuration, split):
        c = self.configuration = configuration
        self.split = split
        device = split.images.device
        self.net = FFNet(*c["network"]).to(device)
        for layer in self.net.layers:
            nn.init.normal_(layer.weight, std=layer.in_features**-0.5)
        self.head = nn.Linear(sum(c["network"][2:]), 10, device=device)
        layers = self.net.layers
        self.optimizers = [damped_sgd(layer, c["weight_decay"]) for layer in layers]
        self.optimizers.append(damped_sgd(self.head, c["softmax_weight_decay"]))

    def train_epoch(self, epoch):
        c = self.configuration
        factor = constant_then_linear(epoch, c["epochs"])
        *layers, head = self.optimizers
        set_lr(layers, c["lr"] * factor)
        set_lr([head], c["softmax_lr"] * factor)
        with autocast_bf16(self.split.images.device, c["precision"] == "bfloat16"):
            return train_epoch(
                self.net, layers, self.split, list(range(len(layers))), c["batch_size"],
                negative_labels=self.negative_labels,
            )  # fmt: skip

    def negative_labels(self, net, x, y):
        """Draw wrong labels as a softmax believes in them, and train it on the way."""
        with torch.no_grad():
            features = torch.cat([normalize(h) for h in net(neutral(x))[1:]], dim=1)
        scores = self.head(features).float()
        self.optimizers[-1].zero_grad()
        cross_entropy(scores, y).backward()
        self.optimizers[-1].step()
        return sample_wrong_labels(scores.detach(), y)

    def state_dict(self):
        return super().state_dict() | {"head": self.head.state_dict()}

    def load_state_dict(self, state):
        super().load_state_dict(state)
        self.head.load_state_dict(state["head"])


def damped_sgd(module, weight_decay):
    """SGD with the momentum of Hinton's code: the average of about ten gradients."""
    optimizer = torch.optim.SGD(
        module.parameters(), lr=0.0, momentum=0.9, dampening=0.9,
        weight_decay=weight_decay,
    )  # fmt: skip
    for parameter in module.parameters():  # else the first step has no dampening
        optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    return optimizer


def constant_then_linear(epoch, epochs):
    """The factor on the learning rate: 1 for half the epochs, then linear towards 0."""
    return min(1, (1 + 2 * (epochs - epoch - 1)) / epochs)
