"""Chapter 04: train every layer on a loss of its own; nothing flows back."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import softplus

from ffutils.checks import check_count, check_loss, check_losses, check_training
from ffutils.data import batches
from ffutils.labels import wrong_labels
from ffutils.layers import goodness
from ffutils.progress import print_epoch, print_stopped


def logistic_loss(
    positive: Tensor, negative: Tensor, goodness=goodness, threshold: float = 1.0
) -> Tensor:
    """Ask for a goodness above the threshold on positive data, below it on negative.

    The logit is width · (goodness − threshold): with a threshold of 1, the sum of
    squares minus the width.

    Args:
        positive, negative: one layer's activations (B, width) on the two passes.
        goodness: a function (B, width) → (B,); `train` hands on the net's own.
        threshold: of the mean square; 1 per unit.

    Returns:
        A scalar; ln 2 for a layer whose goodness is at the threshold.

    Source: Hinton 2022, §2, with the threshold of his published code; chapter 04.
    """
    width = positive.shape[1]
    positive_logit = width * (goodness(positive) - threshold)
    negative_logit = width * (goodness(negative) - threshold)
    return (softplus(-positive_logit).mean() + softplus(negative_logit).mean()) / 2


def random_negatives(net, x: Tensor, y: Tensor) -> Tensor:
    """Draw the labels of the negative pass at random, whatever the net makes of them.

    Args:
        net: an `FFNet`; x: images (B, pixels); y: their labels (B,).

    Returns:
        Wrong labels (B,).

    Source: chapter 04.
    """
    return wrong_labels(y, net.n_classes)


def train_layer(
    layer, optimizer: torch.optim.Optimizer, positive: Tensor, negative: Tensor,
    loss_fn: Callable = logistic_loss, goodness: Callable = goodness,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Take one step with one layer: two passes, a loss and an update of its own.

    Args:
        layer, optimizer: the layer, and the optimiser of its parameters.
        positive, negative: the layer's inputs (B, in_features), detached here.
        loss_fn: called as loss_fn(positive, negative, goodness) on its activations.
        goodness: a function (B, out_features) → (B,).

    Returns:
        The activations (B, out_features) on both passes, before the update and
        detached, and the loss.

    Source: Hinton 2022, §2; chapter 04.
    """
    positive, negative = layer(positive.detach()), layer(negative.detach())
    loss = loss_fn(positive, negative, goodness)
    check_loss(loss, positive, negative)
    optimizer.zero_grad()
    loss.backward()  # through this one layer
    optimizer.step()
    return positive.detach(), negative.detach(), loss.detach()


def train_batch(
    net, optimizers: Sequence, positive: Tensor, negative: Tensor,
    layer_indices: Sequence[int], loss_fn: Callable = logistic_loss,
) -> Tensor:  # fmt: skip
    """Take one step with some layers, and only pass the data on through those below.

    Args:
        net: an `FFNet`; optimizers: one for each of its layers.
        positive, negative: images with labels in them (B, pixels).
        layer_indices: of the layers that learn, counted from 0.
        loss_fn: as in `train_layer`.

    Returns:
        The losses (len(layer_indices),), the lowest layer first.

    Source: chapter 04.
    """
    losses = []
    for k in range(max(layer_indices) + 1):
        layer = net.layers[k]
        if k in layer_indices:
            positive, negative, loss = train_layer(
                layer, optimizers[k], positive, negative, loss_fn, net.goodness
            )
            losses.append(loss)
        else:
            positive, negative = layer(positive).detach(), layer(negative).detach()
    return torch.stack(losses)


