"""Chapter 04: train every layer on a loss of its own, with two forward passes and nothing that flows back."""

import time

import torch
from torch.nn.functional import softplus

from ffutils.checks import check_losses, check_training
from ffutils.data import batches
from ffutils.labels import overlay, wrong_labels
from ffutils.layers import goodness
from ffutils.progress import report, watched


def logistic_loss(positive, negative, threshold=1.0):
    """Ask positive data for a goodness above the threshold, and negative data for one below it.

    positive, negative: one layer's activities (B, width) on the two passes; returns a scalar, which is ln 2 for a layer
    that knows nothing. The logit is width · (goodness − threshold): with a threshold of 1, the sum of squares minus the
    width. Hinton 2022, §2, with the threshold of his published code; derived in chapter 04.
    """
    width = positive.shape[1]
    positive_logit = width * (goodness(positive) - threshold)
    negative_logit = width * (goodness(negative) - threshold)
    return (softplus(-positive_logit).mean() + softplus(negative_logit).mean()) / 2


def random_negatives(net, x, y):
    """Draw the labels of the negative pass at random: x (B, 784), y (B,) → wrong labels (B,). Derived in chapter 04."""
    return wrong_labels(y)


def train_layer(layer, optimizer, positive, negative, loss=logistic_loss):
    """Take one step with one layer: two forward passes, a loss of its own, an update of its own.

    positive, negative: the layer's inputs (B, in_features), cut off here from whatever made them. Returns the layer's
    activities on both, (B, out_features), before the update and cut off again, and the loss.
    Hinton 2022, §2; derived in chapter 04.
    """
    positive, negative = layer(positive.detach()), layer(negative.detach())
    objective = loss(positive, negative)
    optimizer.zero_grad()
    objective.backward()  # through this one layer
    optimizer.step()
    return positive.detach(), negative.detach(), objective.detach()


def train_batch(net, optimizers, positive, negative, trained, loss=logistic_loss):
    """Take one step with the layers in trained, and only pass the data on through the others below them.

    positive, negative: two batches of images with labels in them (B, 784); optimizers: one per layer of the net;
    trained: the indices of the layers that learn, ascending. Returns their losses (len(trained),).
    Derived in chapter 04.
    """
    losses = []
    for k in range(trained[-1] + 1):
        layer = net.layers[k]
        if k in trained:
            positive, negative, objective = train_layer(layer, optimizers[k], positive, negative, loss)
            losses.append(objective)
        else:
            positive, negative = layer(positive).detach(), layer(negative).detach()
    return torch.stack(losses)


def train_epoch(
    net, optimizers, split, trained, batch_size=256, loss=logistic_loss, negatives=random_negatives,
    augment=None, progress=True,
):  # fmt: skip
    """Train the layers in trained once on every image of a split, in random order.

    optimizers and trained as in `train_batch`; the rest as in `train`. Returns the mean losses (len(trained),).
    Hinton 2022, §3.3; derived in chapter 04.
    """
    total = 0
    for x, y in watched(batches(split, batch_size), progress):
        if augment is not None:
            x = augment(x)
        positive, negative = overlay(x, y), overlay(x, negatives(net, x, y))
        total += len(x) * train_batch(net, optimizers, positive, negative, trained, loss)
    return total.cpu() / len(split.labels)


def train(
    net, split, epochs=15, batch_size=256, lr=0.001, loss=logistic_loss, negatives=random_negatives,
    greedy=False, augment=None, schedule=None, on_epoch=None, progress=True,
):  # fmt: skip
    """Train the layers of a net: all of them on every batch or, if greedy, one after another.

    net: an `FFNet`; split: the training `Split`, on the net's device; epochs: of the whole net or, if greedy, of each
    layer; lr: Adam's; loss: a function of the activities on the two passes, such as `logistic_loss`; negatives: a
    function of (net, x, y) that returns wrong labels (B,); augment: a function of a batch's images (B, 784) that
    returns others, called before labels are written into them; schedule: a function of the share of the epochs that
    are over, from 0 to 1, that returns the factor on lr in the next one; on_epoch: called as on_epoch(net, epoch)
    after each epoch, counted from 1; progress: whether to print a line per epoch.
    Returns the mean losses (epochs, layers). Ctrl-C or the stop button ends the training and keeps what has been
    learnt; the losses of the epochs that were not finished are NaN. Training starts from the weights that the net has,
    with new optimisers.
    Raises TypeError or ValueError for a bad split or setting, FloatingPointError once a loss is no longer finite.
    Hinton 2022, §3.3; all layers on every batch as in his published code. Derived in chapter 04; augment and schedule
    are put to use in chapter 06.
    """
    check_training(net, split, epochs, lr)
    optimizers = [torch.optim.Adam(layer.parameters(), lr=lr) for layer in net.layers]
    layers = list(range(len(net.layers)))
    losses = torch.full((epochs, len(layers)), torch.nan)
    try:
        for trained in [[k] for k in layers] if greedy else [layers]:
            for epoch in range(epochs):
                started = time.perf_counter()
                if schedule is not None:
                    set_lr(optimizers, lr * schedule(epoch / epochs))
                losses[epoch, trained] = train_epoch(
                    net, optimizers, split, trained, batch_size, loss, negatives, augment, progress
                )
                check_losses(losses[epoch], trained, epoch)
                report(losses[epoch], trained, epoch, epochs, time.perf_counter() - started, progress)
                if on_epoch is not None:
                    on_epoch(net, epoch + 1)
    except KeyboardInterrupt:
        print("\nStopped: the net keeps what it has learnt so far.")
    return losses


def set_lr(optimizers, lr):
    """Give every optimiser this learning rate from its next step on. Derived in chapter 04."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = lr
