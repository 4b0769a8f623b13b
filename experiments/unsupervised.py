"""Layers trained without labels, real images against hybrids, and softmaxes on them.

It is what hybrids and local_fields share. The layers are trained as in Hinton's
published code. A fully connected layer is a `LocallyConnected2d` with one window, all
of the grid below.
"""

import torch
from torch import nn
from torch.nn.functional import cross_entropy, softplus

from experiments.paper_recipe import constant_then_linear, damped_sgd
from experiments.runner import NetTrial, autocast_bf16, score_errors
from ffutils import batches, cosine_decay, goodness, normalize
from ffutils.hybrids import hybrids
from ffutils.local import LocallyConnected2d, peer_loss
from ffutils.training import set_lr

# What both share. They add "grids": of each layer, the size and the channels of what
# lies below, the kernel's size, the stride, and the output channels.
RECIPE = {
    "loss": "logistic, width x (goodness - 1)",
    "negatives": "hybrids of two digits",
    "blurs": 6,
    "peer_weight": 0.03,
    "running_mean_decay": 0.9,
    "optimizer": "SGD, momentum 0.9, dampening 0.9",
    "lr": 0.01,
    "weight_decay": 0.001,
    "lr_schedule": "constant for half the epochs, then linear to 0",
    "batch_size": 100,
    "softmax_epochs": 10,
    "softmax_lr": 0.003,
    "softmax_optimizer": "Adam, half cosine",
    "precision": "bfloat16",  # of matrix products
    "eval_every": 1000,
}


class Trial(NetTrial):
    def __init__(self, configuration, split):
        c = self.configuration = configuration
        self.split = split
        self.device = split.images.device
        self.net = nn.ModuleList(LocallyConnected2d(*grid) for grid in c["grids"])
        self.net.to(self.device)
        for layer in self.net:
            nn.init.normal_(layer.weight, std=layer.weight.shape[1] ** -0.5)
        self.optimizers = [damped_sgd(layer, c["weight_decay"]) for layer in self.net]
        self.running_means = [
            torch.full((layer.out_features,), 0.5, device=self.device)
            for layer in self.net
        ]

    def autocast(self):
        half = self.configuration["precision"] == "bfloat16"
        return autocast_bf16(self.device, half)

    def train_epoch(self, epoch):
        c = self.configuration
        set_lr(self.optimizers, c["lr"] * constant_then_linear(epoch, c["epochs"]))
        totals = [0] * len(self.net)
        for x, _ in batches(self.split, c["batch_size"]):
            h = torch.cat([x, hybrids(x, c["blurs"])])
            for k, layer in enumerate(self.net):
                h, loss = self.train_layer(k, layer, h)
                totals[k] += len(x) * loss
        return torch.stack(totals) / len(self.split.labels)

    def train_layer(self, k, layer, h):
        """One step of a layer on a batch whose first half is real images.

        Returns its activations and the loss.
        """
        c, real = self.configuration, slice(0, len(h) // 2)
        with self.autocast():
            preactivation = layer.preactivation(h).float()
        h = torch.relu(preactivation)
        distance = layer.out_features * (goodness(h) - 1)
        distance[real] *= -1
        decay, mean = c["running_mean_decay"], h[real].detach().mean(dim=0)
        self.running_means[k] = decay * self.running_means[k] + (1 - decay) * mean
        loss = softplus(distance).mean()
        loss = loss + peer_loss(
            preactivation[real], self.running_means[k], c["peer_weight"]
        )
        self.optimizers[k].zero_grad()
        loss.backward()
        self.optimizers[k].step()
        return h.detach(), loss.detach()

    def errors(self, split):
        """Of softmaxes on the normalised activations of each layer, and of several."""
        heads, batches_of_scores = self.fit_heads(), []
        with torch.no_grad():
            for x in split.images.split(1000):
                batches_of_scores.append(self.scores(heads, x))
        scores = {
            key: torch.cat([batch[key] for batch in batches_of_scores]) for key in heads
        }
        return {"error": score_errors(scores, split.labels)}

    def fit_heads(self):
        c, count = self.configuration, len(self.net)
        self.layers_of = {f"layer {k + 1}": [k] for k in range(count)}
        self.layers_of["all layers without layer 1"] = list(range(1, count))
        self.layers_of["all layers"] = list(range(count))
        widths = [layer.out_features for layer in self.net]
        heads = nn.ModuleDict(
            {
                key: nn.Linear(sum(widths[k] for k in layers), 10)
                for key, layers in self.layers_of.items()
            }
        ).to(self.device)
        optimizer = torch.optim.Adam(heads.parameters())
        for epoch in range(c["softmax_epochs"]):
            factor = cosine_decay(epoch / c["softmax_epochs"])
            set_lr([optimizer], c["softmax_lr"] * factor)
            for x, y in batches(self.split, c["batch_size"]):
                scores = self.scores(heads, x)
                loss = sum(cross_entropy(score, y) for score in scores.values())
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        return heads

    def scores(self, heads, x):
        with torch.no_grad(), self.autocast():
            features = []
            for layer in self.net:
                x = layer(x)
                features.append(normalize(x))
        with self.autocast():
            return {
                key: heads[key](torch.cat([features[k] for k in layers], dim=1)).float()
                for key, layers in self.layers_of.items()
            }

    def state_dict(self):
        return super().state_dict() | {"running_means": self.running_means}

    def load_state_dict(self, state):
        super().load_state_dict(state)
        self.running_means = [mean.to(self.device) for mean in state["running_means"]]
