"""Two recipes that many readers know, as they were published: the article's, and the most copied code's.

Both scale a layer's input to a length of 1, set the mean square of its activities against a threshold of 2, and train one
layer after another. The article (https://github.com/MurageKibicho/Forward-Forward) takes batches of 64 and 5 epochs a
layer, and in training writes the label over the first ten activities of every layer, while prediction writes it into
the image alone. The most copied code (https://github.com/mpezeshki/pytorch_forward_forward) takes all images in one
batch, 1000 times a layer, with wrong labels that are drawn once, by shuffling the true ones; its images are standardised.
An epoch here is an epoch of one layer. Written anew from their settings; what was changed: it learns from 50,000 images
held apart from the validation split, and the full batch has matrix products in bfloat16.
"""

from itertools import pairwise

import torch
from torch import nn
from torch.nn.functional import linear, softplus

from experiments.runner import NetTrial, half_precision
from ffutils import batches, error_rate, wrong_labels

TITLE = "Two widely read recipes, as published"
PAPER = None
CONFIGURATION = {
    "loss": "logistic, mean square - 2",
    "input": "length 1",
    "optimizer": "Adam",
    "schedule": "constant, one layer after another",
}
VARIANTS = {
    "the article's": {
        "network": [784, 500, 500, 500],
        "negatives": "random",
        "label": "over the input of every layer in training, in the image alone in prediction",
        "images": "in [0, 1]",
        "lr": 0.01,
        "batch size": 64,
        "epochs": 15,
        "matrix products": "float32",
        "judge every": 1,
    },
    "full batch": {
        "network": [784, 500, 500],
        "negatives": "labels shuffled once",
        "label": "in the image",
        "images": "standardised",
        "lr": 0.03,
        "batch size": "all images",
        "epochs": 2000,
        "matrix products": "bfloat16",
        "judge every": 50,
    },
}
SEEDS = (0,)
STAGES = ("held out",)


class Layer(nn.Linear):
    """Called on x (B, in_features), returns the activities (B, out_features)."""

    def forward(self, x):
        return torch.relu(linear(x / (x.norm(dim=1, keepdim=True) + 1e-4), self.weight, self.bias))


class Trial(NetTrial):
    def __init__(self, configuration, split):
        c = self.configuration = configuration
        self.split = split
        widths = c["network"]
        layers = [Layer(below, above) for below, above in pairwise(widths)]
        self.net = nn.ModuleList(layers).to(split.images.device)
        self.optimizers = [torch.optim.Adam(layer.parameters(), lr=c["lr"]) for layer in layers]
        if c["batch size"] == "all images":
            shuffled = split.labels[torch.randperm(len(split.labels)).to(split.labels.device)]
            x = self.prepared(split.images)
            self.inputs = 0, write(x, split.labels), write(x, shuffled)  # of the layer with that number

    def train_epoch(self, epoch):
        c = self.configuration
        k = epoch * len(self.net) // c["epochs"]  # the layer whose turn it is
        with half_precision(self.split.images.device, c["matrix products"] == "bfloat16"):
            if c["batch size"] == "all images":
                self.step(k, *self.inputs_of(k))
                return
            for x, y in batches(self.split, c["batch size"]):
                h = self.below(k, self.prepared(x))
                self.step(k, write(h, y), write(h, wrong_labels(y)))

    def step(self, k, positive, negative):
        loss = published_loss(self.net[k](positive), self.net[k](negative))
        self.optimizers[k].zero_grad()
        loss.backward()
        self.optimizers[k].step()

    def inputs_of(self, k):
        done, positive, negative = self.inputs
        while done < k:
            with torch.no_grad():
                positive, negative = self.net[done](positive).float(), self.net[done](negative).float()
            done += 1
        self.inputs = done, positive, negative
        return positive, negative

    @torch.no_grad()
    def below(self, k, x):
        for layer in self.net[:k]:
            x = layer(x)
        return x

    def prepared(self, images):
        return (images - 0.1307) / 0.3081 if self.configuration["images"] == "standardised" else images

    @torch.no_grad()
    def errors(self, split):
        x, found = self.prepared(split.images), []
        for label in range(10):
            h, row = write(x, torch.full((len(x),), label, device=x.device)), []
            for layer in self.net:
                h = layer(h)
                row.append(h.square().mean(dim=1))
            found.append(torch.stack(row, dim=1))
        found = torch.stack(found, dim=1)  # (images, labels, layers)
        told = {f"layer {k + 1}": found[:, :, k] for k in range(len(self.net))} | {"all layers": found.sum(dim=2)}
        return {
            "error": {key: round(error_rate(values.argmax(dim=1), split.labels), 2) for key, values in told.items()}
        }


def published_loss(positive, negative, threshold=2.0):
    positive, negative = (h.float().square().mean(dim=1) for h in (positive, negative))
    return softplus(torch.cat([threshold - positive, negative - threshold])).mean()


def write(h, labels):
    """The label over the first ten numbers of each row, as strong as the strongest number of the row."""
    h, strength = h.clone(), h.amax(dim=1)
    h[:, :10] = 0
    h[torch.arange(len(h), device=h.device), labels] = strength
    return h
