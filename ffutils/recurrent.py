"""Chapter 09: layers that also listen to the layer above, so that a still image settles like a boring video."""

import torch
from torch import nn
from torch.nn.functional import one_hot

from ffutils.layers import goodness, normalize
from ffutils.recipe import pair_loss


class RecurrentNet(nn.Module):
    """Hidden layers between an image below and a label above: RecurrentNet(784, 500, 500, 10) has two of 500 units.

    damping: the share of the old state that each step keeps; strength: with which a label is clamped at the top. Called
    on images x (B, 784) and K labels for each of them, (K, B), it yields after each step the list of the hidden
    layers' states [(K·B, 500), …], the lowest first. Hinton 2022, §3.4; derived in chapter 09.
    """

    def __init__(self, *widths, damping=0.3, strength=10.0):
        super().__init__()
        self.damping, self.strength, self.classes = damping, strength, widths[-1]
        self.up = nn.ModuleList(nn.Linear(below, width) for below, width in zip(widths[:-2], widths[1:-1]))
        self.down = nn.ModuleList(
            nn.Linear(above, width, bias=False) for width, above in zip(widths[1:-1], widths[2:])
        )
        for part in [*self.up, *self.down]:
            nn.init.normal_(part.weight, std=part.in_features**-0.5)
        for part in self.up:
            nn.init.zeros_(part.bias)

    def start(self, x):
        image = self.up[0](normalize(x))  # the same at every step, so computed once
        states = [torch.relu(image)]
        for up in self.up[1:]:
            states.append(torch.relu(up(normalize(states[-1].detach()))))
        return image, states

    def step(self, states, image, label):
        seen = [normalize(h) for h in states]
        new = []
        for k, old in enumerate(states):
            below = self.up[k](seen[k - 1]) if k > 0 else image
            above = self.down[k](seen[k + 1]) if k + 1 < len(states) else label
            new.append(self.damping * old + (1 - self.damping) * torch.relu(below + above))
        return new

    def forward(self, x, labels, steps=8):
        image, states = self.start(x)
        image, states = image.repeat(len(labels), 1), [h.repeat(len(labels), 1) for h in states]
        label = self.down[-1](self.strength * one_hot(labels.flatten(), self.classes).float())
        for _ in range(steps):
            states = self.step([h.detach() for h in states], image, label)
            yield states
