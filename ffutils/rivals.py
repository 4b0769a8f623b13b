"""Chapter 12: backpropagation and two kinds of target propagation, beside FF."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss

from ffutils.checks import (
    check_count,
    check_label_batch,
    check_run,
)
from ffutils.data import Split, batches
from ffutils.layers import normalize
from ffutils.progress import print_stopped
from ffutils.training import set_lr


class MLP(nn.Module):
    """A plain net for backpropagation, with a score for each class above its layers.

    MLP(784, 500, 500) has two hidden layers of 500 ReLUs and ten scores.

    Args:
        sizes: the number of pixels, and the width of each hidden layer.
        n_classes: how many scores.

    Raises:
        ValueError: for fewer than two sizes, or a size below 1.

    Source: chapter 12.
    """

    def __init__(self, *sizes: int, n_classes: int = 10) -> None:
        check_hidden_sizes(sizes, n_classes)
        super().__init__()
        self.sizes, self.settings = sizes, {"n_classes": n_classes}  # for save_net
        self.n_classes = n_classes
        self.layers = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(sizes))
        self.output = nn.Linear(sizes[-1], n_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return the scores (B, n_classes) of the images x (B, pixels)."""
        for layer in self.layers:
            x = torch.relu(layer(x))
        return self.output(x)


