"""Chapter 06: what takes the plain recipe's error close to backpropagation's."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import pad, softplus

from ffutils.checks import (
    check_batch,
    check_count,
    check_dropping,
    check_label_batch,
    check_square,
)
from ffutils.labels import overlay
from ffutils.layers import FFLayer, full_precision, goodness, normalize


def pair_loss(
    positive: Tensor, negative: Tensor, goodness=goodness, scale: float = 30.0
) -> Tensor:
    """Ask that an image's goodness be larger with its true label than with a wrong one.

    Args:
        positive, negative: one layer's activations (B, width) on the two passes, row by
            row the same images.
        goodness: a function (B, width) → (B,); `train` hands on the net's own.
        scale: inverse temperature of the difference (SymBa's α).

    Returns:
        A scalar; ln 2 where the two are equal.

    Source: Lee and Song 2023 (SymBa); chapter 06.
    """
    return softplus(-scale * (goodness(positive) - goodness(negative))).mean()


def label_goodness_first_layer(net, x: Tensor) -> Tensor:
    """The first layer's goodness for each label, for the price of one matrix product.

    A net with an overlay, normalize, goodness or first layer of its own is asked label
    by label instead.

    Args:
        net: an `FFNet`.
        x: images (B, pixels) in [0, 1].

    Returns:
        (B, n_classes).

    Raises:
        TypeError, ValueError: for a wrong type, dtype or shape.

    Source: chapter 06.
    """
    layer, n, strength = net.layers[0], net.n_classes, net.label_strength
    check_batch(x, layer.in_features)
    if not is_by_the_book(net):
        labels = [torch.full((len(x),), k, device=x.device) for k in range(n)]
        passes = [net.goodness(layer(net.write_label(x, y))) for y in labels]
        return torch.stack(passes, dim=1)
    blank = x.clone()
    blank[:, :n] = 0
    squares = full_precision(blank).square().sum(dim=1, keepdim=True) + strength**2
    length = (squares / x.shape[1] + 1e-8).sqrt()
    image = full_precision(blank @ layer.weight.T)
    sums = image[:, None, :] + strength * layer.weight[:, :n].T
    h = torch.relu(sums / length[:, :, None] + layer.bias)
    return h.square().mean(dim=2)


def is_by_the_book(net) -> bool:
    """Whether a net's first layer and its functions are those of chapters 02 and 03."""
    layer = net.layers[0]
    functions = net.overlay is overlay and net.goodness is goodness
    return functions and type(layer) is FFLayer and layer.normalize is normalize


def sample_wrong_labels(scores: Tensor, y: Tensor) -> Tensor:
    """Draw a wrong label for each image, in proportion to exp(score).

    It is drawn as `torch.multinomial` does, which would wait for a GPU and stop at NaN.

    Args:
        scores: (B, n_classes), as a softmax takes them.
        y: the true labels (B,), which are left out.

    Returns:
        Labels (B,).

    Source: Hinton 2022, §3.3; chapter 06.
    """
    check_label_batch(y, count=len(scores))
    probabilities = scores.scatter(1, y[:, None], -torch.inf).softmax(dim=1)
    # Draws as torch.multinomial(probabilities, 1)[:, 0]; a GPU need not wait:
    noise = torch.empty_like(probabilities).exponential_()
    return (probabilities / noise).argmax(dim=1)


@torch.no_grad()
def hard_negatives(net, x: Tensor, y: Tensor, scale: float = 30.0) -> Tensor:
    """Draw wrong labels that the first layer takes for true.

    Args:
        net: an `FFNet`.
        x: images (B, pixels) in [0, 1].
        y: their labels (B,).
        scale: of the goodness, in the exponent.

    Returns:
        Labels (B,), never the true one.

    Raises:
        TypeError, ValueError: for a wrong type, dtype or shape.

    Source: Hinton 2022, §3.3, where a softmax proposes them; chapter 06.
    """
    return sample_wrong_labels(scale * label_goodness_first_layer(net, x), y)


def cosine_decay(fraction: float) -> float:
    """A factor on the learning rate: half a cosine, from 1 down to 0.

    Args:
        fraction: of the epochs that are done, in [0, 1].

    Source: Loshchilov and Hutter 2017; chapter 06.
    """
    return (1 + math.cos(math.pi * fraction)) / 2


def jitter(x: Tensor, pixels: int = 1, channels: int = 1) -> Tensor:
    """Shift every image by a random whole number of pixels; what enters is black.

    Args:
        x: square images (B, channels · side · side) in [0, 1].
        pixels: the most that an image is shifted, each way.
        channels: 3 for colour images, channel after channel.

    Returns:
        New images of the same shape.

    Raises:
        TypeError, ValueError: for images that are not square, or a bad shift.

    Source: Hinton 2022, §3.3, with up to two pixels; chapter 06.
    """
    check_square(x, channels)
    check_count("pixels", pixels)
    side = math.isqrt(x.shape[1] // channels)
    padded = pad(x.view(-1, channels, side, side), (pixels,) * 4)
    shift = torch.randint(2 * pixels + 1, (2, len(x), 1), device=x.device)
    down, right = shift + torch.arange(side, device=x.device)
    image = torch.arange(len(x), device=x.device)[:, None, None, None]
    channel = torch.arange(channels, device=x.device)[:, None, None]
    rows, columns = down[:, None, :, None], right[:, None, None, :]
    return padded[image, channel, rows, columns].flatten(1)


def drop_pixels(x: Tensor, p: float = 0.3) -> Tensor:
    """Turn random pixels black: dropout of the input, where images must not be shifted.

    Args:
        x: images (B, pixels) in [0, 1].
        p: the probability that a pixel turns black, in [0, 1).

    Returns:
        New images; the layer's own normalisation makes up for the length.

    Raises:
        TypeError, ValueError: for bad images or a bad probability.

    Source: Srivastava et al. 2014; chapter 06.
    """
    check_dropping(x, p)
    return x * (torch.rand_like(x) >= p)


# What `train` is given beside the net and the data. Jitter is left out, for images
# whose pixels have no neighbours.
RECIPE = {
    "epochs": 10,
    "lr": 0.003,
    "loss_fn": pair_loss,
    "negative_labels": hard_negatives,
    "lr_schedule": cosine_decay,
}
