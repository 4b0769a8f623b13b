"""Chapter 12: backpropagation and two kinds of target propagation, to set beside Forward-Forward."""

from itertools import pairwise

import torch
from torch import nn
from torch.nn.functional import cross_entropy, mse_loss

from ffutils.checks import check_labels, check_training, check_widths
from ffutils.data import batches
from ffutils.training import set_lr


class MLP(nn.Module):
    """A plain net for backpropagation: MLP(784, 500, 500) has two hidden layers of 500 ReLUs and ten scores above.

    Called on x (B, 784), it returns the scores (B, 10). Raises ValueError for fewer than two widths, or a width below
    1. Derived in chapter 12.
    """

    def __init__(self, *widths):
        check_widths(widths)
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(below, above) for below, above in pairwise(widths))
        self.output = nn.Linear(widths[-1], 10)

    def forward(self, x):
        for layer in self.layers:
            x = torch.relu(layer(x))
        return self.output(x)


def backprop_step(net, optimizer, x, y):
    """Take one step with all layers at once, down the gradient of the cross-entropy: x (B, 784), y (B,) → a scalar.

    Rumelhart et al. 1986; derived in chapter 12.
    """
    check_labels(y, count=len(x))
    loss = cross_entropy(net(x), y)
    optimizer.zero_grad()
    loss.backward()  # through every layer, from the last to the first
    optimizer.step()
    return loss.detach()


class TargetNet(nn.Module):
    """A net for target propagation: TargetNet(784, 500, 500) has two hidden layers of 500 tanh units, ten scores, and
    a learnt inverse of its second layer.

    `states(x)` returns what the hidden layers make of x (B, 784), the lowest first, and no gradient passes from one to
    another; the net itself returns the scores (B, 10). `back(k, h)` maps states h of hidden layer k + 1 to states of
    layer k, counted from 0. activation: a function of a layer's sums, tanh unless given. Raises ValueError for fewer
    than three widths, or a width below 1. Bengio 2014, Lee et al. 2015; derived in chapter 12.
    """

    def __init__(self, *widths, activation=torch.tanh):
        check_widths(widths)
        check_inverses(widths)
        super().__init__()
        self.activation = activation
        self.layers = nn.ModuleList(nn.Linear(below, above) for below, above in pairwise(widths))
        self.output = nn.Linear(widths[-1], 10)
        self.inverses = nn.ModuleList(nn.Linear(above, below) for below, above in pairwise(widths[1:]))
        for part in [*self.layers, *self.inverses]:
            nn.init.orthogonal_(part.weight)
            nn.init.zeros_(part.bias)

    def states(self, x):
        found = []
        for layer in self.layers:
            x = self.activation(layer(x.detach()))
            found.append(x)
        return found

    def forward(self, x):
        return self.output(self.states(x)[-1].detach())

    def back(self, k, h):
        return self.activation(self.inverses[k](h))


def find_targets(net, states, y, step=0.1, difference=True):
    """Say what each hidden layer's states (B, width) should have been: a list of targets, the lowest first.

    The highest target is a step down the gradient of each image's cross-entropy, through the output layer alone. Each
    target below is what the inverse makes of the one above; with difference, what the inverse gets wrong about the
    state itself is taken off. Bengio 2014; with difference Lee et al. 2015, eq. 15. Derived in chapter 12.
    """
    top = states[-1].detach().requires_grad_()
    (slope,) = torch.autograd.grad(cross_entropy(net.output(top), y, reduction="sum"), top)
    targets = [(top - step * slope).detach()]
    with torch.no_grad():
        for k in reversed(range(len(states) - 1)):
            target = net.back(k, targets[0])
            if difference:
                target = target + states[k] - net.back(k, states[k + 1])
            targets.insert(0, target)
    return targets


def inverse_loss(net, k, below, noise=0.1):
    """Measure how badly inverse k undoes hidden layer k + 1 near the states below it, (B, width): a scalar.

    noise: the standard deviation of what is added to the states first. Only the inverse learns from this.
    Lee et al. 2015, eq. 13; derived in chapter 12.
    """
    near = below.detach() + noise * torch.randn_like(below)
    above = net.activation(net.layers[k + 1](near)).detach()
    return mse_loss(net.back(k, above), near)


