"""Chapter 03: goodness, normalisation, a layer, and a net that keeps its pieces."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ffutils.checks import check_batch, check_layer, check_sizes
from ffutils.labels import neutral, overlay


def full_precision(h: Tensor) -> Tensor:
    """Bring float16 and bfloat16 to float32, and leave everything else as it is.

    Half precision is for matrix products; a sum of squares needs more digits.

    Source: chapter 14, bug 5.
    """
    return h.to(torch.promote_types(h.dtype, torch.float32))


def normalize(h: Tensor) -> Tensor:
    """Scale each row to a root mean square of 1, so that only its direction is left.

    No mean is subtracted, unlike in `torch.nn.LayerNorm`.

    Args:
        h: (B, n).

    Returns:
        (B, n), float32 or wider; a row of zeros stays zero.

    Source: Hinton 2022, §2.1, where the length becomes 1 instead; chapter 03.
    """
    h = full_precision(h)
    return h / (h.square().mean(dim=1, keepdim=True) + 1e-8).sqrt()


def goodness(h: Tensor) -> Tensor:
    """The mean square of each row of activations.

    Args:
        h: (B, n).

    Returns:
        (B,), float32 or wider.

    Source: Hinton 2022, §2, where it is the sum; chapter 03.
    """
    return full_precision(h).square().mean(dim=1)


class FFLayer(nn.Linear):
    """A linear layer that normalises its input first and rectifies its output.

    Its weights start with a variance of 2 / in_features (He et al. 2015), so that an
    untrained layer has a goodness of about 1, the threshold.

    Args:
        in_features, out_features: as in `torch.nn.Linear`.
        normalize: a function (B, n) → (B, n) that is applied to the input.

    Shape: (B, in_features) → (B, out_features).

    Source: Hinton 2022, §2.1; chapter 03.
    """

    def __init__(self, in_features: int, out_features: int, normalize=normalize):
        super().__init__(in_features, out_features)
        self.normalize = normalize

    def reset_parameters(self):
        nn.init.kaiming_normal_(self.weight, nonlinearity="relu")
        nn.init.zeros_(self.bias)

    def forward(self, x):
        check_batch(x, self.in_features, name="the input of this layer")
        x = self.normalize(x).to(self.weight.dtype)
        return torch.relu(super().forward(x))


class FFNet(nn.Module):
    """A stack of layers, and the pieces of the algorithm that they are trained with.

    `FFNet(784, 500, 500)` has two `FFLayer`s of 500 units above 784 pixels. What is
    handed in here is what `train` and `predict` use.

    Args:
        sizes: the number of pixels, then for each layer its number of units or a layer
            of your own: any module (B, in_features) → (B, out_features) that has these
            two attributes.
        n_classes: the number of classes; the label takes as many pixels.
        label_strength: the value of the label's lit pixel.
        overlay: writes labels, called as overlay(x, y, n_classes, label_strength).
        normalize: what an `FFLayer` does to its input first, (B, n) → (B, n).
        goodness: what a layer is judged by, (B, n) → (B,).

    Shape: (B, pixels) → a list of each layer's activations [(B, units), …].

    Raises:
        TypeError, ValueError: for sizes that do not fit together.

    Source: Hinton 2022, §3.3; chapter 03.
    """

    def __init__(
        self, *sizes: int | nn.Module, n_classes: int = 10, label_strength: float = 1.0,
        overlay: Callable = overlay, normalize: Callable = normalize,
        goodness: Callable = goodness,
    ):  # fmt: skip
        check_sizes(sizes, n_classes, label_strength)
        super().__init__()
        self.n_classes, self.label_strength = n_classes, label_strength
        self.overlay, self.normalize, self.goodness = overlay, normalize, goodness
        self.layers = nn.ModuleList()
        below = sizes[0]
        for size in sizes[1:]:
            own = isinstance(size, nn.Module)
            layer = size if own else FFLayer(below, size, normalize)
            check_layer(layer, below, normalize)
            self.layers.append(layer)
            below = layer.out_features

    def write_label(self, x: Tensor, y: Tensor) -> Tensor:
        """Write labels y (B,) into images x (B, pixels) as this net expects them."""
        return self.overlay(x, y, self.n_classes, self.label_strength)

    def write_neutral(self, x: Tensor) -> Tensor:
        """Write a label that favours no class: the mean of all labels in x."""
        if self.overlay is overlay:
            return neutral(x, self.n_classes, self.label_strength)
        labels = torch.arange(self.n_classes, device=x.device)[:, None].expand(
            -1, len(x)
        )
        return torch.stack([self.write_label(x, y) for y in labels]).mean(dim=0)

    def forward(self, x):
        activations = []
        for layer in self.layers:
            x = layer(x)
            activations.append(x)
        return activations
