"""Chapter 13: steps with their gradients written out.

A layer of Forward-Forward needs no gradient with respect to its input, and its two
passes have much in common. Autograd cannot know that; these functions do.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import softplus

from ffutils.checks import check_count, check_losses, check_run, check_unfrozen
from ffutils.data import batches
from ffutils.depth import BroadcastNet
from ffutils.layers import FFLayer, normalize
from ffutils.progress import print_epoch, print_stopped
from ffutils.recipe import cosine_decay, is_by_the_book, sample_wrong_labels
from ffutils.training import set_lr


def product(a: Tensor, b: Tensor, half: bool) -> Tensor:
    """The matrix product a @ b; computed in bfloat16 if half, and float32 again."""
    found = lowered(a, half) @ lowered(b, half)
    return found.float() if half else found


def lowered(a: Tensor, half: bool) -> Tensor:
    """As a product takes it: in bfloat16 if half. Once, for what is used twice."""
    return a.bfloat16() if half else a


def scaled(h: Tensor) -> Tensor:
    """`normalize`, without a copy of the activations for their squares."""
    return h / (mean_square(h)[:, None] + 1e-8).sqrt()


def pair_gradients(
    positive: Tensor, negative: Tensor, scale: float
) -> tuple[Tensor, Tensor, Tensor]:
    """`pair_loss`, and its derivatives with respect to what a layer's units add up.

    Args:
        positive, negative: activations (B, width), row by row the same images.
        scale: of the differences of goodness.

    Returns:
        The loss, and two tensors (B, width), one for each pass. A unit that is off has
        a derivative of 0 because its activation is 0.

    Source: chapter 13.
    """
    gap = scale * (mean_square(positive) - mean_square(negative))
    pull = 2 * scale / positive.numel() * torch.sigmoid(-gap)[:, None]
    return softplus(-gap).mean(), -pull * positive, pull * negative


@torch.no_grad()
def ff_gradients(
    net, x: Tensor, y: Tensor, scale: float = 30.0, half: bool = False,
    whole_net: bool = True,
) -> Tensor:  # fmt: skip
    """Give every layer of an `FFNet` the gradient of its own loss on one batch.

    The label is in the image alone. The first layer's sums for all ten labels come from
    one product, so its negative pass costs none, and both passes share the product of
    its gradient.

    Args:
        net: an `FFNet` by the book.
        x: images (B, pixels) in [0, 1]; y: their labels (B,).
        scale: of the differences of goodness, in the loss and for the negatives.
        half: whether matrix products are computed in bfloat16.
        whole_net: whether the negatives are hard for the whole net, or for layer 1.

    Returns:
        The losses (layers,).

    Source: Hinton 2022, §3.3; chapters 06, 07 and 13.
    """
    first, *upper = net.layers
    n, rows = net.n_classes, torch.arange(len(x), device=x.device)
    z, light, sums = first_layer(net, x, half)
    h = light[:, :, None] * first.weight[:, :n].T
    h.add_(sums[:, None]).relu_()  # in place, for the time goes into memory
    judges = upper if whole_net else []
    wrong = sample_wrong_labels(scale * sum_of_goodness(judges, h, half), y)

    positive, negative = h[rows, y], h[rows, wrong]
    loss, up, down = pair_gradients(positive, negative, scale)
    both = up + down
    gradient = product(both.T, z, half)
    labels = torch.zeros_like(gradient[:, :n].T)
    labels.index_add_(0, y, light * up).index_add_(0, wrong, light * down)
    gradient[:, :n] = labels.T
    first.weight.grad, first.bias.grad = gradient, both.sum(dim=0)
    losses = layer_gradients(upper, positive, negative, scale, half)
    return torch.stack([loss, *losses])


def first_layer(net, x: Tensor, half: bool) -> tuple[Tensor, Tensor, Tensor]:
    """What an `FFNet`'s first layer makes of images, whatever their label.

    Returns:
        The images, normalised, without a label (B, pixels); a label's pixel (B, 1); and
        what the units add up without it (B, width).
    """
    first, n = net.layers[0], net.n_classes
    blank = x.clone()
    blank[:, :n] = 0
    squares = blank.square().sum(dim=1, keepdim=True) + net.label_strength**2
    length = (squares / x.shape[1] + 1e-8).sqrt()
    z, light = lowered(blank / length, half), net.label_strength / length
    return z, light, product(z, first.weight.T, half) + first.bias


def layer_gradients(
    layers, positive: Tensor, negative: Tensor, scale: float, half: bool
) -> list[Tensor]:
    """Give layers their gradients, each one product for both passes.

    Args:
        layers: of an `FFNet`, from one on upwards.
        positive, negative: the lowest one's inputs (B, in_features).

    Returns:
        Their losses, the lowest layer first.
    """
    losses = []
    for layer in layers:
        inputs = lowered(scaled(torch.cat([positive, negative])), half)
        both = product(inputs, layer.weight.T, half).add_(layer.bias).relu_()
        positive, negative = both.chunk(2)
        loss, up, down = pair_gradients(positive, negative, scale)
        layer.weight.grad = product(torch.cat([up, down]).T, inputs, half)
        layer.bias.grad = (up + down).sum(dim=0)
        losses.append(loss)
    return losses


def sum_of_goodness(upper, h: Tensor, half: bool) -> Tensor:
    """The goodness of all layers, from the first's activations for each label.

    Args:
        upper: the layers above the first.
        h: (B, n_classes, width).

    Returns:
        (B, n_classes).
    """
    batch, n = h.shape[:2]
    h = h.flatten(0, 1)
    total = own = mean_square(h)
    for layer in upper:
        # It normalises after its product, by a goodness that is known already.
        h = product(h, layer.weight.T, half).div_((own + 1e-8).sqrt()[:, None])
        own = mean_square(h.add_(layer.bias).relu_())
        total = total + own
    return total.view(batch, n)


def mean_square(h: Tensor) -> Tensor:
    """The goodness of activations (…, width), without a copy of them for the squares.

    Returns:
        (…).
    """
    return torch.linalg.vector_norm(h, dim=-1).square() / h.shape[-1]


@torch.no_grad()
def broadcast_gradients(
    net: BroadcastNet, x: Tensor, y: Tensor, scale: float = 30.0, half: bool = False
) -> Tensor:
    """Give every layer of a `BroadcastNet` the gradient of its own loss on one batch.

    Both passes of a layer have the same input, and so the same product on the way up
    and in the gradient.

    Args, Returns: as in `ff_gradients`.

    Source: chapter 13.
    """
    losses = []
    for layer in net.layers:
        z = lowered(scaled(x), half)
        sums = product(z, layer.weight.T, half).add_(layer.bias)
        wrong = sample_wrong_labels(scale * layer.label_goodness(sums), y)
        labels = layer.label_sums()
        positive, negative = (
            labels.index_select(0, k).add_(sums).relu_() for k in (y, wrong)
        )
        loss, up, down = pair_gradients(positive, negative, scale)
        both = up + down
        layer.weight.grad, layer.bias.grad = product(both.T, z, half), both.sum(dim=0)
        gradient = torch.zeros_like(labels).index_add_(0, y, up)
        gradient.index_add_(0, wrong, down)
        layer.label_weight.grad = layer.label_strength * gradient
        x = layer.neutral(sums)
        losses.append(loss)
    return torch.stack(losses)


def fast_train(
    net, data, epochs: int = 20, batch_size: int = 256, lr: float = 0.003,
    augment: Callable | None = None, half: bool | None = None,
    on_epoch: Callable | None = None, progress: bool = True,
) -> Tensor:  # fmt: skip
    """Train all layers by the recipe, each on a loss of its own, gradients written out.

    The recipe is the loss on pairs, hard negatives, Adam, and a rate that falls along
    half a cosine. Ctrl-C ends it and keeps what has been learnt.

    Args:
        net: an `FFNet` by the book, or a `BroadcastNet`.
        data, epochs, batch_size, lr, augment, on_epoch, progress: as in `train`.
        half: whether matrix products are computed in bfloat16; unless given, where
            that is quicker on the net's device.

    Returns:
        The mean losses (epochs, layers); NaN for epochs that were not finished.

    Raises:
        TypeError: for a net of another kind, or with pieces of its own.
        ValueError: for bad data or a bad setting.
        FloatingPointError: at the end of an epoch in which a loss was not finite.

    Source: chapter 13.
    """
    gradients = gradients_of(net)
    check_run(net, data, epochs, batch_size, lr)
    check_unfrozen(net)
    device = next(net.parameters()).device
    half = bfloat16_is_quicker(device) if half is None else half
    fused = device.type in ("cpu", "cuda")
    optimizer = torch.optim.Adam(net.parameters(), lr=lr, fused=fused)
    losses = torch.full((epochs, len(net.layers)), torch.nan, device="cpu")
    indices = range(len(net.layers))
    try:
        for epoch in range(epochs):
            started, total, count = time.perf_counter(), 0, 0
            set_lr([optimizer], lr * cosine_decay(epoch / epochs))
            for x, y in batches(data, batch_size, device=device):
                x = x if augment is None else augment(x)
                total = total + len(x) * gradients(net, x, y, half=half)
                count += len(x)
                optimizer.step()
            check_count("the number of images in the data", count)
            losses[epoch] = total.cpu() / count
            check_losses(losses[epoch], indices, epoch, net)
            seconds = time.perf_counter() - started
            if progress:
                print_epoch(losses[epoch], indices, epoch, epochs, seconds)
            if on_epoch is not None and on_epoch(net, epoch + 1, losses[epoch]):
                break
    except KeyboardInterrupt:
        print_stopped()
    return losses


def gradients_of(net) -> Callable:
    """The function that computes the gradients of this kind of net."""
    if isinstance(net, BroadcastNet):
        return broadcast_gradients
    plain = all(type(k) is FFLayer and k.normalize is normalize for k in net.layers)
    if not (plain and is_by_the_book(net)):
        raise TypeError(
            "fast_train knows the book's own layers, overlay, normalize and goodness, "
            "and this net has others; use ffutils.train"
        )
    return ff_gradients


def bfloat16_is_quicker(device: torch.device, tries: int = 5) -> bool:
    """Whether a product of a layer's size takes less time in bfloat16, measured."""
    # Large enough that starting two threads does not decide.
    a, b = (torch.rand(n, 784, device=device) for n in (1024, 512))
    seconds = {}
    for half in (False, True) * tries:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        started = time.perf_counter()
        product(a, b.T, half).sum().item()  # .item() waits for a GPU
        took = time.perf_counter() - started
        seconds[half] = min(took, seconds.get(half, took))
    return seconds[True] < seconds[False]
