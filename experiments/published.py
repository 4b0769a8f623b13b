"""Two recipes that many readers know, as published: the article's, and the most copied.

Both scale a layer's input to a length of 1, compare the mean square of its activations
with a threshold of 2, and train one layer after another. The article
(https://github.com/MurageKibicho/Forward-Forward) takes batches of 64 and 5 epochs a
layer, and in training writes the label over the first ten activations of every layer,
while prediction writes it into the image alone. The most copied code
(https://github.com/mpezeshki/pytorch_forward_forward) takes all images in one batch,
1000 times a layer, with wrong labels that are drawn once, by shuffling the true ones;
its images are standardised. An epoch here is an epoch of one layer. Written anew from
their settings; what was changed: it learns from 50,000 images held apart from the
validation split, and the full batch has matrix products in bfloat16.
"""

from itertools import pairwise

import torch
from torch import nn
from torch.nn.functional import linear, softplus

from experiments.runner import NetTrial, autocast_bf16, score_errors
from ffutils import batches, goodness, wrong_labels
from ffutils.layers import full_precision

TITLE = "Two widely read recipes, as published"
PAPER = None
CONFIGURATION = {
    "loss": "logistic, mean square - 2",
    "normalization": "length 1",
    "optimizer": "Adam",
    "lr_schedule": "constant, one layer after another",
}
VARIANTS = {
    "the article's": {
        "network": [784, 500, 500, 500],
        "negatives": "random",
        "label": "over the input of every layer in training, "
        "in the image alone in prediction",
        "pixels": "in [0, 1]",
        "lr": 0.01,
        "batch_size": 64,
        "epochs": 15,
        "precision": "float32",
        "eval_every": 1,
    },
    "full batch": {
        "network": [784, 500, 500],
        "negatives": "labels shuffled once",
        "label": "in the image",
        "pixels": "standardised",
        "lr": 0.03,
        "batch_size": "all images",
        "epochs": 2000,
        "precision": "bfloat16",  # of matrix products
        "eval_every": 50,
    },
}
SEEDS = (0,)
STAGES = ("validation_and_test",)


class Layer(nn.Linear):
    """Called on x (B, in_features), returns the activations (B, out_features)."""

    def forward(self, x):
        x = full_precision(x)
        x = x / (x.norm(dim=1, keepdim=True) + 1e-4)
        return torch.relu(linear(x, self.weight, self.bias))


class Trial(NetTrial):
    def __init__(self, configuration, split):
        c = self.configuration = configuration
        self.split = split
        device = split.images.device
        self.net = nn.ModuleList(Layer(*sizes) for sizes in pairwise(c["network"]))
        self.net.to(device)
        self.optimizers = [
            torch.optim.Adam(layer.parameters(), lr=c["lr"]) for layer in self.net
        ]
        if c["batch_size"] == "all images":
            order = torch.randperm(len(split.labels)).to(device)
            x = self.prepared(split.images)
            positive = write_label(x, split.labels)
            negative = write_label(x, split.labels[order])
            self.inputs = 0, positive, negative  # of the layer with that number

    def train_epoch(self, epoch):
        c = self.configuration
        k = epoch * len(self.net) // c["epochs"]  # the layer whose turn it is
        with autocast_bf16(self.split.images.device, c["precision"] == "bfloat16"):
            if c["batch_size"] == "all images":
                return self.train_step(k, *self.inputs_of(k))
            total = 0
            for x, y in batches(self.split, c["batch_size"]):
                h = self.below(k, self.prepared(x))
                positive, negative = write_label(h, y), write_label(h, wrong_labels(y))
                total += len(x) * self.train_step(k, positive, negative)
        return total / len(self.split.labels)

    def train_step(self, k, positive, negative):
        loss = published_loss(self.net[k](positive), self.net[k](negative))
        self.optimizers[k].zero_grad()
        loss.backward()
        self.optimizers[k].step()
        return loss.detach()

    def inputs_of(self, k):
        done, positive, negative = self.inputs
        while done < k:
            with torch.no_grad():
                positive, negative = self.net[done](positive), self.net[done](negative)
            done += 1
        self.inputs = done, positive, negative
        return positive, negative

    @torch.no_grad()
    def below(self, k, x):
        for layer in self.net[:k]:
            x = layer(x)
        return x

    def prepared(self, images):
        standardised = self.configuration["pixels"] == "standardised"
        return (images - 0.1307) / 0.3081 if standardised else images

    @torch.no_grad()
    def errors(self, split):
        x, columns = self.prepared(split.images), []
        for label in range(10):
            h, column = write_label(x, torch.full_like(split.labels, label)), []
            for layer in self.net:
                h = layer(h)
                column.append(goodness(h))
            columns.append(torch.stack(column, dim=1))
        per_layer = torch.stack(columns, dim=1)  # (images, labels, layers)
        scores = {f"layer {k + 1}": per_layer[:, :, k] for k in range(len(self.net))}
        scores["sum of all layers"] = per_layer.sum(dim=2)
        return {"error": score_errors(scores, split.labels)}


def published_loss(positive, negative, threshold=2.0):
    distances = threshold - goodness(positive), goodness(negative) - threshold
    return softplus(torch.cat(distances)).mean()


def write_label(h, labels):
    """The label over the first ten values of each row, as strong as its strongest."""
    h, label_strength = h.clone(), h.amax(dim=1)
    h[:, :10] = 0
    h[torch.arange(len(h), device=h.device), labels] = label_strength
    return h