class NormalizedMLP(MLP):
    """An `MLP` that gets Forward-Forward's images and starts from its initial weights.

    Images are normalised to a mean square of 1, and the hidden layers' weights start
    with a variance of 2 / in_features. Nothing is normalised between the layers.

    Args and raises: as `MLP`.

    Source: He et al. 2015; chapter 12.
    """

    def __init__(self, *sizes: int, n_classes: int = 10) -> None:
        super().__init__(*sizes, n_classes=n_classes)
        for layer in self.layers:  # as in FFLayer
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return the scores (B, n_classes) of the images x (B, pixels)."""
        return super().forward(normalize(x))


def backprop_step(
    net: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor, y: Tensor
) -> Tensor:
    """Take one step with all layers at once, down the gradient of the cross-entropy.

    Args:
        net: an `MLP`, or any net that returns scores (B, n_classes).
        optimizer: of all of its weights.
        x: (B, pixels).
        y: (B,) int64, the labels.

    Returns:
        The loss before the step, a scalar.

    Source: Rumelhart et al. 1986; chapter 12.
    """
    check_label_batch(y, count=len(x))
    loss = cross_entropy(net(x), y)
    optimizer.zero_grad()
    loss.backward()  # through every layer, from the last to the first
    optimizer.step()
    return loss.detach()


class TargetPropNet(nn.Module):
    """A net for target propagation, with a learnt inverse of each layer but the first.

    TargetPropNet(784, 500, 500) has two hidden layers of 500 tanh units, an inverse of
    the second, and ten scores.

    Args:
        sizes: the number of pixels, and the width of each hidden layer.
        n_classes: how many scores.
        activation: a function of what a layer's units add up.

    Raises:
        ValueError: for fewer than three sizes, or a size below 1.

    Source: Bengio 2014, Lee et al. 2015; chapter 12.
    """

    def __init__(
        self,
        *sizes: int,
        n_classes: int = 10,
        activation: Callable = torch.tanh,
    ) -> None:
        check_hidden_sizes(sizes, n_classes)
        check_inverses(sizes)
        super().__init__()
        self.sizes, self.settings = sizes, {"n_classes": n_classes}  # for save_net
        self.n_classes, self.activation = n_classes, activation
        self.layers = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(sizes))
        self.output = nn.Linear(sizes[-1], n_classes)
        self.inverses = nn.ModuleList(
            nn.Linear(above, below) for below, above in pairwise(sizes[1:])
        )
        for linear in [*self.layers, *self.inverses]:
            nn.init.orthogonal_(linear.weight)
            nn.init.zeros_(linear.bias)

    def states(self, x: Tensor) -> list[Tensor]:
        """Return what the hidden layers make of x (B, pixels), the lowest first.

        Each is (B, width), and no gradient passes from one to another.
        """
        states = []
        for layer in self.layers:
            x = self.activation(layer(x.detach()))
            states.append(x)
        return states

    def forward(self, x: Tensor) -> Tensor:
        """Return the scores (B, n_classes) of x; only `output` gets a gradient."""
        return self.output(self.states(x)[-1].detach())

    def invert(self, k: int, h: Tensor) -> Tensor:
        """Map states h of layer k + 1 back to states of layer k, counted from 0."""
        return self.activation(self.inverses[k](h))


def compute_targets(
    net: TargetPropNet,
    states: list[Tensor],
    y: Tensor,
    step: float = 0.1,
    difference: bool = True,
) -> list[Tensor]:
    """Compute what each hidden layer's states should have been.

    The highest target is a step down the gradient of each image's cross-entropy,
    through the output layer alone. Each target below is what the inverse makes of the
    one above it.

    Args:
        net: a `TargetPropNet`.
        states: [(B, width), …], the lowest layer first, as `net.states` returns them.
        y: (B,) int64, the labels.
        step: the length of the step, in units of the gradient.
        difference: whether to take off what the inverse gets wrong about the states.

    Returns:
        The targets [(B, width), …], the lowest first, without a gradient.

    Source: Bengio 2014; with difference Lee et al. 2015, eq. 15; chapter 12.
    """
    top = states[-1].detach().requires_grad_()
    loss = cross_entropy(net.output(top), y, reduction="sum")
    (grad,) = torch.autograd.grad(loss, top)
    targets = [(top - step * grad).detach()]
    with torch.no_grad():
        for k in reversed(range(len(states) - 1)):
            target = net.invert(k, targets[0])
            if difference:
                target = target + states[k] - net.invert(k, states[k + 1])
            targets.insert(0, target)
    return targets


def inverse_loss(
    net: TargetPropNet, k: int, below: Tensor, noise: float = 0.1
) -> Tensor:
    """Measure how badly inverse k undoes layer k + 1 near the states below it.

    Args:
        net: a `TargetPropNet`.
        k: which inverse, counted from 0.
        below: (B, width), the states of layer k.
        noise: the standard deviation of what is added to them first.

    Returns:
        A scalar, whose gradient reaches the inverse alone.

    Source: Lee et al. 2015, eq. 13; chapter 12.
    """
    near = below.detach() + noise * torch.randn_like(below)
    above = net.activation(net.layers[k + 1](near)).detach()
    return mse_loss(net.invert(k, above), near)


def target_step(
    net: TargetPropNet,
    optimizers: Sequence[torch.optim.Optimizer],
    x: Tensor,
    y: Tensor,
    step: float = 0.1,
    difference: bool = True,
    noise: float = 0.1,
) -> Tensor:
    """Take one step: the inverses learn, then each layer moves towards its target.

    Args:
        net: a `TargetPropNet`.
        optimizers: of the inverses, and of all else, as `target_optimizers` makes them.
        x: (B, pixels).
        y: (B,) int64, the labels.
        step, difference: as in `compute_targets`.
        noise: as in `inverse_loss`.

    Returns:
        The cross-entropy before the step, a scalar.

    Source: Lee et al. 2015, algorithm 1; chapter 12.
    """
    check_label_batch(y, count=len(x))
    inverses, forwards = optimizers
    states = net.states(x)
    inverses.zero_grad()
    losses = [inverse_loss(net, k, states[k], noise) for k in range(len(net.inverses))]
    sum(losses).backward()
    inverses.step()

    targets = compute_targets(net, states, y, step, difference)
    pairs = zip(states, targets, strict=True)
    distances = [(h - target).square().sum(dim=1).mean() for h, target in pairs]
    loss = cross_entropy(net.output(states[-1].detach()), y)
    forwards.zero_grad()
    (sum(distances) + loss).backward()  # one call, though no term reaches two layers
    forwards.step()
    return loss.detach()


def target_optimizers(
    net: TargetPropNet, lr: float = 0.001
) -> tuple[torch.optim.Optimizer, torch.optim.Optimizer]:
    """Make Adam for the inverses, and for all else, as `target_step` wants them."""
    forwards = [*net.layers.parameters(), *net.output.parameters()]
    groups = net.inverses.parameters(), forwards
    return tuple(torch.optim.Adam(group, lr=lr) for group in groups)


def train_steps(
    net: nn.Module,
    optimizers: Sequence[torch.optim.Optimizer],
    train_step: Callable,
    data,
    epochs: int,
    batch_size: int,
    lr: float,
    lr_schedule: Callable | None = None,
    on_epoch: Callable | None = None,
) -> Tensor:
    """Call train_step on every batch of the data, epoch after epoch.

    Args:
        net: the net that learns, handed on to on_epoch.
        optimizers: those whose learning rate is set at the start of each epoch.
        train_step: a function of a batch (x, y) that returns its loss, a scalar.
        data, epochs, batch_size, lr, lr_schedule: as in `ffutils.train`.
        on_epoch: called as on_epoch(net, epoch, loss) after each epoch, counted from 1,
            with the mean loss; a true return value ends the training.

    Returns:
        The mean losses (epochs,); those of epochs that were not finished are NaN.
        Ctrl-C or the stop button ends the training and keeps what has been learnt.

    Raises:
        TypeError, ValueError: for bad data or settings.
        FloatingPointError: at the end of an epoch in which the training diverged.

    Source: chapter 12.
    """
    check_run(net, data, epochs, batch_size, lr)
    device = next(net.parameters()).device
    losses = torch.full((epochs,), torch.nan)
    try:
        for epoch in range(epochs):
            factor = 1 if lr_schedule is None else lr_schedule(epoch / epochs)
            set_lr(optimizers, lr * factor)
            total, count = 0, 0
            for x, y in batches(data, batch_size, device=device):
                total += len(x) * train_step(x, y)
                count += len(x)
            check_count("the number of images in the data", count)
            losses[epoch] = total.cpu() / count
            check_converging(net, losses[epoch], epoch)
            if on_epoch is not None and on_epoch(net, epoch + 1, losses[epoch]):
                break
    except KeyboardInterrupt:
        print_stopped()
    return losses


def train_backprop(
    sizes: Sequence[int],
    data,
    epochs: int = 10,
    batch_size: int = 256,
    lr: float = 0.001,
    lr_schedule: Callable | None = None,
    on_epoch: Callable | None = None,
    n_classes: int = 10,
    device: torch.device | str | None = None,
) -> MLP:
    """Train a new `MLP` by backpropagation and Adam.

    Args:
        sizes: as for `MLP`, such as (784, 500, 500).
        data, epochs, batch_size, lr, lr_schedule, on_epoch: as in `train_steps`.
        n_classes: how many scores the net has.
        device: where the net is made; that of a `Split`'s images unless given.

    Returns:
        The net; after Ctrl-C or the stop button with what it has learnt so far.
        `torch.manual_seed` before the call makes it repeatable.

    Raises:
        TypeError, ValueError: for bad sizes, data or settings.
        FloatingPointError: at the end of an epoch in which the training diverged.

    Source: chapter 12.
    """
    if device is None and isinstance(data, Split):
        device = data.images.device
    net = MLP(*sizes, n_classes=n_classes).to(device)
    optimizer = torch.optim.Adam(net.parameters(), lr=lr)

    def train_step(x, y):
        return backprop_step(net, optimizer, x, y)

    settings = epochs, batch_size, lr, lr_schedule, on_epoch
    train_steps(net, [optimizer], train_step, data, *settings)
    return net


def train_targets(
    sizes: Sequence[int],
    data,
    epochs: int = 10,
    batch_size: int = 256,
    lr: float = 0.001,
    step: float = 0.1,
    difference: bool = True,
    noise: float = 0.1,
    lr_schedule: Callable | None = None,
    on_epoch: Callable | None = None,
    n_classes: int = 10,
    device: torch.device | str | None = None,
) -> TargetPropNet:
    """Train a new `TargetPropNet` by target propagation, with or without difference.

    Args:
        sizes: as for `TargetPropNet`, such as (784, 500, 500).
        step, difference, noise: as in `target_step`.
        data, epochs, batch_size, lr, lr_schedule, on_epoch, n_classes, device: as in
            `train_backprop`, which also says what is raised.

    Returns:
        The net; after Ctrl-C or the stop button with what it has learnt so far.

    Source: Bengio 2014, Lee et al. 2015; chapter 12.
    """
    if device is None and isinstance(data, Split):
        device = data.images.device
    net = TargetPropNet(*sizes, n_classes=n_classes).to(device)
    optimizers = target_optimizers(net, lr)

    def train_step(x, y):
        return target_step(net, optimizers, x, y, step, difference, noise)

    settings = epochs, batch_size, lr, lr_schedule, on_epoch
    train_steps(net, optimizers, train_step, data, *settings)
    return net


def check_converging(net: nn.Module, loss: Tensor, epoch: int) -> None:
    """Raise FloatingPointError where a loss has exploded or a weight is not finite.

    Units of tanh stay finite whatever the weights, so that a loss may end in the
    millions without ever being infinite; guessing costs ln(n_classes).
    """
    finite = torch.stack([p.isfinite().all() for p in net.parameters()]).all()
    if not loss < 1e6 or not finite:  # a GPU is waited for once
        raise FloatingPointError(
            f"the loss is {loss:g} in epoch {epoch + 1}, or a weight is not finite: "
            "the training has diverged; lower lr and start from a new net"
        )


def check_hidden_sizes(sizes: Sequence[int], n_classes: int) -> None:
    """Raise ValueError unless there are pixels, a hidden layer and two classes."""
    if len(sizes) < 2:
        raise ValueError(
            "expected the number of pixels and one hidden layer or more, such as "
            f"MLP(784, 500, 500), got {sizes}"
        )
    for size in sizes:
        check_count("the number of units of a layer", size)
    check_count("n_classes", n_classes, least=2)


def check_inverses(sizes: Sequence[int]) -> None:
    """Raise ValueError unless there is a hidden layer above the first to invert."""
    if len(sizes) < 3:
        raise ValueError(
            "target propagation needs two hidden layers or more, for it learns an "
            "inverse of each but the first: expected sizes such as (784, 500, 500), "
            f"got {tuple(sizes)}"
        )
