"""Chapter 10: layers that also listen to the layer above, so that a still image settles like a boring video."""

from itertools import pairwise

import torch
from torch import nn
from torch.nn.functional import one_hot

from ffutils.checks import check_batch_size, check_count, check_images, check_labels, check_width, check_widths
from ffutils.layers import goodness, normalize
from ffutils.recipe import pair_loss


class RecurrentNet(nn.Module):
    """Hidden layers between an image below and a label above: RecurrentNet(784, 500, 500, 10) has two of 500 units.

    damping: the share of the old state that each step keeps; strength: of the one unit of the label that is on. Called
    on images x (B, 784) in [0, 1] and on K labels for each of them, (K, B), it yields the list of the hidden layers'
    states [(K·B, 500), …], the lowest first, after each step. No gradient passes from layer to layer or from step to
    step. Raises TypeError or ValueError for bad images, labels or widths. Hinton 2022, §3.4; derived in chapter 10.
    """

    def __init__(self, *widths, damping=0.3, strength=3.0):
        check_widths(widths)
        super().__init__()
        self.damping, self.strength, self.classes = damping, strength, widths[-1]
        layers = list(pairwise(widths))
        self.up = nn.ModuleList(nn.Linear(below, width) for below, width in layers[:-1])
        self.down = nn.ModuleList(nn.Linear(above, width, bias=False) for width, above in layers[1:])
        for part in [*self.up, *self.down]:
            nn.init.normal_(part.weight, std=part.in_features**-0.5)
        for part in self.up:
            nn.init.zeros_(part.bias)

    def start(self, x):
        """The image's drive of the first layer (B, 500), the same at every step, and the states of one upward pass."""
        image = self.up[0](normalize(x))
        states = [torch.relu(image)]
        for up in self.up[1:]:
            states.append(torch.relu(up(normalize(states[-1].detach()))))
        return image, states

    def step(self, states, image, label):
        """All layers at once, each from the old states of its neighbours and, a little, of its own."""
        seen = [normalize(h) for h in states]
        new = []
        for k, old in enumerate(states):
            below = self.up[k](seen[k - 1]) if k > 0 else image
            above = self.down[k](seen[k + 1]) if k + 1 < len(states) else label
            new.append(self.damping * old + (1 - self.damping) * torch.relu(below + above))
        return new

    def forward(self, x, labels, steps=8):
        check_images(x)
        check_width(x, self.up[0].in_features)
        check_labels(labels.flatten(), count=labels.shape[0] * len(x))
        check_count("steps", steps)
        image, states = self.start(x)
        image = image.repeat(len(labels), 1)
        states = [h.repeat(len(labels), 1) for h in states]
        label = one_hot(labels.flatten(), self.classes).float()
        label = self.down[-1](self.strength * label)
        for _ in range(steps):
            states = self.step([h.detach() for h in states], image, label)
            yield states


def recurrent_loss(net, x, y, wrong, steps=8, scale=10.0):
    """The pair losses of all layers at all steps, summed: the true labels y against the wrong ones, both (B,).

    x: (B, 784) in [0, 1]; returns a scalar, to be followed by `backward`. Hinton 2022, §3.4, with the loss of
    chapter 06; derived in chapter 10.
    """
    total = 0
    for states in net(x, torch.stack([y, wrong]), steps):
        for h in states:
            positive, negative = h.float().chunk(2)
            total = total + pair_loss(positive, negative, scale)
    return total


@torch.no_grad()
def goodness_over_time(net, x, steps=8, batch_size=500):
    """The goodness of each layer after each step, with each of the labels: (B, 10, layers, steps).

    x: (B, 784) in [0, 1]. The label predicted is the largest of the sum over the layers and steps 3 to 5,
    [:, :, :, 2:5]. Hinton 2022, §3.4; derived in chapter 10.
    """
    check_batch_size(batch_size)
    found = []
    for images in x.split(batch_size):
        labels = torch.arange(net.classes, device=x.device)[:, None].expand(-1, len(images))
        settling = [torch.stack([goodness(h.float()) for h in states], dim=1) for states in net(images, labels, steps)]
        by_label = torch.stack(settling, dim=2).view(net.classes, len(images), -1, steps)
        found.append(by_label.transpose(0, 1))
    return torch.cat(found)
