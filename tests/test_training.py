"""Chapter 04's module: the gradients, what they must never reach, and the bookkeeping of the training loop."""

import copy
import itertools
import math
import sys

import pytest
import torch
from torch.nn.functional import linear, one_hot, softplus

from ffutils.data import Split, batches
from ffutils.labels import overlay
from ffutils.layers import FFLayer, FFNet, goodness, normalize
from ffutils.progress import watched
from ffutils.training import logistic_loss, random_negatives, train, train_batch, train_layer


@pytest.fixture
def split():
    """Forty small images of 20 pixels: noise, and one bright pixel that tells the class."""
    torch.manual_seed(0)
    labels = torch.arange(40) % 10
    return Split(torch.rand(40, 20) / 4 + 0.75 * one_hot(labels + 10, 20), labels)


@pytest.fixture
def net():
    torch.manual_seed(1)
    return FFNet(20, 16, 12, 8)


def weights(module):
    return [p.detach().clone() for p in module.parameters()]


def same(first, second):
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def quiet(net, split, **settings):
    return train(net, split, progress=False, **settings)


# The loss


def test_logistic_loss_is_ln_2_where_both_passes_stand_at_the_threshold():
    at_threshold = torch.ones(3, 7, dtype=torch.float64)
    assert logistic_loss(at_threshold, at_threshold).item() == pytest.approx(math.log(2), abs=1e-12)
    twice = 2 * at_threshold
    assert logistic_loss(twice, twice, threshold=4.0).item() == pytest.approx(math.log(2), abs=1e-12)


def test_logistic_loss_by_hand():
    positive = torch.tensor([[1.0, 2.0], [0.0, 1.0]], dtype=torch.float64)  # Σy² − width: 3 and −1
    negative = torch.tensor([[0.0, 0.0]], dtype=torch.float64)  # −2
    expected = ((math.log1p(math.exp(-3)) + math.log1p(math.exp(1))) / 2 + math.log1p(math.exp(-2))) / 2
    assert logistic_loss(positive, negative).item() == pytest.approx(expected, abs=1e-12)


def test_logistic_loss_rewards_high_positive_and_low_negative_goodness():
    low, high = torch.full((1, 5), 0.5), torch.full((1, 5), 1.5)
    assert logistic_loss(high, low) < logistic_loss(high, high) < logistic_loss(low, high)


def test_logistic_loss_is_finite_far_from_the_threshold():
    low, high = torch.zeros(1, 500), torch.full((1, 500), 1e3)
    assert logistic_loss(high, low).item() == 0
    assert logistic_loss(low, high).isfinite()


# One step of one layer


@pytest.fixture
def one_layer():
    """A layer in float64, and a positive and a negative batch for it."""
    torch.manual_seed(2)
    positive, negative = torch.rand(2, 6, 5, dtype=torch.float64)
    layer = FFLayer(5, 4).double()
    layer.bias.data = torch.randn(4, dtype=torch.float64) / 4
    return layer, positive, negative


def derived_gradient(layer, positive, negative):
    """The gradients of the logistic loss for a layer's weight and bias, derived by hand without autograd.

    With z = Σy² − width and y = relu(W n + b), dL/dz is −σ(−z) / 2B on the positive pass and σ(z) / 2B on the
    negative one, and dz/da = 2y, since y is 0 wherever the ReLU is off.
    """
    weight, bias = 0, 0
    for x, sign in ((positive, -1), (negative, 1)):
        n = x / (x.square().mean(1, keepdim=True) + 1e-8).sqrt()
        y = (n @ layer.weight.detach().T + layer.bias.detach()).clamp(min=0)
        z = y.square().sum(1, keepdim=True) - y.shape[1]
        push = sign * torch.sigmoid(sign * z) * y / len(x)
        weight, bias = weight + push.T @ n, bias + push.sum(0)
    return weight, bias


def test_a_step_takes_the_gradient_that_was_derived_by_hand(one_layer):
    layer, positive, negative = one_layer
    expected = derived_gradient(layer, positive, negative)
    before = weights(layer)
    train_layer(layer, torch.optim.SGD(layer.parameters(), lr=1.0), positive, negative)
    for old, new, gradient in zip(before, weights(layer), expected, strict=True):
        assert gradient.abs().max() > 1e-3
        torch.testing.assert_close(old - new, gradient, rtol=0, atol=1e-6)


