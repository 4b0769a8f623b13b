"""Chapter 06: the tricks that take a Forward-Forward net from the plain recipe's error to the paper's, and below."""

import math

import torch
from torch.nn.functional import pad, softplus

from ffutils.checks import check_count, check_images, check_labels, check_share, check_strength, check_width
from ffutils.layers import goodness


def pair_loss(positive, negative, scale=30.0):
    """Ask of each image that its true label's goodness be above its wrong label's; where both lie does not matter.

    positive, negative: one layer's activities (B, width) on the two passes, row by row the same images; returns a
    scalar, which is ln 2 for a layer that knows nothing. scale: how bold a bet the difference is.
    Lee and Song 2023 (SymBa); derived in chapter 06.
    """
    return softplus(-scale * (goodness(positive) - goodness(negative))).mean()


def first_layer_goodness(layer, x, strength=1.0):
    """The first layer's goodness for each of the ten labels, for the price of one matrix product.

    layer: the `FFLayer` above the pixels; x: (B, pixels) in [0, 1]; returns (B, 10), what `goodness` of the layer on
    `overlay(x, label, strength)` gives for each label. Raises TypeError or ValueError for bad images. Derived in
    chapter 06.
    """
    check_images(x)
    check_width(x, layer.in_features)
    check_strength(strength)
    blank = x.clone()
    blank[:, :10] = 0
    squares = blank.square().sum(dim=1, keepdim=True) + strength**2
    length = (squares / x.shape[1] + 1e-8).sqrt()
    image, labels = blank @ layer.weight.T, strength * layer.weight[:, :10].T
    h = torch.relu((image[:, None, :] + labels) / length[:, :, None] + layer.bias)
    return h.square().mean(dim=2)


def draw_wrong(scores, y):
    """Draw a wrong label for each image, in proportion to exp(score); the true one is left out.

    scores: (B, 10), as a softmax takes them; y: (B,); returns labels (B,). Hinton 2022, §3.3; chapter 06.
    """
    chances = scores.scatter(1, y[:, None], -torch.inf).softmax(dim=1)
    return torch.multinomial(chances, 1).squeeze(1)


@torch.no_grad()
def hard_labels(net, x, y, scale=30.0, strength=1.0):
    """Draw wrong labels that the first layer takes for true: in proportion to exp(scale · their goodness).

    net: an `FFNet`; x: (B, 784) in [0, 1]; y: (B,); strength: the label's, as in `overlay`; returns labels (B,), never
    the true one. Raises TypeError or ValueError for bad images or labels. Hinton 2022, §3.3, where a softmax proposes
    them; derived in chapter 06.
    """
    check_labels(y, count=len(x))
    return draw_wrong(scale * first_layer_goodness(net.layers[0], x, strength), y)


def cool_down(done):
    """The factor on the learning rate when the share done, 0 to 1, of the epochs is over: half a cosine, from 1 to 0.

    Loshchilov and Hutter 2017; put to use in chapter 06.
    """
    return (1 + math.cos(math.pi * done)) / 2


def jitter(x, pixels=1):
    """Shift every image by a random whole number of pixels, at most `pixels` each way; what enters is black.

    x: (B, 784) in [0, 1]; returns a new (B, 784). Raises TypeError or ValueError for bad images or a bad shift.
    Hinton 2022, §3.3, with up to two pixels; derived in chapter 06.
    """
    check_images(x)
    check_count("pixels", pixels)
    side = math.isqrt(x.shape[1])
    check_width(x, side * side)
    padded = pad(x.view(-1, side, side), (pixels,) * 4)
    shift = torch.randint(2 * pixels + 1, (2, len(x), 1), device=x.device)
    down, right = shift + torch.arange(side, device=x.device)
    image = torch.arange(len(x), device=x.device)[:, None, None]
    return padded[image, down[:, :, None], right[:, None, :]].flatten(1)


def drop_pixels(x, share=0.3):
    """Turn a random share of each image's pixels black: dropout of the input, for images that must not be shifted.

    x: (B, 784) in [0, 1]; returns a new (B, 784); the layer's own normalisation makes up for the length.
    Raises TypeError or ValueError for bad images or a share outside [0, 1). Srivastava et al. 2014; chapter 06.
    """
    check_images(x)
    check_share(share)
    return x * (torch.rand_like(x) >= share)


# What `train` is given beside the net and the data; jitter is left out for images whose pixels have no neighbours.
RECIPE = {"epochs": 10, "lr": 0.003, "loss": pair_loss, "negatives": hard_labels, "schedule": cool_down}
