"""Chapter 03: a layer that forgets the length of its input, and the goodness that it is trained on."""

from itertools import pairwise

import torch
from torch import nn

from ffutils.checks import check_width, check_widths


def normalize(h):
    """Scale each row to a root mean square of 1, so that only its direction is left; no mean is subtracted.

    h: (B, width); returns (B, width). A row of zeros stays zero. Hinton 2022, §2.1, where the length becomes 1
    instead; derived in chapter 03.
    """
    return h / (h.square().mean(dim=1, keepdim=True) + 1e-8).sqrt()


def goodness(h):
    """Mean square of each row's activities.

    h: (B, width); returns (B,). Hinton 2022, §2, where it is the sum; derived in chapter 03.
    """
    return h.square().mean(dim=1)


class FFLayer(nn.Linear):
    """A linear layer that normalises its input first and rectifies its output: (B, in_features) → (B, out_features).

    Its weights start as He et al. 2015 draw them for ReLUs, with a variance of 2 / in_features, so that a fresh layer
    has a goodness of about 1, which is the threshold. Raises ValueError for an input of another width.
    Hinton 2022, §2.1; derived in chapter 03.
    """

    def reset_parameters(self):
        nn.init.kaiming_normal_(self.weight, nonlinearity="relu")
        nn.init.zeros_(self.bias)

    def forward(self, x):
        check_width(x, self.in_features)
        return torch.relu(super().forward(normalize(x)))


class FFNet(nn.Module):
    """A stack of `FFLayer`s: FFNet(784, 500, 500, 500) has three layers of 500 units above 784 pixels.

    Called on x (B, 784), it returns the list of its layers' activities [(B, 500), …], the lowest first; it returns no
    prediction: for that see `ffutils.prediction`. Raises ValueError for fewer than two widths, or a width below 1.
    Derived in chapter 03.
    """

    def __init__(self, *widths):
        check_widths(widths)
        super().__init__()
        self.layers = nn.ModuleList(FFLayer(below, above) for below, above in pairwise(widths))

    def forward(self, x):
        activities = []
        for layer in self.layers:
            x = layer(x)
            activities.append(x)
        return activities