def target_step(net, optimizers, x, y, step=0.1, difference=True, noise=0.1):
    """Take one step of target propagation: the inverses learn, then each layer moves its states towards its targets.

    optimizers: two, of the inverses and of everything else, as `target_optimizers` makes them; returns the
    cross-entropy before the step, a scalar. Lee et al. 2015, algorithm 1; derived in chapter 12.
    """
    check_labels(y, count=len(x))
    inverses, forwards = optimizers
    states = net.states(x)
    inverses.zero_grad()
    sum(inverse_loss(net, k, states[k], noise) for k in range(len(net.inverses))).backward()
    inverses.step()

    targets = find_targets(net, states, y, step, difference)
    distances = [(h - target).square().sum(dim=1).mean() for h, target in zip(states, targets, strict=True)]
    loss = cross_entropy(net.output(states[-1].detach()), y)
    forwards.zero_grad()
    (sum(distances) + loss).backward()  # one call, but no term reaches more than one layer
    forwards.step()
    return loss.detach()


def target_optimizers(net, lr=0.001):
    """Make the two optimisers of `target_step`: Adam for the inverses, and for everything else. Chapter 12."""
    forwards = [*net.layers.parameters(), *net.output.parameters()]
    return torch.optim.Adam(net.inverses.parameters(), lr=lr), torch.optim.Adam(forwards, lr=lr)


def train_steps(net, optimizers, take_step, split, epochs, batch_size, lr, schedule=None, on_epoch=None):
    """Call take_step(x, y) on every batch of a split, epoch after epoch, with the learning rate that the schedule says.

    schedule and on_epoch as in `ffutils.train`. Returns the mean losses (epochs,).
    Raises TypeError or ValueError for a bad split or setting. Derived in chapter 12.
    """
    check_training(net, split, epochs, lr)
    losses = []
    for epoch in range(epochs):
        set_lr(optimizers, lr * (1 if schedule is None else schedule(epoch / epochs)))
        total = sum(len(x) * take_step(x, y) for x, y in batches(split, batch_size))
        losses.append(total.cpu() / len(split.labels))
        if on_epoch is not None:
            on_epoch(net, epoch + 1)
    return torch.stack(losses)


def train_backprop(widths, split, epochs=10, batch_size=256, lr=0.001, schedule=None, on_epoch=None):
    """Train a new `MLP` by backpropagation and Adam; returns it.

    widths: as for `FFNet`, such as (784, 500, 500); split: the training `Split`; schedule, on_epoch: as in
    `ffutils.train`. `torch.manual_seed` before the call makes it repeatable.
    Raises TypeError or ValueError for bad widths, a bad split or setting. Derived in chapter 12.
    """
    net = MLP(*widths).to(split.images.device)
    optimizer = torch.optim.Adam(net.parameters(), lr=lr)

    def take_step(x, y):
        return backprop_step(net, optimizer, x, y)

    train_steps(net, [optimizer], take_step, split, epochs, batch_size, lr, schedule, on_epoch)
    return net


def train_targets(
    widths, split, epochs=10, batch_size=256, lr=0.001, step=0.1, difference=True, noise=0.1,
    schedule=None, on_epoch=None,
):  # fmt: skip
    """Train a new `TargetNet` by difference target propagation or, without difference, by target propagation.

    step, difference, noise: as in `target_step`; the rest, and what it raises, as in `train_backprop`. Returns the net.
    Bengio 2014, Lee et al. 2015; derived in chapter 12.
    """
    net = TargetNet(*widths).to(split.images.device)
    optimizers = target_optimizers(net, lr)

    def take_step(x, y):
        return target_step(net, optimizers, x, y, step, difference, noise)

    train_steps(net, optimizers, take_step, split, epochs, batch_size, lr, schedule, on_epoch)
    return net


def check_inverses(widths):
    """Raise ValueError unless there is a hidden layer above the first, whose inverse can be learnt."""
    if len(widths) < 3:
        raise ValueError(
            "target propagation needs two hidden layers or more, since it learns an inverse for each but the first: "
            f"expected widths such as (784, 500, 500), got {tuple(widths)}"
        )