def test_a_step_takes_the_gradient_that_autograd_finds(one_layer):
    layer, positive, negative = one_layer
    parameters = tuple(p.detach().clone().requires_grad_() for p in layer.parameters())

    def objective(weight, bias):
        right, wrong = (torch.relu(linear(normalize(x), weight, bias)) for x in (positive, negative))
        return (softplus(4 - right.square().sum(1)).mean() + softplus(wrong.square().sum(1) - 4).mean()) / 2

    assert torch.autograd.gradcheck(objective, parameters, eps=1e-6, atol=1e-6)  # against finite differences
    expected = torch.autograd.grad(objective(*parameters), parameters)
    before = weights(layer)
    train_layer(layer, torch.optim.SGD(layer.parameters(), lr=1.0), positive, negative)
    for old, new, gradient in zip(before, weights(layer), expected, strict=True):
        torch.testing.assert_close(old - new, gradient, rtol=0, atol=1e-6)


def test_a_step_lowers_the_loss_and_returns_what_was_before_it(one_layer):
    layer, positive, negative = one_layer
    on_positive, on_negative = layer(positive).detach(), layer(negative).detach()
    step = train_layer(layer, torch.optim.SGD(layer.parameters(), lr=0.01), positive, negative)
    assert same(step, (on_positive, on_negative, logistic_loss(on_positive, on_negative)))
    assert logistic_loss(layer(positive), layer(negative)) < step[2]


def test_a_step_does_not_add_to_old_gradients(one_layer):
    layer, positive, negative = one_layer
    other = copy.deepcopy(layer)
    for p in other.parameters():
        p.grad = torch.full_like(p, 100.0)
    for one in (layer, other):
        train_layer(one, torch.optim.SGD(one.parameters(), lr=1.0), positive, negative)
    assert same(weights(layer), weights(other))


# What no gradient may reach


def test_no_gradient_reaches_the_layer_below_or_the_images(net):
    below, layer, above = net.layers
    x = torch.rand(5, 20, requires_grad=True)
    before = weights(below) + weights(above)
    inputs = below(x), below(1 - x)  # still tied to the layer below and to the images
    assert inputs[0].requires_grad
    returned = train_layer(layer, torch.optim.SGD(layer.parameters(), lr=1.0), *inputs)
    assert all(p.grad is None for p in [x, *below.parameters(), *above.parameters()])
    assert same(before, weights(below) + weights(above))
    assert all(p.grad.abs().sum() > 0 for p in layer.parameters())
    assert not any(tensor.requires_grad for tensor in returned)


def test_layers_above_change_nothing_for_those_below(net):
    positive, negative = torch.rand(2, 5, 20)
    alone = copy.deepcopy(net.layers[0])
    train_layer(alone, torch.optim.SGD(alone.parameters(), lr=1.0), positive, negative)
    optimizers = [torch.optim.SGD(layer.parameters(), lr=1.0) for layer in net.layers]
    train_batch(net, optimizers, positive, negative, [0, 1, 2])
    assert same(weights(net.layers[0]), weights(alone))


def test_a_layer_learns_from_what_the_layer_below_said_before_its_update(net):
    positive, negative = torch.rand(2, 5, 20)
    below, layer = copy.deepcopy(net.layers[0]), copy.deepcopy(net.layers[1])
    train_layer(layer, torch.optim.SGD(layer.parameters(), lr=1.0), below(positive), below(negative))
    optimizers = [torch.optim.SGD(layer.parameters(), lr=1.0) for layer in net.layers]
    train_batch(net, optimizers, positive, negative, [0, 1, 2])
    assert not same(weights(net.layers[0]), weights(below))
    assert same(weights(net.layers[1]), weights(layer))


