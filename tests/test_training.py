"""Chapter 04's module: gradients, what they must never reach, and the loop."""

import copy
import functools
import itertools
import math

import pytest
import torch
from torch.nn.functional import linear, one_hot, softplus
from torch.utils.data import DataLoader, TensorDataset

from ffutils.data import Split, batches
from ffutils.labels import overlay
from ffutils.layers import FFLayer, FFNet, goodness, normalize
from ffutils.prediction import fit_softmax, predict
from ffutils.recipe import RECIPE, drop_pixels, hard_negatives, pair_loss
from ffutils.training import (
    logistic_loss,
    random_negatives,
    set_lr,
    train,
    train_batch,
    train_epoch,
    train_layer,
)


@pytest.fixture
def split():
    """Forty images of 20 pixels: noise, and one bright pixel that tells the class."""
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
    loss = logistic_loss(at_threshold, at_threshold)
    assert loss.item() == pytest.approx(math.log(2), abs=1e-12)
    twice = 2 * at_threshold
    loss = logistic_loss(twice, twice, threshold=4.0)
    assert loss.item() == pytest.approx(math.log(2), abs=1e-12)


def test_logistic_loss_by_hand():
    # The sums of squares less the width are 3 and −1, and −2.
    positive = torch.tensor([[1.0, 2.0], [0.0, 1.0]], dtype=torch.float64)
    negative = torch.tensor([[0.0, 0.0]], dtype=torch.float64)
    terms = [math.log1p(math.exp(z)) for z in (-3, 1, -2)]
    expected = ((terms[0] + terms[1]) / 2 + terms[2]) / 2
    loss = logistic_loss(positive, negative)
    assert loss.item() == pytest.approx(expected, abs=1e-12)


def test_logistic_loss_takes_the_goodness_that_it_is_given():
    positive, negative = torch.rand(2, 5, 4)

    def double(h):
        return 2 * goodness(h)

    expected = logistic_loss(2**0.5 * positive, 2**0.5 * negative)
    torch.testing.assert_close(logistic_loss(positive, negative, double), expected)


