"""Layers in training without labels, real images against hybrids, and softmaxes that judge them: for hybrids, local_fields.

The layers are trained as in Hinton's published code. A fully connected layer is a `LocalLayer` whose field is all of the grid below.
"""

import torch
from torch import nn
from torch.nn.functional import cross_entropy, softplus

from experiments.paper_recipe import constant_then_linear, damped_sgd
from experiments.runner import NetTrial, half_precision
from ffutils import batches, error_rate, goodness, normalize
from ffutils.hybrids import hybrids
from ffutils.local import LocalLayer, peer_loss
from ffutils.recipe import cool_down
from ffutils.training import set_lr

# What both experiments share. "grids" holds side, channels, field, stride and units of each layer.
RECIPE = {
    "loss": "logistic, width x (goodness - 1)",
    "negatives": "hybrids of two digits",
    "blurs": 6,
    "peer strength": 0.03,
    "running mean keeps": 0.9,
    "optimizer": "SGD, momentum 0.9, dampening 0.9",
    "lr": 0.01,
    "weight decay": 0.001,
    "schedule": "constant for half the epochs, then linear to 0",
    "batch size": 100,
    "epochs of the softmax": 10,
    "lr of the softmax": 0.003,
    "optimizer of the softmax": "Adam, half a cosine",
    "matrix products": "bfloat16",
    "judge every": 1000,
}


class Trial(NetTrial):
    def __init__(self, configuration, split):
        c = self.configuration = configuration
        self.split = split
        device = split.images.device
        self.net = nn.ModuleList(LocalLayer(*grid) for grid in c["grids"]).to(device)
        for layer in self.net:
            nn.init.normal_(layer.weight, std=layer.weight.shape[1] ** -0.5)
        self.optimizers = [damped_sgd(layer, c["weight decay"]) for layer in self.net]
        self.widths = [layer.bias.numel() for layer in self.net]
        self.running = [torch.full((width,), 0.5, device=device) for width in self.widths]

    def half_precision(self):
        return half_precision(self.split.images.device, self.configuration["matrix products"] == "bfloat16")

    def train_epoch(self, epoch):
        c = self.configuration
        set_lr(self.optimizers, c["lr"] * constant_then_linear(epoch, c["epochs"]))
        for x, _ in batches(self.split, c["batch size"]):
            h = torch.cat([x, hybrids(x, c["blurs"])])
            for k, layer in enumerate(self.net):
                h = self.train_layer(k, layer, h)

    def train_layer(self, k, layer, h):
        """One step of a layer on a batch whose first half is real; returns its activities."""
        c = self.configuration
        with self.half_precision():
            drive = layer.drive(h).float()
        h = torch.relu(drive)
        distance = self.widths[k] * (goodness(h) - 1)
        distance[: len(h) // 2] *= -1
        real = slice(0, len(h) // 2)
        keep = c["running mean keeps"]
        self.running[k] = keep * self.running[k] + (1 - keep) * h[real].detach().mean(dim=0)
        loss = softplus(distance).mean() + peer_loss(drive[real], self.running[k], c["peer strength"])
        self.optimizers[k].zero_grad()
        loss.backward()
        self.optimizers[k].step()
        return h.detach()

    def errors(self, split):
        """Of softmaxes on the normalised activities of each layer, and of layers side by side."""
        heads = self.fit_heads()
        right = {key: [] for key in heads}
        with torch.no_grad():
            for x in split.images.split(1000):
                for key, scores in self.scores(heads, x).items():
                    right[key].append(scores.argmax(dim=1))
        return {"error": {key: round(error_rate(torch.cat(found), split.labels), 2) for key, found in right.items()}}

    def fit_heads(self):
        c, count = self.configuration, len(self.net)
        self.seen = {f"layer {k + 1}": [k] for k in range(count)}
        self.seen |= {"all but the first": list(range(1, count)), "all layers": list(range(count))}
        heads = nn.ModuleDict(
            {key: nn.Linear(sum(self.widths[k] for k in layers), 10) for key, layers in self.seen.items()}
        ).to(self.split.images.device)
        optimizer = torch.optim.Adam(heads.parameters())
        for epoch in range(c["epochs of the softmax"]):
            set_lr([optimizer], c["lr of the softmax"] * cool_down(epoch / c["epochs of the softmax"]))
            for x, y in batches(self.split, c["batch size"]):
                loss = sum(cross_entropy(scores, y) for scores in self.scores(heads, x).values())
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        return heads

    def scores(self, heads, x):
        with torch.no_grad(), self.half_precision():
            states = []
            for layer in self.net:
                x = layer(x).float()
                states.append(normalize(x))
        with self.half_precision():
            return {
                key: heads[key](torch.cat([states[k] for k in layers], dim=1)).float()
                for key, layers in self.seen.items()
            }

    def state_dict(self):
        return super().state_dict() | {"running": self.running}

    def load_state_dict(self, state):
        super().load_state_dict(state)
        self.running = state["running"]
