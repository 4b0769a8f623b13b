"""Chapter 05's module: goodness for each label against plain loops, and the softmax."""

import pytest
import torch

from ffutils.data import Split, load_digits
from ffutils.labels import neutral, overlay
from ffutils.layers import FFNet, goodness, normalize
from ffutils.prediction import (
    error_rate,
    fit_softmax,
    label_goodness,
    label_goodness_per_layer,
    layer_errors,
    neutral_activations,
    predict,
)
from ffutils.training import train


@pytest.fixture
def net():
    return FFNet(20, 8, 6, 4)


@pytest.fixture
def x():
    torch.manual_seed(1)
    return torch.rand(7, 20)


@pytest.fixture
def knowing():
    """A net worked out by hand: unit j sees the label's pixel j and pixel 10 + j.

    The latter is on in class j. Two of 20 pixels are on, so that each is 10 ** 0.5 once
    normalised. With the right label one unit gets both, and the goodness is
    (2 · 10 ** 0.5)² / 10 = 4; with a wrong one two units get one each: 2 · 10 / 10 = 2.
    """
    net = FFNet(20, 10)
    net.layers[0].weight.data = torch.eye(10).repeat(1, 2)
    images = torch.zeros(10, 20)
    images[torch.arange(10), 10 + torch.arange(10)] = 1
    return net, images


def test_goodness_of_every_label_by_hand(knowing):
    expected = 2 + 2 * torch.eye(10)
    torch.testing.assert_close(label_goodness(*knowing), expected, rtol=0, atol=1e-5)
    assert torch.equal(predict(*knowing), torch.arange(10))


@pytest.mark.parametrize("n_classes", [2, 3, 10, 15])
def test_goodness_per_layer_equals_a_plain_loop(n_classes, x):
    net = FFNet(20, 8, 6, 4, n_classes=n_classes, label_strength=0.5)
    scores = label_goodness_per_layer(net, x)
    assert scores.shape == (7, n_classes, 3)
    for i in range(7):
        for label in range(n_classes):
            y = torch.tensor([label])
            activations = net(overlay(x[i : i + 1], y, n_classes, 0.5))
            for k, h in enumerate(activations):
                expected = goodness(h).item()
                assert scores[i, label, k].item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("batch_size", [1, 3, 7, 1000])
def test_the_batch_size_changes_no_result(net, x, batch_size):
    scores = label_goodness_per_layer(net, x, batch_size)
    torch.testing.assert_close(scores, label_goodness_per_layer(net, x))
    h = neutral_activations(net, x, batch_size=batch_size)
    torch.testing.assert_close(h, neutral_activations(net, x))


def test_goodness_is_summed_over_the_layers_that_are_named(net, x):
    first, second, third = label_goodness_per_layer(net, x).unbind(dim=2)
    torch.testing.assert_close(label_goodness(net, x), first + second + third)
    torch.testing.assert_close(label_goodness(net, x, layers=[1, 2]), second + third)
    torch.testing.assert_close(label_goodness(net, x, layers=range(1)), first)


def test_predict_takes_the_label_with_the_largest_sum(net, x):
    assert torch.equal(predict(net, x), label_goodness(net, x).argmax(1))
    last = label_goodness_per_layer(net, x)[:, :, 2]
    assert torch.equal(predict(net, x, layers=[2]), last.argmax(1))


def test_error_rate_by_hand():
    predictions = torch.tensor([1, 2, 3, 4])
    assert error_rate(predictions, torch.tensor([1, 2, 3, 9])) == 25.0
    assert error_rate(predictions, predictions) == 0.0


def test_layer_errors_are_those_of_predict(net):
    split = Split(torch.rand(50, 20), torch.arange(50) % 10)
    errors = layer_errors(net, split)
    sums = {
        "layer 1": [0], "layer 2": [1], "layer 3": [2],
        "sum without layer 1": [1, 2], "sum of all layers": None,
    }  # fmt: skip
    assert list(errors) == list(sums)
    for name, layers in sums.items():
        predictions = predict(net, split.images, layers)
        assert errors[name] == error_rate(predictions, split.labels)


def test_a_net_of_one_layer_has_one_error():
    split = Split(torch.rand(5, 20), torch.arange(5))
    assert list(layer_errors(FFNet(20, 8), split)) == ["layer 1"]
    assert list(layer_errors(FFNet(20, 8, 6), split)) == [
        "layer 1", "layer 2", "sum without layer 1", "sum of all layers",
    ]  # fmt: skip


def test_neutral_activations_are_the_upper_layers_normalised_side_by_side(net, x):
    first, second, third = (normalize(h) for h in net(neutral(x)))
    expected = torch.cat([second, third], dim=1)
    torch.testing.assert_close(neutral_activations(net, x), expected)
    expected = torch.cat([third, first], dim=1)
    torch.testing.assert_close(neutral_activations(net, x, layers=[2, 0]), expected)


def test_prediction_leaves_the_net_the_images_and_the_generator_alone(net):
    x = torch.rand(200, 20)
    before, weights = x.clone(), [p.clone() for p in net.parameters()]
    state = torch.get_rng_state()
    assert not label_goodness_per_layer(net, x).requires_grad
    assert not neutral_activations(net, x).requires_grad
    predict(net, x)
    layer_errors(net, Split(x, torch.arange(200) % 10))
    assert torch.equal(x, before)
    assert torch.equal(torch.get_rng_state(), state)
    for p, old in zip(net.parameters(), weights, strict=True):
        assert torch.equal(p, old)
        assert p.grad is None