def test_logistic_loss_rewards_high_positive_and_low_negative_goodness():
    low, high = torch.full((1, 5), 0.5), torch.full((1, 5), 1.5)
    assert (
        logistic_loss(high, low) < logistic_loss(high, high) < logistic_loss(low, high)
    )


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
    """The logistic loss's gradients for a layer's weight and bias, without autograd.

    With z = Σy² − width and y = relu(W n + b), dL/dz is −σ(−z) / 2B on the positive
    pass and σ(z) / 2B on the negative one, and dz/da = 2y, since y is 0 wherever the
    ReLU is off.
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

    def loss_of(weight, bias):
        h, other = (
            torch.relu(linear(normalize(x), weight, bias)) for x in (positive, negative)
        )
        logit, other_logit = h.square().sum(1) - 4, other.square().sum(1) - 4
        return (softplus(-logit).mean() + softplus(other_logit).mean()) / 2

    # Against finite differences.
    assert torch.autograd.gradcheck(loss_of, parameters, eps=1e-6, atol=1e-6)
    expected = torch.autograd.grad(loss_of(*parameters), parameters)
    before = weights(layer)
    train_layer(layer, torch.optim.SGD(layer.parameters(), lr=1.0), positive, negative)
    for old, new, gradient in zip(before, weights(layer), expected, strict=True):
        torch.testing.assert_close(old - new, gradient, rtol=0, atol=1e-6)


def test_a_step_lowers_the_loss_and_returns_what_was_before_it(one_layer):
    layer, positive, negative = one_layer
    on_positive, on_negative = layer(positive).detach(), layer(negative).detach()
    step = train_layer(
        layer, torch.optim.SGD(layer.parameters(), lr=0.01), positive, negative
    )
    assert same(
        step, (on_positive, on_negative, logistic_loss(on_positive, on_negative))
    )
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
    train_layer(
        layer,
        torch.optim.SGD(layer.parameters(), lr=1.0),
        below(positive),
        below(negative),
    )
    optimizers = [torch.optim.SGD(layer.parameters(), lr=1.0) for layer in net.layers]
    train_batch(net, optimizers, positive, negative, [0, 1, 2])
    assert not same(weights(net.layers[0]), weights(below))
    assert same(weights(net.layers[1]), weights(layer))


def test_only_the_layers_that_are_named_learn(net):
    before = [weights(layer) for layer in net.layers]
    optimizers = [torch.optim.SGD(layer.parameters(), lr=1.0) for layer in net.layers]
    losses = train_batch(net, optimizers, *torch.rand(2, 5, 20), layer_indices=[1])
    assert losses.shape == (1,)
    assert [
        same(old, weights(layer)) for old, layer in zip(before, net.layers, strict=True)
    ] == [True, False, True]
    assert all(p.grad is None for k in (0, 2) for p in net.layers[k].parameters())


def test_the_loss_of_each_layer_is_returned_in_order(net):
    positive, negative = torch.rand(2, 5, 20)
    expected = [
        logistic_loss(p, n).detach()
        for p, n in zip(net(positive), net(negative), strict=True)
    ]
    optimizers = [torch.optim.SGD(layer.parameters(), lr=1.0) for layer in net.layers]
    assert torch.equal(
        train_batch(net, optimizers, positive, negative, [0, 1, 2]),
        torch.stack(expected),
    )


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


def test_greedy_is_training_each_layer_alone_on_what_those_below_have_become(
    split, net
):
    alone = copy.deepcopy(net)
    torch.manual_seed(5)
    quiet(net, split, epochs=2, batch_size=16, lr=0.01, greedy=True)
    torch.manual_seed(5)
    for k, layer in enumerate(alone.layers):
        optimizer = torch.optim.Adam(layer.parameters(), lr=0.01)
        for _ in range(2):
            for x, y in batches(split, 16):
                positive, negative = (
                    overlay(x, y),
                    overlay(x, random_negatives(alone, x, y)),
                )
                for below in alone.layers[:k]:
                    positive, negative = below(positive), below(negative)
                train_layer(layer, optimizer, positive, negative)
    assert same(weights(net), weights(alone))


def test_greedy_leaves_finished_layers_alone_and_later_ones_untouched(split, net):
    snapshots = [[weights(layer) for layer in net.layers]]

    def record(net, epoch, losses):
        snapshots.append([weights(layer) for layer in net.layers])

    quiet(net, split, epochs=1, greedy=True, on_epoch=record)
    for k, (before, after) in enumerate(itertools.pairwise(snapshots)):
        pairs = zip(before, after, strict=True)
        assert [not same(old, new) for old, new in pairs] == [j == k for j in range(3)]


def test_training_together_moves_every_layer_by_adam_with_the_given_lr(split, net):
    before = weights(net)
    quiet(net, split, epochs=1, batch_size=40, lr=0.01)
    for old, new in zip(before, weights(net), strict=True):
        assert (old - new).abs().max().item() == pytest.approx(
            0.01, rel=1e-3
        )  # Adam's first step is lr · sign


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
def test_losses_are_means_over_images_although_the_last_batch_is_smaller(
    split, net, greedy
):
    small = Split(split.images[:10], split.labels[:10])
    losses = quiet(
        net, small, epochs=2, batch_size=4, greedy=greedy,
        loss_fn=lambda p, n, _: 0 * p.sum() + len(p),
    )  # fmt: skip
    expected = (4 * 4 + 4 * 4 + 2 * 2) / 10
    torch.testing.assert_close(losses, torch.full((2, 3), expected))


def test_negatives_see_the_net_the_bare_images_and_their_labels(split, net):
    calls = []

    def next_label(net_given, x, y):
        calls.append((net_given is net, x, y))
        return (y + 1) % 10

    passes = []

    def spy(positive, negative, goodness):
        passes.append((positive.detach(), negative.detach()))
        return logistic_loss(positive, negative, goodness)

    before = copy.deepcopy(net.layers[0])
    quiet(net, split, epochs=1, batch_size=40, negative_labels=next_label, loss_fn=spy)
    ((right_net, x, y),) = calls
    assert right_net
    assert torch.equal(x.sort(0).values, split.images.sort(0).values)
    assert same(passes[0], (before(overlay(x, y)), before(overlay(x, (y + 1) % 10))))
    assert len(passes) == 3  # the layers share the loss function


def test_on_epoch_is_called_after_each_epoch_counted_from_1(split, net):
    calls = []

    def record(given, epoch, losses):
        calls.append((given is net, epoch, losses.clone()))

    losses = quiet(net, split, epochs=3, on_epoch=record)
    assert [call[:2] for call in calls] == [(True, 1), (True, 2), (True, 3)]
    assert torch.equal(torch.stack([call[2] for call in calls]), losses)


def test_on_epoch_can_say_which_layer_learns_from_the_losses_that_are_there(split, net):
    """The greedy loop fills a row of losses layer by layer."""
    rows = []
    quiet(
        net, split, epochs=2, greedy=True,
        on_epoch=lambda net, epoch, losses: rows.append(losses.isfinite().tolist()),
    )  # fmt: skip
    assert rows == 2 * [[True, False, False]] + 2 * [[True, True, False]] + 2 * [
        [True, True, True]
    ]


def test_the_training_images_are_left_as_they_were(split, net):
    before = [part.clone() for part in split]
    quiet(net, split, epochs=1)
    assert same(before, split)


# Stopping


def interrupt(*_):
    raise KeyboardInterrupt


def test_ctrl_c_between_epochs_keeps_the_weights_and_marks_what_was_not_reached(
    split, net, capsys
):
    reference = copy.deepcopy(net)
    torch.manual_seed(5)
    expected = quiet(reference, split, epochs=2)
    torch.manual_seed(5)
    losses = quiet(
        net,
        split,
        epochs=5,
        on_epoch=lambda net, epoch, losses: epoch == 2 and interrupt(),
    )
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
    losses = quiet(
        net, split, epochs=2, batch_size=20, negative_labels=few
    )  # two batches an epoch
    assert losses[0].isfinite().all()
    assert losses[1].isnan().all()
    assert not same(before, weights(net))
    assert all(p.isfinite().all() for p in net.parameters())


def test_ctrl_c_in_greedy_training_marks_the_layers_that_were_not_reached(split, net):
    calls = itertools.count(1)
    losses = quiet(
        net, split, epochs=2, greedy=True,
        on_epoch=lambda *_: next(calls) == 3 and interrupt(),
    )  # fmt: skip
    assert losses.isnan().tolist() == [[False, False, True], [False, True, True]]


@pytest.mark.parametrize("end", [True, 1, "enough", torch.tensor(True)])
def test_a_true_value_of_on_epoch_ends_the_training(split, net, end):
    epochs = []

    def stop(net, epoch, losses):
        epochs.append(epoch)
        return end if epoch == 2 else None

    losses = quiet(net, split, epochs=5, on_epoch=stop)
    assert epochs == [1, 2]
    assert losses[:2].isfinite().all() and losses[2:].isnan().all()


@pytest.mark.parametrize("value", [None, False, 0])
def test_any_other_value_of_on_epoch_does_not(split, net, value):
    losses = quiet(net, split, epochs=3, on_epoch=lambda *_: value)
    assert losses.isfinite().all()


def test_a_true_value_ends_greedy_training_as_a_whole(split, net):
    before = [weights(layer) for layer in net.layers]
    calls = itertools.count(1)
    losses = quiet(
        net, split, epochs=2, greedy=True, on_epoch=lambda *_: next(calls) == 3
    )
    assert losses.isnan().tolist() == [[False, False, True], [False, True, True]]
    assert same(before[2], weights(net.layers[2]))


# Divergence


LOSSES = {
    "logistic": logistic_loss,
    "pairs": pair_loss,
    "a threshold": functools.partial(logistic_loss, threshold=2.0),
    "a hinge": lambda p, n, g: torch.relu(1 - g(p) + g(n)).mean(),
    "one's own": lambda p, n, g: (n.mean(dim=1) - p.mean(dim=1)).exp().mean(),
}
NEGATIVES = {"random": random_negatives, "hard": hard_negatives}
OPTIMIZERS = {
    "Adam": torch.optim.Adam,
    "SGD": torch.optim.SGD,
    "momentum": functools.partial(torch.optim.SGD, momentum=0.9),
    "RMSprop": torch.optim.RMSprop,
    "AdamW": torch.optim.AdamW,
}


@pytest.mark.parametrize("loss_fn", LOSSES.values(), ids=LOSSES)
@pytest.mark.parametrize("negative_labels", NEGATIVES.values(), ids=NEGATIVES)
@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
@pytest.mark.parametrize("greedy", [False, True])
def test_divergence_is_one_error_everywhere(
    split, net, loss_fn, negative_labels, optimizer, greedy
):
    """A step that is too long ends in this error and in no other.

    Where a loss stays finite although no goodness is, such as the hinge, the prediction
    raises it.
    """
    with pytest.raises(FloatingPointError, match="(?=.*diverged).*lower lr"):
        quiet(
            net, split, epochs=3, lr=1e30, batch_size=8, optimizer=optimizer,
            greedy=greedy, loss_fn=loss_fn, negative_labels=negative_labels,
        )  # fmt: skip
        predict(net, split.images)


@pytest.mark.parametrize(
    "settings", [{}, RECIPE | {"batch_size": 8}], ids=["plain", "recipe"]
)
@pytest.mark.parametrize("layer", [0, 1, 2])
@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_weights_that_are_no_numbers_are_found_in_the_first_epoch(
    split, net, settings, layer, value
):
    net.layers[layer].weight.data[0] = value
    message = rf"the loss of layer {layer + 1} is nan in epoch 1: .*lower lr"
    with pytest.raises(FloatingPointError, match=message):
        quiet(net, split, **settings)


def test_divergence_within_an_epoch_is_found_at_its_end(split, net):
    calls = itertools.count(1)

    def diverge(positive, negative, goodness):
        loss = logistic_loss(positive, negative, goodness)
        return (
            loss * torch.nan if next(calls) == 5 else loss
        )  # the second of three batches

    ended = []
    with pytest.raises(FloatingPointError, match="layer 2 is nan in epoch 1"):
        quiet(
            net, split, batch_size=16, loss_fn=diverge,
            on_epoch=lambda *_: ended.append(1),
        )  # fmt: skip
    assert not ended


@pytest.mark.parametrize("greedy", [False, True])
def test_a_last_step_that_diverges_is_found_although_its_loss_was_finite(
    split, net, greedy
):
    class Broken(torch.optim.SGD):
        def step(self):
            self.param_groups[0]["params"][0].data[0] = torch.nan

    with pytest.raises(FloatingPointError, match="a weight is not finite: .*lower lr"):
        quiet(net, split, epochs=1, batch_size=40, optimizer=Broken, greedy=greedy)


# Other dtypes


@pytest.mark.parametrize("settings", [{}, RECIPE], ids=["plain", "recipe"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize("drop", [None, drop_pixels])
def test_nets_of_other_dtypes_train_and_the_book_is_kept_in_float32(
    split, net, settings, dtype, drop
):
    data = Split(split.images.to(dtype), split.labels)
    before = weights(net.to(dtype))
    losses = quiet(net, data, **(settings | {"epochs": 3, "augment": drop}))
    assert losses.dtype == torch.float32 and losses.isfinite().all()
    assert all(p.dtype == dtype for p in net.parameters())
    assert not same(before, weights(net))
    assert predict(net, data.images).shape == (40,)


def test_double_precision_is_that_of_the_whole_training(split, net):
    """And the same training but for the rounding."""
    other = copy.deepcopy(net).double()
    torch.manual_seed(5)
    losses = quiet(net, split, epochs=3, batch_size=16)
    torch.manual_seed(5)
    data = Split(split.images.double(), split.labels)
    exact = quiet(other, data, epochs=3, batch_size=16)
    torch.testing.assert_close(losses, exact, rtol=1e-4, atol=1e-4)
    for p, q in zip(net.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(p.double(), q, rtol=1e-2, atol=1e-4)


def test_the_mean_loss_of_many_batches_is_not_rounded_to_bfloat16(net):
    """257 batches of 1: in bfloat16 the sum would stop at 256."""
    data = Split(torch.rand(257, 20).bfloat16(), torch.arange(257) % 10)
    losses = quiet(
        net.bfloat16(), data, epochs=1, batch_size=1,
        loss_fn=lambda p, n, g: 0 * p.sum() + 1,
    )  # fmt: skip
    assert torch.equal(losses, torch.ones(1, 3))


@pytest.mark.parametrize("settings", [{}, RECIPE], ids=["plain", "recipe"])
def test_float16_weights_are_refused_before_the_training(split, net, settings):
    before = weights(net.half())
    with pytest.raises(
        TypeError, match=r"float16 .* net.float\(\), and torch.autocast"
    ):
        quiet(net, Split(split.images.half(), split.labels), **settings)
    assert same(before, weights(net))


@pytest.mark.parametrize("settings", [{}, RECIPE], ids=["plain", "recipe"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_under_autocast_a_net_trains_as_without(split, net, settings, dtype):
    settings = settings | {"epochs": 5, "lr": 0.003, "batch_size": 10}
    usual = copy.deepcopy(net)
    torch.manual_seed(5)
    expected = quiet(usual, split, **settings)
    torch.manual_seed(5)
    with torch.autocast("cpu", dtype, cache_enabled=False):
        losses = quiet(net, split, **settings)
    assert losses.dtype == torch.float32
    assert all(p.dtype == torch.float32 for p in net.parameters())
    assert (expected[-1] < 0.8 * expected[0])[0]
    torch.testing.assert_close(losses, expected, rtol=0.02, atol=0.02)


@pytest.mark.parametrize("settings", [{}, RECIPE], ids=["plain", "recipe"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_an_autocast_that_holds_on_to_old_weights_is_refused(
    split, net, settings, dtype
):
    """PyTorch's default: each step would see the weights of the first one."""
    before = weights(net)
    with torch.autocast("cpu", dtype):
        with pytest.raises(RuntimeError, match="add cache_enabled=False"):
            quiet(net, split, **settings)
        with pytest.raises(RuntimeError, match="add cache_enabled=False"):
            fit_softmax(*split)
        predict(net, split.images)  # which changes no weight
    assert same(before, weights(net))
    with torch.autocast("cpu", dtype, enabled=False):
        quiet(net, split, **settings | {"epochs": 1})