def test_only_the_layers_that_are_named_learn(net):
    before = [weights(layer) for layer in net.layers]
    optimizers = [torch.optim.SGD(layer.parameters(), lr=1.0) for layer in net.layers]
    losses = train_batch(net, optimizers, *torch.rand(2, 5, 20), trained=[1])
    assert losses.shape == (1,)
    assert [same(old, weights(layer)) for old, layer in zip(before, net.layers, strict=True)] == [True, False, True]
    assert all(p.grad is None for k in (0, 2) for p in net.layers[k].parameters())


def test_the_loss_of_each_layer_is_returned_in_order(net):
    positive, negative = torch.rand(2, 5, 20)
    expected = [logistic_loss(p, n).detach() for p, n in zip(net(positive), net(negative), strict=True)]
    optimizers = [torch.optim.SGD(layer.parameters(), lr=1.0) for layer in net.layers]
    assert torch.equal(train_batch(net, optimizers, positive, negative, [0, 1, 2]), torch.stack(expected))


# The loop


def test_the_same_seed_gives_the_same_weights(split, net):
    runs = []
    for seed in (5, 5, 6):
        trained = copy.deepcopy(net)
        torch.manual_seed(seed)
        losses = quiet(trained, split, epochs=2, batch_size=16)
        runs.append([losses, *weights(trained)])
    assert same(runs[0], runs[1])
    assert not same(runs[0], runs[2])


def test_greedy_is_training_each_layer_alone_on_what_those_below_have_become(split, net):
    alone = copy.deepcopy(net)
    torch.manual_seed(5)
    quiet(net, split, epochs=2, batch_size=16, lr=0.01, greedy=True)
    torch.manual_seed(5)
    for k, layer in enumerate(alone.layers):
        optimizer = torch.optim.Adam(layer.parameters(), lr=0.01)
        for _ in range(2):
            for x, y in batches(split, 16):
                positive, negative = overlay(x, y), overlay(x, random_negatives(alone, x, y))
                for below in alone.layers[:k]:
                    positive, negative = below(positive), below(negative)
                train_layer(layer, optimizer, positive, negative)
    assert same(weights(net), weights(alone))


def test_greedy_leaves_finished_layers_alone_and_later_ones_untouched(split, net):
    seen = [[weights(layer) for layer in net.layers]]

    def record(net, epoch):
        seen.append([weights(layer) for layer in net.layers])

    quiet(net, split, epochs=1, greedy=True, on_epoch=record)
    for k, (before, after) in enumerate(zip(seen, seen[1:], strict=False)):
        assert [not same(old, new) for old, new in zip(before, after, strict=True)] == [j == k for j in range(3)]


def test_training_together_moves_every_layer_by_adam_with_the_given_lr(split, net):
    before = weights(net)
    quiet(net, split, epochs=1, batch_size=40, lr=0.01)
    for old, new in zip(before, weights(net), strict=True):
        assert (old - new).abs().max().item() == pytest.approx(0.01, rel=1e-3)  # Adam's first step is lr · sign


def test_training_starts_from_the_weights_that_the_net_has(split, net):
    fresh = quiet(copy.deepcopy(net), split, epochs=1, batch_size=40)
    quiet(net, split, epochs=10, batch_size=20, lr=0.02)
    assert (quiet(net, split, epochs=1, batch_size=40) < fresh).all()


def test_training_separates_the_goodness_of_positive_and_negative_data(split, net):
    torch.manual_seed(5)
    quiet(net, split, epochs=40, batch_size=20, lr=0.02)
    positive = net(overlay(*split))
    negative = net(overlay(split.images, random_negatives(net, *split)))
    for right, wrong in zip(positive, negative, strict=True):
        assert goodness(right).mean() > 1 > goodness(wrong).mean()


@pytest.mark.parametrize("greedy", [False, True])
def test_losses_are_means_over_images_although_the_last_batch_is_smaller(split, net, greedy):
    small = Split(split.images[:10], split.labels[:10])
    losses = quiet(net, small, epochs=2, batch_size=4, greedy=greedy, loss=lambda p, n: 0 * p.sum() + len(p))
    expected = (4 * 4 + 4 * 4 + 2 * 2) / 10
    torch.testing.assert_close(losses, torch.full((2, 3), expected))