# Nets that know nothing


USES = {
    "predict": predict,
    "label_goodness": label_goodness,
    "label_goodness_per_layer": label_goodness_per_layer,
    "layer_errors": lambda net, x: layer_errors(
        net, Split(x, torch.zeros(len(x)).long())
    ),
}
use_each = pytest.mark.parametrize("use", USES.values(), ids=USES)


@use_each
@pytest.mark.parametrize("layer", [0, 1, 2])
@pytest.mark.parametrize("value", [torch.nan, torch.inf, 1e30])
@pytest.mark.parametrize("which", ["weight", "bias"])
def test_a_goodness_that_is_no_number_is_an_error(net, x, use, layer, value, which):
    getattr(net.layers[layer], which).data.fill_(value)
    with pytest.raises(FloatingPointError, match="goodness is not finite.*lower lr"):
        use(net, x)


def test_nan_in_one_unit_is_enough(net, x):
    net.layers[2].weight.data[3, 1] = torch.nan
    with pytest.raises(FloatingPointError, match="goodness is not finite"):
        predict(net, x, layers=[0])


@use_each
@pytest.mark.parametrize("layer", [0, 1, 2])
@pytest.mark.parametrize("kill", ["weights", "bias"])
def test_a_dead_layer_is_said_to_be_one(net, use, layer, kill):
    x = torch.rand(200, 20)
    if kill == "weights":
        net.layers[layer].weight.data.zero_()
    else:
        net.layers[layer].bias.data.fill_(-100)
    with pytest.warns(UserWarning, match="lower lr") as caught:
        use(net, x)
    message = f"layer {layer + 1} is dead: 100 % of its units are 0"
    assert any(str(warning.message).startswith(message) for warning in caught)


@use_each
def test_a_layer_that_is_all_but_dead_is_said_to_be_one(use):
    """As after training with too large an lr: 3 % of the units are left."""
    net = FFNet(20, 100, 50)
    net.layers[0].bias.data[3:] = -100
    with pytest.warns(UserWarning, match="layer 1 is dead: 97 % of its units are 0"):
        use(net, torch.rand(200, 20))


@pytest.mark.parametrize("lr", [1.0, 10.0, 1e4])
def test_a_net_that_an_lr_has_killed_does_not_predict_in_silence(lr):
    split, test = load_digits()
    net = FFNet(784, 50, 50)
    train(net, split, epochs=3, lr=lr, progress=False)
    with pytest.warns(UserWarning, match="lower lr"):
        predict(net, test.images)


@pytest.mark.parametrize("count", [1, 5, 200])
def test_where_all_labels_tie_the_prediction_says_how_often(knowing, count):
    net, images = knowing
    images = torch.cat([images[:1].expand(count, -1), 0 * images[:1].expand(count, -1)])
    net.layers[0].weight.data[:, :10] = 0  # it cannot see the label any more
    split = Split(images, torch.zeros(2 * count).long())
    for use in (lambda: predict(net, images), lambda: layer_errors(net, split)):
        with pytest.warns(UserWarning, match="for 100.0 % of the images all labels"):
            use()
    net.layers[0].weight.data[:, :10] = torch.eye(10)
    net.layers[0].bias.data.fill_(-4.0)  # which a label on a black image does not reach
    for use in (lambda: predict(net, images), lambda: layer_errors(net, split)):
        with pytest.warns(UserWarning, match="for 50.0 % of the images all labels"):
            use()


def test_a_healthy_net_is_not_warned_of(recwarn):
    for n_classes in (3, 10):
        net = FFNet(20, 50, 50, n_classes=n_classes)
        for use in USES.values():
            use(net, torch.rand(200, 20))
    assert not recwarn.list


# The softmax


def test_fit_softmax_separates_what_can_be_separated():
    labels = torch.arange(10).repeat(50)
    features = torch.eye(10)[labels] + 0.05 * torch.randn(500, 10)
    before = features.clone()
    head = fit_softmax(features, labels, epochs=20, batch_size=50, lr=0.05)
    assert error_rate(head(features).argmax(1), labels) == 0
    assert torch.equal(features, before)


def test_fit_softmax_repeats_with_the_seed():
    features, labels = torch.rand(30, 6), torch.arange(30) % 10
    heads = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        heads.append(fit_softmax(features, labels, epochs=1, batch_size=10).weight)
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])


def test_fit_softmax_sends_no_gradient_into_the_net(net, x):
    features = neutral_activations(net, x)
    fit_softmax(features, torch.arange(7), epochs=1)
    assert all(p.grad is None for p in net.parameters())


def test_fit_softmax_does_not_return_what_has_diverged():
    features, labels = torch.rand(60, 6), torch.arange(60) % 10
    with pytest.raises(FloatingPointError, match="diverged; lower lr"):
        fit_softmax(1e38 * features, labels, lr=1e20)
    for lr in (0, -1, torch.nan, 1e38):
        with pytest.raises(ValueError, match="lr must be a finite number"):
            fit_softmax(features, labels, lr=lr)


@pytest.mark.parametrize("n_classes", [2, 26])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_fit_softmax_for_any_number_of_classes_and_dtype(n_classes, dtype):
    features, labels = torch.rand(60, 6, dtype=dtype), torch.arange(60) % n_classes
    head = fit_softmax(features, labels, n_classes)
    assert head(features).shape == (60, n_classes)
    assert head.weight.dtype == dtype and head.weight.isfinite().all()
