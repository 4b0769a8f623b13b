"""Bad input gets an error that says what was wrong, what was expected and what to do."""

import pytest
import torch

from ffutils.checks import check_images, check_labels
from ffutils.data import Split
from ffutils.labels import neutral, overlay, wrong_labels
from ffutils.layers import FFLayer, FFNet
from ffutils.prediction import error_rate, fit_softmax, label_goodness, layer_goodness, neutral_activities, predict
from ffutils.training import train

GOOD = torch.rand(4, 20)
LABELS = torch.tensor([0, 1, 2, 9])


@pytest.fixture
def net():
    return FFNet(20, 8, 6)


def with_pixel(value):
    x = GOOD.clone()
    x[1, 15] = value
    return x


BAD_IMAGES = {
    "a list": ([[0.5] * 20], TypeError, r"images must be a floating-point tensor in \[0, 1\], got list; try"),
    "bytes": ((255 * GOOD).byte(), TypeError, r"got torch.uint8; try images.float\(\) / 255"),
    "one image": (GOOD[0], ValueError, r"shape \(batch, pixels\), such as \(B, 784\), got \(20,\); try images.flatten"),
    "pictures": (torch.rand(4, 28, 28), ValueError, r"got \(4, 28, 28\); try images.flatten\(1\)"),
    "no room for a label": (torch.rand(4, 10), ValueError, r"got \(4, 10\)"),
    "no image": (torch.rand(0, 20), ValueError, "the batch of images is empty; expected at least one image"),
    "above 1": (with_pixel(255.0), ValueError, r"images must lie in \[0, 1\], got .* to 255; divide raw pixels by 255"),
    "below 0": (with_pixel(-0.5), ValueError, r"images must lie in \[0, 1\], got -0.5 to"),
    "NaN": (with_pixel(torch.nan), ValueError, "images must be finite, got NaN; look for a division by zero"),
    "infinite": (with_pixel(torch.inf), ValueError, r"images must lie in \[0, 1\], got .* to inf"),
}

BAD_LABELS = {
    "a list": ([0, 1, 2, 9], TypeError, r"labels must be an int64 tensor, got list; try torch.tensor\(labels\)"),
    "floats": (LABELS.float(), TypeError, r"labels must be an int64 tensor, got torch.float32; try .*labels.long\(\)"),
    "one-hot": (torch.eye(10, dtype=torch.int64), ValueError, r"labels must have the shape .*, got \(10, 10\)"),
    "none": (LABELS[:0], ValueError, r"empty|got \(0,\)"),
    "above 9": (torch.tensor([0, 1, 2, 11]), ValueError, r"labels must be in 0\.\.9, got 11"),
    "below 0": (torch.tensor([0, 1, 2, -1]), ValueError, r"labels must be in 0\.\.9, got -1"),
}


@pytest.mark.parametrize(("x", "error", "message"), BAD_IMAGES.values(), ids=BAD_IMAGES)
def test_bad_images_are_refused_wherever_images_go_in(net, x, error, message):
    for use in (
        check_images,
        neutral,
        lambda x: overlay(x, LABELS),
        lambda x: predict(net, x),
        lambda x: layer_goodness(net, x),
        lambda x: neutral_activities(net, x),
        lambda x: train(net, Split(x, LABELS), epochs=1),
    ):
        with pytest.raises(error, match=message):
            use(x)


@pytest.mark.parametrize(("y", "error", "message"), BAD_LABELS.values(), ids=BAD_LABELS)
def test_bad_labels_are_refused_wherever_labels_go_in(net, y, error, message):
    for use in (
        check_labels,
        wrong_labels,
        lambda y: overlay(GOOD, y),
        lambda y: error_rate(LABELS, y),
        lambda y: error_rate(y, LABELS),
        lambda y: fit_softmax(GOOD, y),
        lambda y: train(net, Split(GOOD, y), epochs=1),
        lambda y: train(net, Split(GOOD, LABELS), epochs=1, negatives=lambda *_: y),
    ):
        with pytest.raises(error, match=message):
            use(y)


def test_images_at_the_edges_of_what_is_allowed_pass():
    check_images(torch.zeros(1, 11))
    check_images(torch.ones(1, 784, dtype=torch.float64))
    check_labels(torch.tensor([0, 9]), count=2)


def test_there_must_be_one_label_per_image(net):
    for use in (overlay, lambda x, y: train(net, Split(x, y)), fit_softmax):
        with pytest.raises(ValueError, match=r"labels must have the shape \(4,\), one per image, got \(3,\)"):
            use(GOOD, LABELS[:3])


def test_predictions_and_labels_must_be_as_many():
    with pytest.raises(ValueError, match=r"got \((3|4),\)"):
        error_rate(LABELS[:3], LABELS)


def test_scores_in_place_of_predictions_are_refused():
    with pytest.raises((TypeError, ValueError), match="labels must"):
        error_rate(torch.rand(10, 10), torch.arange(10))