# What it takes: any data, any optimiser


def test_a_list_of_batches_is_what_a_split_of_one_batch_is(split, net):
    other = copy.deepcopy(net)
    torch.manual_seed(5)
    expected = quiet(net, split, epochs=1, batch_size=40)
    torch.manual_seed(5)
    order = torch.randperm(40)
    losses = quiet(other, [(split.images[order], split.labels[order])], epochs=1)
    assert torch.equal(losses, expected)
    assert same(weights(net), weights(other))


@pytest.mark.parametrize("workers", [0, 1])
def test_a_loader_is_gone_through_once_an_epoch(split, net, workers):
    batch_sizes = []

    def listen(net, x, y):
        batch_sizes.append(len(y))
        return random_negatives(net, x, y)

    loader = DataLoader(
        TensorDataset(*split), batch_size=16, shuffle=True, num_workers=workers
    )
    losses = quiet(net, loader, epochs=2, negative_labels=listen, batch_size=3)
    assert batch_sizes == [16, 16, 8, 16, 16, 8]
    assert losses.isfinite().all()


def test_a_loader_of_image_files_is_told_to_flatten(split, net):
    images = split.images.view(40, 1, 4, 5)
    loader = DataLoader(TensorDataset(images, split.labels), batch_size=8)
    with pytest.raises(ValueError, match=r"try images.flatten\(1\)"):
        quiet(net, loader)
    quiet(net, [(x.flatten(1), y) for x, y in loader], epochs=1)


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_any_optimizer_will_do(split, net, optimizer):
    before = weights(net)
    losses = quiet(net, split, epochs=3, optimizer=optimizer, lr=0.01)
    assert losses.isfinite().all()
    assert not any(
        torch.equal(*pair) for pair in zip(before, weights(net), strict=True)
    )