def test_negatives_see_the_net_the_bare_images_and_their_labels(split, net):
    seen = []

    def next_label(net_given, x, y):
        seen.append((net_given is net, x, y))
        return (y + 1) % 10

    passes = []

    def spy(positive, negative):
        passes.append((positive.detach(), negative.detach()))
        return logistic_loss(positive, negative)

    before = copy.deepcopy(net.layers[0])
    quiet(net, split, epochs=1, batch_size=40, negatives=next_label, loss=spy)
    ((right_net, x, y),) = seen
    assert right_net
    assert torch.equal(x.sort(0).values, split.images.sort(0).values)
    assert same(passes[0], (before(overlay(x, y)), before(overlay(x, (y + 1) % 10))))
    assert len(passes) == 3  # the layers share the loss function


def test_on_epoch_is_called_after_each_epoch_counted_from_1(split, net):
    calls = []
    quiet(net, split, epochs=3, on_epoch=lambda given, epoch: calls.append((given is net, epoch)))
    assert calls == [(True, 1), (True, 2), (True, 3)]


def test_the_training_images_are_left_as_they_were(split, net):
    before = [part.clone() for part in split]
    quiet(net, split, epochs=1)
    assert same(before, split)


# Stopping


def interrupt(*_):
    raise KeyboardInterrupt


def test_ctrl_c_between_epochs_keeps_the_weights_and_marks_what_was_not_reached(split, net, capsys):
    reference = copy.deepcopy(net)
    torch.manual_seed(5)
    expected = quiet(reference, split, epochs=2)
    torch.manual_seed(5)
    losses = quiet(net, split, epochs=5, on_epoch=lambda net, epoch: epoch == 2 and interrupt())
    assert same(weights(net), weights(reference))
    assert torch.equal(losses[:2], expected)
    assert losses[2:].isnan().all()
    assert "keeps what it has learnt" in capsys.readouterr().out


def test_ctrl_c_within_an_epoch_keeps_the_steps_that_were_taken(split, net):
    left = [3]

    def few(net, x, y):
        left[0] -= 1
        return (y + 1) % 10 if left[0] >= 0 else interrupt()

    before = weights(net)
    losses = quiet(net, split, epochs=2, batch_size=20, negatives=few)  # two batches an epoch
    assert losses[0].isfinite().all()
    assert losses[1].isnan().all()
    assert not same(before, weights(net))
    assert all(p.isfinite().all() for p in net.parameters())


def test_ctrl_c_in_greedy_training_marks_the_layers_that_were_not_reached(split, net):
    calls = itertools.count(1)
    losses = quiet(net, split, epochs=2, greedy=True, on_epoch=lambda *_: next(calls) == 3 and interrupt())
    assert losses.isnan().tolist() == [[False, False, True], [False, True, True]]


def test_divergence_names_the_layer_and_what_to_do(split, net):
    with pytest.raises(FloatingPointError, match=r"the loss of layer 1 is (nan|inf) in epoch 1: .*lower lr"):
        quiet(net, split, lr=1e30, batch_size=8)


# What a person sees


@pytest.fixture
def nobody_watches(monkeypatch):
    """Not a terminal and not a notebook, although some pytest plugins import ipykernel."""
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)


def test_progress_is_one_line_per_epoch_or_nothing(split, net, capsys, nobody_watches):
    quiet(net, split, epochs=2)
    assert capsys.readouterr().out == ""
    losses = train(net, split, epochs=2)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[1].startswith("epoch  2/2  layers 1, 2, 3  loss " + " ".join(f"{value:.3f}" for value in losses[1]))


def test_greedy_progress_names_the_one_layer_that_learns(split, net, capsys, nobody_watches):
    train(net, split, epochs=1, greedy=True)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  loss")[0] for line in lines] == [f"epoch  1/1  layer {k}" for k in (1, 2, 3)]


def test_in_a_notebook_a_line_counts_the_batches_and_is_cleared(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "ipykernel", None)
    clock = itertools.count()
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    assert list(watched("ab")) == ["a", "b"]
    assert capsys.readouterr().out == "\r  batch 1\r  batch 2\r" + " " * 20 + "\r"