def test_images_of_another_width_than_the_net(net):
    wide = torch.rand(4, 784)
    for use in (predict, neutral_activities, lambda net, x: train(net, Split(x, LABELS)), lambda net, x: net(x)):
        with pytest.raises(ValueError, match=r"expects an input of shape \(batch, 20\), got \(4, 784\)"):
            use(net, wide)


def test_a_layer_refuses_a_single_row():
    with pytest.raises(ValueError, match=r"expects an input of shape \(batch, 5\), got \(5,\)"):
        FFLayer(5, 3)(torch.rand(5))


def test_a_net_on_another_device_than_its_images(net):
    net.to("meta")
    for use in (predict, neutral_activities, lambda net, x: train(net, Split(x, LABELS))):
        with pytest.raises(ValueError, match=r"the net is on meta but its images are on cpu; move one .* with"):
            use(net, GOOD)


def test_images_of_another_precision_than_the_net(net):
    for use in (predict, neutral_activities, lambda net, x: train(net, Split(x, LABELS))):
        with pytest.raises(TypeError, match=r"in torch.float32 but its images are torch.float64; try images.float\(\)"):
            use(net, GOOD.double())
    assert predict(net.double(), GOOD.double()).shape == (4,)


@pytest.mark.parametrize("layers", [[], [2], [-1], [0, 0], [0.5]], ids=str)
def test_layers_that_the_net_does_not_have(net, layers):
    for use in (label_goodness, predict, neutral_activities):
        with pytest.raises(ValueError, match=r"layers must name some of the net's layers 0\.\.1, counted from 0"):
            use(net, GOOD, layers=layers)


def test_a_net_of_one_layer_has_no_upper_layers():
    with pytest.raises(ValueError, match=r"layers must name some of the net's layers 0\.\.0"):
        neutral_activities(FFNet(20, 8), GOOD)


@pytest.mark.parametrize("widths", [(), (784,), (784, 0), (784, -5), (784, 500.0), ("784", 500)], ids=str)
def test_widths_that_make_no_net(widths):
    with pytest.raises(ValueError, match=r"all of them whole numbers of at least 1, such as FFNet\(784, 500, 500\)"):
        FFNet(*widths)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": 0}, "epochs must be a whole number of at least 1, got 0"),
        ({"epochs": -3}, "epochs must be a whole number of at least 1, got -3"),
        ({"lr": 0}, "lr must be a positive number, got 0"),
        ({"lr": -0.1}, "lr must be a positive number, got -0.1"),
        ({"lr": float("nan")}, "lr must be a positive number, got nan"),
        ({"lr": float("inf")}, "lr must be a positive number, got inf"),
        ({"batch_size": 0}, "batch_size must be a whole number of at least 1, got 0"),
    ],
    ids=str,
)
def test_bad_settings_of_the_training(net, settings, message):
    before = [p.clone() for p in net.parameters()]
    with pytest.raises(ValueError, match=message):
        train(net, Split(GOOD, LABELS), progress=False, **settings)
    assert all(torch.equal(p, old) for p, old in zip(net.parameters(), before, strict=True))


def test_bad_batch_sizes_of_the_prediction(net):
    for use in (layer_goodness, neutral_activities):
        with pytest.raises(ValueError, match="batch_size must be a whole number of at least 1, got 0"):
            use(net, GOOD, batch_size=0)
    with pytest.raises(ValueError, match="batch_size must be a whole number of at least 1, got 0"):
        fit_softmax(GOOD, LABELS, batch_size=0)


@pytest.mark.parametrize("strength", [float("nan"), float("inf")])
def test_a_strength_that_is_no_number(strength):
    for write in (lambda x: overlay(x, torch.tensor([1]), strength), lambda x: neutral(x, strength)):
        with pytest.raises(ValueError, match="strength must be a finite number"):
            write(torch.rand(1, 784))


@pytest.mark.parametrize(
    ("features", "error", "message"),
    [
        (torch.full((3, 4), torch.nan), ValueError, "features must be finite"),
        (torch.rand(3), ValueError, r"features must have the shape \(images, width\), got \(3,\)"),
        (torch.ones(3, 4, dtype=torch.int64), TypeError, "features must be a floating-point tensor"),
    ],
)
def test_features_that_a_softmax_cannot_be_fitted_on(features, error, message):
    with pytest.raises(error, match=message):
        fit_softmax(features, torch.tensor([0, 1, 2]))
    with pytest.raises(ValueError, match="epochs must be a whole number"):
        fit_softmax(torch.rand(3, 4), torch.tensor([0, 1, 2]), epochs=0)


def test_labels_on_another_device_than_their_images(net):
    split = Split(torch.rand(3, net.layers[0].in_features), torch.tensor([0, 1, 2]))
    elsewhere = split._replace(labels=split.labels.to("meta"))
    with pytest.raises(ValueError, match="the images are on cpu but their labels on meta; move one"):
        train(net, elsewhere)