def train_epoch(
    net, optimizers: Sequence, data, layer_indices: Sequence[int],
    batch_size: int = 256, loss_fn: Callable = logistic_loss,
    negative_labels: Callable = random_negatives, augment: Callable | None = None,
) -> Tensor:  # fmt: skip
    """Train some layers once on every image, in random order.

    Args:
        net, data, batch_size, loss_fn, negative_labels, augment: as in `train`.
        optimizers, layer_indices: as in `train_batch`.

    Returns:
        The mean losses (len(layer_indices),), on the CPU.

    Source: Hinton 2022, §3.3; chapter 04.
    """
    total, count = 0, 0
    for x, y in batches(data, batch_size, device=next(net.parameters()).device):
        if augment is not None:
            x = augment(x)
        positive = net.write_label(x, y)
        negative = net.write_label(x, negative_labels(net, x, y))
        losses = train_batch(
            net, optimizers, positive, negative, layer_indices, loss_fn
        )
        total, count = total + len(x) * losses.float(), count + len(x)
    check_count("the number of images in the data", count)
    return total.cpu() / count


def train(
    net, data, epochs: int = 15, batch_size: int = 256, lr: float = 0.001,
    loss_fn: Callable = logistic_loss, negative_labels: Callable = random_negatives,
    greedy: bool = False, augment: Callable | None = None,
    lr_schedule: Callable | None = None, optimizer: Callable = torch.optim.Adam,
    on_epoch: Callable | None = None, progress: bool = True,
) -> Tensor:  # fmt: skip
    """Train the layers of a net: all of them on every batch or, if greedy, in turn.

    Training starts from the net's present weights, with new optimisers. Ctrl-C or the
    stop button ends it and keeps what has been learnt.

    Args:
        net: an `FFNet`.
        data: a `Split` on the net's device, or any iterable of batches (x, y), such as
            a DataLoader, that can be gone through once for each epoch.
        epochs: of the whole net or, if greedy, of each layer.
        batch_size: of a `Split`; other iterables bring batches of their own.
        lr: the learning rate.
        loss_fn: called as loss_fn(positive, negative, net.goodness).
        negative_labels: called as negative_labels(net, x, y); wrong labels (B,).
        greedy: whether each layer is trained to the end before the next one begins.
        augment: from images (B, pixels) to new ones, before labels are written into
            them; it must leave the old ones as they are.
        lr_schedule: from the fraction of the epochs done to a factor on lr.
        optimizer: makes a layer's optimiser, called as optimizer(parameters, lr=lr).
        on_epoch: called as on_epoch(net, epoch, losses) after each epoch, counted from
            1; a true return value ends the training.
        progress: whether to print a line for each epoch.

    Returns:
        The mean losses (epochs, layers); NaN for epochs that were not finished.

    Raises:
        TypeError, ValueError: for bad data or a bad setting.
        FloatingPointError: at the end of an epoch in which a loss was not finite.

    Source: Hinton 2022, §3.3; all layers on every batch as in his published code;
    chapter 04, lr_schedule and augment chapter 06.
    """
    check_training(net, data, epochs, batch_size, lr)
    optimizers = [optimizer(layer.parameters(), lr=lr) for layer in net.layers]
    layers = list(range(len(net.layers)))
    losses = torch.full((epochs, len(layers)), torch.nan, device="cpu")
    try:
        for layer_indices in [[k] for k in layers] if greedy else [layers]:
            for epoch in range(epochs):
                started = time.perf_counter()
                if lr_schedule is not None:
                    set_lr(optimizers, lr * lr_schedule(epoch / epochs))
                losses[epoch, layer_indices] = train_epoch(
                    net, optimizers, data, layer_indices, batch_size, loss_fn,
                    negative_labels, augment,
                )  # fmt: skip
                check_losses(losses[epoch], layer_indices, epoch, net)
                seconds = time.perf_counter() - started
                if progress:
                    print_epoch(losses[epoch], layer_indices, epoch, epochs, seconds)
                if on_epoch is not None and on_epoch(net, epoch + 1, losses[epoch]):
                    return losses
    except KeyboardInterrupt:
        print_stopped()
    return losses


def set_lr(optimizers: Sequence[torch.optim.Optimizer], lr: float) -> None:
    """Give every optimiser this learning rate from its next step on.

    Source: chapter 04.
    """
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = lr