def test_each_layer_has_an_optimizer_of_its_own_with_the_lr_given(split, net):
    made = []

    def momentum(parameters, lr):
        made.append((list(parameters), lr))
        return torch.optim.SGD(made[-1][0], lr=lr, momentum=0.9)

    quiet(net, split, epochs=1, optimizer=momentum, lr=0.25)
    assert [lr for _, lr in made] == 3 * [0.25]
    for (parameters, _), layer in zip(made, net.layers, strict=True):
        pairs = zip(parameters, layer.parameters(), strict=True)
        assert all(p is q for p, q in pairs)


def test_set_lr_reaches_every_group():
    weight, bias = torch.nn.Parameter(torch.ones(2)), torch.nn.Parameter(torch.ones(2))
    groups = torch.optim.SGD([{"params": [weight]}, {"params": [bias]}], lr=1.0)
    set_lr([groups], 0.125)
    assert [group["lr"] for group in groups.param_groups] == [0.125, 0.125]


def test_an_epoch_is_what_train_calls(split, net):
    other = copy.deepcopy(net)
    torch.manual_seed(5)
    expected = quiet(net, split, epochs=1, batch_size=16, lr=0.01)
    torch.manual_seed(5)
    optimizers = [
        torch.optim.Adam(layer.parameters(), lr=0.01) for layer in other.layers
    ]
    losses = train_epoch(other, optimizers, split, [0, 1, 2], batch_size=16)
    assert torch.equal(losses, expected[0])
    assert same(weights(net), weights(other))


# What a person sees


def test_progress_is_one_line_per_epoch_or_nothing(split, net, capsys):
    quiet(net, split, epochs=2)
    assert capsys.readouterr().out == ""
    losses = train(net, split, epochs=2)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    values = " ".join(f"{value:.3f}" for value in losses[1])
    assert lines[1].startswith(f"epoch  2/2  layers 1, 2, 3  loss {values}")


def test_greedy_progress_names_the_one_layer_that_learns(split, net, capsys):
    train(net, split, epochs=1, greedy=True)
    lines = capsys.readouterr().out.splitlines()
    titles = [line.split("  loss")[0] for line in lines]
    assert titles == [f"epoch  1/1  layer {k}" for k in (1, 2, 3)]


def test_numbers_near_zero_count_as_zero():
    """`import ffutils` sees to it: they turn up in training and double its time."""
    assert (torch.full((1000,), 1e-30) * 1e-10 == 0).all()
