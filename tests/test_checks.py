"""Bad input gets an error that says what was wrong and what to do, and it works."""

import ast
import inspect
import re
import warnings
from collections import namedtuple

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, TensorDataset

from ffutils import checks
from ffutils.augment import affine
from ffutils.checks import check_images, check_labels
from ffutils.data import Split, batches, split_validation
from ffutils.fast import fast_train
from ffutils.labels import neutral, overlay, wrong_labels
from ffutils.layers import FFLayer, FFNet
from ffutils.prediction import (
    error_rate,
    fit_softmax,
    label_goodness,
    label_goodness_per_layer,
    layer_errors,
    neutral_activations,
    predict,
)
from ffutils.recipe import drop_pixels, hard_negatives, jitter
from ffutils.recurrent import RecurrentNet
from ffutils.training import train, train_layer

GOOD = torch.rand(4, 20)
LABELS = torch.tensor([0, 1, 2, 9])


@pytest.fixture
def net():
    return FFNet(20, 8, 6)


def with_pixel(value):
    x = GOOD.clone()
    x[1, 15] = value
    return x


def once(net, data, **settings):
    return train(net, data, **({"epochs": 1, "progress": False} | settings))


# Bad images and labels, wherever they go in


BAD_BATCHES = {
    "a list": (
        [[0.5] * 20],
        TypeError,
        r"floating-point .* got list; try torch.tensor",
    ),
    "bytes": ((255 * GOOD).byte(), TypeError, r"uint8; try images.float\(\) / 255"),
    "one image": (GOOD[0], ValueError, r"got \(20,\); try images.reshape\(1, -1\)"),
    "28 × 28": (torch.rand(4, 28, 28), ValueError, r"28\); try images.flatten\(1\)"),
    "no image": (torch.rand(0, 20), ValueError, "is empty; expected at least one row"),
}
BAD_VALUES = {
    "above 1": (with_pixel(255.0), ValueError, r"got .* to 255; try images / 255"),
    "below 0": (with_pixel(-0.5), ValueError, "got -0.5 to .*do not standardise"),
    "NaN": (with_pixel(torch.nan), ValueError, "finite, got NaN; .* division by zero"),
    "infinite": (
        with_pixel(torch.inf),
        ValueError,
        r"must lie in \[0, 1\], got .* inf",
    ),
}
BAD_LABEL_BATCHES = {
    "a list": ([0, 1, 2, 9], TypeError, "got list; try torch.tensor"),
    "floats": (LABELS.float(), TypeError, r"float32; try labels.long\(\)"),
    "one-hot": (torch.eye(10).long()[:4], ValueError, r"try labels.argmax\(1\)"),
    "none": (LABELS[:0], ValueError, r"empty|got \(0,\)"),
}
BAD_CLASSES = {
    "above 9": (torch.tensor([0, 1, 2, 11]), ValueError, r"must be in 0\.\.9, got 11"),
    "below 0": (torch.tensor([0, 1, 2, -1]), ValueError, r"must be in 0\.\.9, got -1"),
}


def table(*tables):
    rows = [row for part in tables for row in part.values()]
    ids = [name for part in tables for name in part]
    return pytest.mark.parametrize(("value", "error", "message"), rows, ids=ids)


@table(BAD_BATCHES)
def test_inner_functions_look_at_types_and_shapes(net, value, error, message):
    for use in (
        neutral,
        lambda x: overlay(x, LABELS),
        lambda x: hard_negatives(net, x, LABELS),
        lambda x: next(batches([(x, LABELS)], 4)),
        lambda x: net(x),
    ):
        with pytest.raises(error, match=message):
            use(value)


@table(BAD_BATCHES, BAD_VALUES)
def test_bad_images_are_refused_at_the_door(net, value, error, message):
    for use in (
        check_images,
        lambda x: predict(net, x),
        lambda x: label_goodness(net, x),
        lambda x: label_goodness_per_layer(net, x),
        lambda x: layer_errors(net, Split(x, LABELS)),
        lambda x: neutral_activations(net, x),
        lambda x: once(net, Split(x, LABELS)),
        lambda x: once(net, [(x, LABELS)]),
    ):
        with pytest.raises(error, match=message):
            use(value)


@table(BAD_LABEL_BATCHES)
def test_inner_functions_look_at_types_and_shapes_of_labels(net, value, error, message):
    for use in (
        wrong_labels,
        lambda y: overlay(GOOD, y),
        lambda y: hard_negatives(net, GOOD, y),
        lambda y: next(batches([(GOOD, y)], 4)),
        lambda y: once(net, Split(GOOD, LABELS), negative_labels=lambda *_: y),
    ):
        with pytest.raises(error, match=message):
            use(value)


@table(BAD_LABEL_BATCHES, BAD_CLASSES)
def test_bad_labels_are_refused_at_the_door(net, value, error, message):
    for use in (
        lambda y: check_labels(y, 10, count=4),
        lambda y: fit_softmax(GOOD, y),
        lambda y: once(net, Split(GOOD, y)),
        lambda y: once(net, [(GOOD, y)]),
    ):
        with pytest.raises(error, match=message):
            use(value)
    for use in (lambda y: error_rate(LABELS, y), lambda y: error_rate(y, LABELS)):
        if value is not BAD_CLASSES["above 9"][0]:  # it knows of no number of classes
            with pytest.raises(error, match=message.replace("9, got", ", got")):
                use(value)


def test_images_at_the_edges_of_what_is_allowed_pass():
    check_images(torch.zeros(1, 11))
    check_images(torch.ones(1, 784, dtype=torch.float64))
    check_labels(torch.tensor([0, 9]), 10, count=2)


def test_there_must_be_one_label_per_image(net):
    message = r"labels must have the shape \(4,\), one per image, got \(3,\)"
    for use in (overlay, lambda x, y: once(net, Split(x, y)), fit_softmax):
        with pytest.raises(ValueError, match=message):
            use(GOOD, LABELS[:3])


def test_predictions_and_labels_must_be_as_many():
    with pytest.raises(ValueError, match=r"got \((3|4),\)"):
        error_rate(LABELS[:3], LABELS)


def test_scores_in_place_of_predictions_are_refused():
    with pytest.raises(TypeError, match=r"try labels.argmax\(1\)"):
        error_rate(torch.rand(10, 10), torch.arange(10))


def test_images_of_another_width_than_the_net(net):
    wide = torch.rand(4, 784)
    for use in (
        predict,
        neutral_activations,
        lambda net, x: once(net, Split(x, LABELS)),
        lambda net, x: net(x),
    ):
        with pytest.raises(ValueError, match=r"shape \(batch, 20\), got \(4, 784\)"):
            use(net, wide)


def test_a_layer_refuses_a_single_row():
    message = r"input of this layer must have the shape \(batch, 5\), got \(5,\)"
    with pytest.raises(ValueError, match=message):
        FFLayer(5, 3)(torch.rand(5))


def test_a_label_needs_room():
    for write in (neutral, lambda x: overlay(x, LABELS)):
        with pytest.raises(ValueError, match="images must have 11 pixels or more"):
            write(torch.rand(4, 10))
    overlay(torch.rand(4, 4), torch.tensor([0, 1, 2, 2]), n_classes=3)


# Devices and dtypes


def test_a_net_on_another_device_than_its_images(net):
    net.to("meta")
    message = r"the net is on meta but its images are on cpu; move one .* with"
    for use in (
        predict,
        neutral_activations,
        lambda net, x: once(net, Split(x, LABELS)),
    ):
        with pytest.raises(ValueError, match=message):
            use(net, GOOD)


def test_labels_on_another_device_than_their_images(net):
    message = "the images are on cpu but their labels on meta; move one"
    with pytest.raises(ValueError, match=message):
        once(net, Split(GOOD, LABELS.to("meta")))


def test_images_of_another_precision_than_the_net(net):
    message = r"in torch.float32 but its images are torch.float64; try images.to\("
    for use in (
        predict,
        neutral_activations,
        lambda net, x: once(net, Split(x, LABELS)),
        lambda net, x: once(net, [(x, LABELS)]),
    ):
        with pytest.raises(TypeError, match=message):
            use(net, GOOD.double())
    assert predict(net.double(), GOOD.double()).shape == (4,)


# Layers, sizes and settings


@pytest.mark.parametrize("layers", [[], [2], [-1], [0, 0], [0.5], [True]], ids=str)
def test_layers_that_the_net_does_not_have(net, layers):
    message = r"layers must name some of the net's layers 0\.\.1, counted from 0"
    for use in (label_goodness, predict, neutral_activations):
        with pytest.raises(ValueError, match=message):
            use(net, GOOD, layers=layers)


@pytest.mark.parametrize(
    "layers",
    [1, np.int64(0), iter([0, 1])],
    ids=["a number", "a NumPy number", "an iterator"],
)
def test_layers_that_are_no_list(net, layers):
    for use in (label_goodness, predict, neutral_activations):
        with pytest.raises(TypeError, match=r"layers must be a list such as \[0, 1\]"):
            use(net, GOOD, layers=layers)


@pytest.mark.parametrize(
    "kind", [list, tuple, set, torch.tensor, np.array, lambda k: range(min(k), 2)]
)
def test_any_collection_of_layers_will_do(net, kind):
    expected = label_goodness_per_layer(net, GOOD)
    for layers in ([0, 1], [1]):
        goodness = label_goodness(net, GOOD, layers=kind(layers))
        torch.testing.assert_close(goodness, expected[:, :, layers].sum(dim=2))
        h = neutral_activations(net, GOOD, layers=kind(layers))
        assert torch.equal(h, neutral_activations(net, GOOD, layers=layers))


def test_a_net_of_one_layer_has_no_upper_layers():
    with pytest.raises(ValueError, match=r"no layer above the first, .* layers=\[0\]"):
        neutral_activations(FFNet(20, 8), GOOD)
    assert neutral_activations(FFNet(20, 8), GOOD, layers=[0]).shape == (4, 8)


@pytest.mark.parametrize(
    ("sizes", "settings", "message"),
    [
        ((), {}, r"one layer or more, such as FFNet\(784, 500, 500\), got \(\)"),
        ((784,), {}, r"one layer or more, .* got \(784,\)"),
        ((784, 0), {}, "units of a layer must be a whole number of at least 1, got 0"),
        ((784, -5), {}, "whole number of at least 1, got -5"),
        ((784, 500.0), {}, "whole number of at least 1, got 500.0"),
        ((784, True), {}, "whole number of at least 1, got True"),
        (("784", 500), {}, "number of pixels must be a whole number"),
        ((10, 5), {}, "10 pixels cannot hold the label of 10 classes and an image"),
        ((26, 5), {"n_classes": 26}, "26 pixels cannot hold the label of 26 classes"),
        ((784, 5), {"n_classes": 1}, "n_classes must be a whole number of at least 2"),
        ((784, 5), {"n_classes": 2.5}, "n_classes must be a whole number"),
        ((784, 5), {"label_strength": torch.nan}, "label_strength must be a finite"),
        ((784, 5), {"label_strength": torch.inf}, "label_strength must be a finite"),
        ((784, 5), {"label_strength": "1"}, "label_strength must be a finite number"),
    ],
    ids=str,
)
def test_sizes_and_settings_that_make_no_net(sizes, settings, message):
    with pytest.raises(ValueError, match=message):
        FFNet(*sizes, **settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": 0}, "epochs must be a whole number of at least 1, got 0"),
        ({"epochs": -3}, "epochs must be a whole number of at least 1, got -3"),
        ({"epochs": 1.0}, "epochs must be a whole number of at least 1, got 1.0"),
        ({"epochs": "2"}, "epochs must be a whole number of at least 1, got '2'"),
        ({"lr": 0}, r"lr must be a finite number in \(0, 1e\+30\], got 0"),
        ({"lr": -0.1}, "lr must be a finite number .*, got -0.1"),
        ({"lr": float("nan")}, "lr must be a finite number .*, got nan"),
        ({"lr": float("inf")}, "lr must be a finite number .*, got inf"),
        ({"lr": 1e38}, "lr must be a finite number .*, got 1e"),
        ({"lr": 10**400}, "lr must be a finite number"),
        ({"lr": "0.1"}, "lr must be a finite number .*, got '0.1'"),
        ({"batch_size": 0}, "batch_size must be a whole number of at least 1, got 0"),
        ({"batch_size": 2.5}, "batch_size must be a whole number of at least 1"),
    ],
    ids=str,
)
def test_bad_settings_of_the_training(net, settings, message):
    before = [p.clone() for p in net.parameters()]
    for data in (Split(GOOD, LABELS), [(GOOD, LABELS)]):
        with pytest.raises(ValueError, match=message):
            train(net, data, progress=False, **settings)
    after = net.parameters()
    assert all(torch.equal(p, old) for p, old in zip(after, before, strict=True))


def test_bad_batch_sizes_of_the_prediction(net):
    message = "batch_size must be a whole number of at least 1, got 0"
    for use in (label_goodness_per_layer, neutral_activations):
        with pytest.raises(ValueError, match=message):
            use(net, GOOD, batch_size=0)
    with pytest.raises(ValueError, match=message):
        fit_softmax(GOOD, LABELS, batch_size=0)


@pytest.mark.parametrize("whole", [int, np.int8, np.uint16, np.int64, np.intp])
def test_any_kind_of_whole_number_will_do(net, whole):
    """Numbers from an array, such as those that a sweep over settings brings."""
    once(net, Split(GOOD, LABELS), epochs=whole(2), batch_size=whole(3))
    once(net, Split(GOOD, LABELS), lr=np.float32(0.01))
    assert label_goodness_per_layer(net, GOOD, batch_size=whole(3)).shape == (4, 10, 2)
    assert neutral_activations(net, GOOD, batch_size=whole(3)).shape == (4, 6)
    fit_softmax(GOOD, LABELS, whole(10), epochs=whole(1), batch_size=whole(3))
    x = torch.rand(4, 48)
    assert jitter(x, whole(1), channels=whole(3)).shape == (4, 48)
    assert overlay(GOOD, LABELS, whole(10)).shape == (4, 20)
    assert neutral(GOOD, whole(10)).shape == (4, 20)
    assert wrong_labels(LABELS, whole(10)).shape == (4,)


@pytest.mark.parametrize(
    ("features", "error", "message"),
    [
        (torch.full((3, 4), torch.nan), ValueError, "features must be finite"),
        (torch.full((3, 4), torch.inf), ValueError, "features must be finite"),
        (torch.rand(3), ValueError, r"features must have the shape .*, got \(3,\)"),
        (
            torch.ones(3, 4).long(),
            TypeError,
            "features must be a floating-point tensor",
        ),
    ],
)
def test_features_that_a_softmax_cannot_be_fitted_on(features, error, message):
    with pytest.raises(error, match=message):
        fit_softmax(features, torch.tensor([0, 1, 2]))
    with pytest.raises(ValueError, match="epochs must be a whole number"):
        fit_softmax(torch.rand(3, 4), torch.tensor([0, 1, 2]), epochs=0)


# Advice that works when it is followed to the letter


class Frame:
    """Something with an __array__, such as a pandas.DataFrame."""

    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return self.array


def follow(use, value, steps=5):
    """Call use(value) and do what each error says, until there is none.

    Returns the pieces of advice that were followed.
    """
    followed = []
    for _ in range(steps):
        try:
            use(value)
            return followed
        except (TypeError, ValueError) as error:
            advice = re.search(r"try (.+?)(?: or .*)?$", str(error))
            assert advice, f"no advice in: {error}"
            followed.append(advice[1])
        names = ("images", "labels", "array", "values", "image")
        value = eval(
            advice[1],
            {
                "torch": torch,
                "numpy": np,
                "torchvision": pytest.importorskip("torchvision"),
            },
            dict.fromkeys(names, value),
        )
    raise AssertionError(f"still wrong after {followed}")


def raw(*shape):
    return torch.randint(256, shape, dtype=torch.uint8)


IMAGES = {
    "as it should be": torch.rand(4, 784),
    **{
        str(d): torch.rand(4, 784).to(d)
        for d in (torch.half, torch.bfloat16, torch.double)
    },
    **{str(d): raw(4, 784).to(d) for d in (torch.uint8, torch.int32, torch.int64)},
    "bool": torch.rand(4, 784) > 0.5,
    "0 to 255": raw(4, 784).float(),
    "28 × 28": torch.rand(4, 28, 28),
    "1 × 28 × 28": raw(4, 1, 28, 28),
    "28 × 28 × 1": torch.rand(4, 28, 28, 1),
    "one row": torch.rand(784),
    "one image": torch.rand(28, 28),
    "one image with its channel": torch.rand(1, 28, 28),
    "one raw image": raw(28, 28),
    "one batch of one": torch.rand(1, 1, 28, 28),
    "transposed": torch.rand(28, 28).T,
    "an array": np.random.rand(4, 784),
    "an array of float32": np.random.rand(4, 28, 28).astype("float32"),
    "an array of bytes": np.random.randint(256, size=(4, 784), dtype=np.uint8),
    "one array": np.random.rand(28, 28).astype("float32"),
    "a list": torch.rand(4, 784).tolist(),
    "a list of lists": torch.rand(4, 28, 28).tolist(),
    "a list of tensors": list(torch.rand(4, 28, 28)),
    "a tuple of rows": tuple(torch.rand(4, 784)),
    "a picture": Image.fromarray(raw(28, 28).numpy()),
    "a frame": Frame(np.random.rand(4, 784)),
}


@pytest.mark.parametrize("value", IMAGES.values(), ids=IMAGES)
def test_advice_for_images_works(value):
    net = FFNet(784, 8, 6)
    for use in (
        lambda x: predict(net, x),
        lambda x: neutral_activations(net, x),
        lambda x: once(
            net, Split(x, torch.arange(len(x)) if hasattr(x, "shape") else 0)
        ),
    ):
        follow(use, value)


@pytest.mark.parametrize(
    "value", [torch.rand(3, 16, 16), raw(3, 16, 16), torch.rand(4, 3, 16, 16)]
)
def test_advice_for_colour_images_works(value):
    net = FFNet(768, 8)
    follow(lambda x: predict(net, x), value)


def test_advice_for_a_colour_picture_works():
    net = FFNet(768, 8)
    follow(lambda x: predict(net, x), Image.fromarray(raw(16, 16, 3).numpy()))


ONE_HOT = torch.eye(10)[LABELS]
LABELS_AS = {
    "as they should be": LABELS,
    **{str(d): LABELS.to(d) for d in (torch.int32, torch.uint8, torch.float32)},
    "a column": LABELS[:, None],
    "a column of floats": LABELS[:, None].float(),
    "a row": LABELS[None],
    "one-hot": ONE_HOT,
    "one-hot whole numbers": ONE_HOT.long(),
    "one-hot bytes": ONE_HOT.byte(),
    "one-hot bools": ONE_HOT.bool(),
    "an array": LABELS.numpy(),
    "an array of int32": LABELS.numpy().astype("int32"),
    "an array of bytes": LABELS.numpy().astype("uint8"),
    "a one-hot array": ONE_HOT.double().numpy(),
    "a list": LABELS.tolist(),
    "a tuple": tuple(LABELS.tolist()),
    "a list of floats": LABELS.float().tolist(),
    "a list of tensors": list(LABELS),
    "a frame": Frame(LABELS.numpy()),
}


@pytest.mark.parametrize("value", LABELS_AS.values(), ids=LABELS_AS)
def test_advice_for_labels_works(net, value):
    """And leads to the labels that were meant."""
    for use in (
        lambda y: once(net, Split(GOOD, y)),
        lambda y: fit_softmax(GOOD, y),
        lambda y: error_rate(LABELS, y),
        lambda y: overlay(GOOD, y),
    ):
        reached = []

        def listen(y, use=use, reached=reached):
            use(y)
            reached.append(y)

        follow(listen, value)
        assert torch.equal(reached[0], LABELS)


def test_a_range_is_made_a_tensor():
    assert follow(lambda y: error_rate(LABELS, y), range(4)) == ["torch.tensor(values)"]


# Containers of data


DATA_IN_A_BOX = {
    "a tuple": lambda x, y: (x, y),
    "a list": lambda x, y: [x, y],
    "a pair of arrays": lambda x, y: (x.numpy(), y.numpy()),
}


@pytest.mark.parametrize("box", DATA_IN_A_BOX.values(), ids=DATA_IN_A_BOX)
def test_a_pair_is_to_be_wrapped_in_a_split(net, box):
    with pytest.raises(TypeError, match=r"wrap it: Split\(images, labels\)"):
        once(net, box(GOOD, LABELS))
    once(net, Split(GOOD, LABELS))


@pytest.mark.parametrize(
    "box", [*DATA_IN_A_BOX.values(), lambda x, y: DataLoader(TensorDataset(x, y)), None]
)
def test_errors_are_those_of_a_split(net, box):
    data = box(GOOD, LABELS) if box else None
    with pytest.raises(TypeError, match=r"expected a Split, .*: Split\("):
        layer_errors(net, data)
    layer_errors(net, Split(GOOD, LABELS))


def test_a_pair_can_be_split_for_validation():
    for part in split_validation((torch.rand(12, 20), torch.arange(12))):
        assert type(part) is Split


def test_a_data_set_is_to_be_wrapped_in_a_loader(net):
    data = TensorDataset(GOOD, LABELS)
    with pytest.raises(TypeError, match="single images; wrap it in a DataLoader"):
        once(net, data)
    once(net, DataLoader(data, batch_size=2))
    once(net, DataLoader(data))  # in batches of one


@pytest.mark.parametrize(
    "make",
    [
        lambda batch: (batch for _ in range(3)),
        lambda batch: iter([batch]),
        lambda batch: zip(*batch, strict=True),
        lambda batch: map(tuple, [batch]),
    ],
)
def test_what_can_be_gone_through_only_once_is_to_be_made_a_list(net, make):
    with pytest.raises(TypeError, match="only once; pass a list or a DataLoader"):
        once(net, make((GOOD, LABELS)))


@pytest.mark.parametrize(
    "data",
    [None, 3, GOOD, object(), "mnist"],
    ids=["None", "a number", "a tensor", "an object", "text"],
)
def test_what_is_no_data_at_all(net, data):
    with pytest.raises(TypeError, match="data must"):
        once(net, data)


@pytest.mark.parametrize(
    "batch", [(GOOD, LABELS, LABELS), {"image": GOOD, "label": LABELS}, GOOD, (GOOD,)]
)
def test_batches_that_are_no_pairs(net, batch):
    with pytest.raises(TypeError, match=r"data must yield batches \(x, y\), got a"):
        once(net, [batch])


def test_no_data_at_all(net):
    for data in ([], DataLoader(TensorDataset(GOOD[:0], LABELS[:0]))):
        with pytest.raises(ValueError, match="the data is empty"):
            once(net, data)
    with pytest.raises(ValueError, match="the batch of images is empty"):
        once(net, Split(GOOD[:0], LABELS[:0]))


def test_data_that_run_dry_after_an_epoch(net):
    class Once:
        left = 2  # the door looks at the first batch, too

        def __iter__(self):
            self.left -= 1
            return iter([(GOOD, LABELS)] if self.left >= 0 else [])

    with pytest.raises(
        ValueError, match="number of images in the data must be a whole"
    ):
        once(net, Once(), epochs=3)


def test_a_split_by_any_other_name_is_one(net):
    """Such as the one that a notebook defines for itself."""
    other = namedtuple("Split", "images labels")(GOOD, LABELS)
    first, second = FFNet(20, 8), FFNet(20, 8)
    second.load_state_dict(first.state_dict())
    for net, data in ((first, other), (second, Split(GOOD, LABELS))):
        torch.manual_seed(3)
        once(net, data, batch_size=2)
    assert torch.equal(first.layers[0].weight, second.layers[0].weight)


@pytest.mark.parametrize(
    "use",
    [
        lambda net: predict(net, GOOD),
        lambda net: label_goodness(net, GOOD),
        lambda net: label_goodness_per_layer(net, GOOD),
        lambda net: layer_errors(net, Split(GOOD, LABELS)),
        lambda net: neutral_activations(net, GOOD),
        lambda net: once(net, Split(GOOD, LABELS)),
    ],
)
def test_a_wrapped_net_is_to_be_unwrapped(net, use):
    wrapped = torch.nn.DataParallel(net)
    with pytest.raises(TypeError, match="expected an FFNet, got .*; pass net.module"):
        use(wrapped)
    use(wrapped.module)
    for other in (torch.nn.Linear(20, 10), None, FFNet):
        with pytest.raises(TypeError, match="expected an FFNet, got "):
            use(other)


# Square images


@pytest.mark.parametrize(
    ("pixels", "channels", "message"),
    [
        (785, 1, "expected square images of 1 channel"),
        (3072, 1, "for colour images say channels=3"),
        (784, 3, "expected square images of 3 channel"),
        (784, 0, "channels must be a whole number of at least 1, got 0"),
        (784, 1.0, "channels must be a whole number"),
    ],
)
def test_images_that_are_not_square(pixels, channels, message):
    with pytest.raises(ValueError, match=message):
        jitter(torch.rand(2, pixels), channels=channels)


@pytest.mark.parametrize("p", [-0.1, 1.0, float("nan"), float("inf"), "0.3"])
def test_a_probability_must_be_one(p):
    with pytest.raises(ValueError, match=r"p must be a finite number in \[0, 1\), got"):
        drop_pixels(torch.rand(2, 784), p)


# Warnings


def test_a_warning_points_at_the_line_that_called_the_module():
    def called():
        checks.warn_caller("here")

    with pytest.warns(UserWarning, match="here") as caught:
        called()
    assert caught[0].filename == __file__
    net = FFNet(20, 8)
    net.layers[0].weight.data.zero_()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(2):
            predict(net, GOOD)  # one line: warned of once
        predict(net, GOOD)
    assert [w.filename for w in caught] == [__file__, __file__]


# The module itself


def test_the_module_holds_checks_only():
    """Each public function checks or warns, or helps one that does."""
    tree = ast.parse(inspect.getsource(checks))
    functions = {
        node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)
    }
    assert not [node for node in tree.body if isinstance(node, ast.ClassDef)]
    called = {
        call.func.id
        for node in functions.values()
        for call in ast.walk(node)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name)
    }
    for name in functions:
        assert name.startswith(("check_", "warn_")) or name in called, name


# What an editor of the chapters may hand in


def test_a_pair_of_splits_is_no_data(net):
    split = Split(GOOD, LABELS)
    for data in ((split, split), [split, split]):
        with pytest.raises(TypeError, match="pair of Splits.*data\\[0\\]"):
            train(net, data, epochs=1, progress=False)
        with pytest.raises(TypeError, match="pair of Splits"):
            fast_train(net, data, epochs=1, progress=False)


@pytest.mark.parametrize(
    "loss, error, message",
    [
        (lambda p, n, g: g(p).mean().item(), TypeError, "a tensor with one value"),
        (lambda p, n, g: None, TypeError, "a tensor with one value, got NoneType"),
        (lambda p, n, g: g(n) - g(p), ValueError, r"one number, got the shape \(4,\)"),
        (lambda p, n, g: (p > 0).float().mean(), ValueError, "not depend on the layer"),
        (lambda p, n, g: g(p.detach()).mean(), ValueError, "not depend on the layer"),
    ],
)
def test_a_loss_that_teaches_nothing_is_refused(net, loss, error, message):
    with pytest.raises(error, match=message):
        train(net, Split(GOOD, LABELS), epochs=1, loss_fn=loss, progress=False)


def test_one_negative_does_not_serve_for_a_whole_batch(net):
    layer = net.layers[0]
    optimizer = torch.optim.Adam(layer.parameters())
    with pytest.raises(ValueError, match=r"shapes \(4, 8\) and \(1, 8\)"):
        train_layer(layer, optimizer, GOOD, GOOD[:1])
    train_layer(layer, optimizer, GOOD, GOOD[:3])  # the logistic loss needs no pairs


def test_a_goodness_is_tried_at_the_width_of_every_layer():
    net = FFNet(20, 8, 6, goodness=lambda h: h.square().mean(1)[: h.shape[1] // 3])
    assert net.goodness(torch.ones(2, 8)).shape == (2,)  # right in layer 1 alone
    with pytest.raises(ValueError, match="one number for each row"):
        train(net, Split(GOOD, LABELS), epochs=1, progress=False)
    narrow = FFNet(20, 2, 2, goodness=lambda h: h.square().mean(0))
    with pytest.raises(ValueError, match="one number for each row"):
        predict(narrow, GOOD)


def test_frozen_weights_stay_as_they_are(net):
    net.layers[0].requires_grad_(False)
    before = net.layers[0].weight.clone()
    with pytest.raises(ValueError, match="fast_train trains all weights"):
        fast_train(net, Split(GOOD, LABELS), epochs=1, progress=False)
    assert torch.equal(net.layers[0].weight, before)


def test_data_that_run_dry_are_named_by_fast_train_too(net):
    class OnceOnly:
        def __init__(self):
            self.left = [[(GOOD, LABELS)], []]

        def __iter__(self):
            return iter(self.left.pop(0))

    with pytest.raises(ValueError, match="number of images in the data"):
        fast_train(net, OnceOnly(), epochs=1, progress=False)


@pytest.mark.parametrize("n_classes", [-3, 0, 1])
def test_a_label_has_two_classes_or_more(n_classes):
    for call in (lambda: overlay(GOOD, LABELS, n_classes), lambda: neutral(GOOD, 1)):
        with pytest.raises(ValueError, match="n_classes must be a whole number of at"):
            call()


def test_features_that_hang_on_a_net_are_refused(net):
    with pytest.raises(ValueError, match="features.detach"):
        fit_softmax(net.layers[0](GOOD), LABELS)


def test_advice_is_not_about_what_a_function_lacks():
    with pytest.raises(ValueError, match="use jitter"):
        affine(torch.rand(2, 3 * 16))
    with pytest.raises(ValueError, match="a finite number, got '3'"):
        RecurrentNet(20, 8, 10, label_strength="3")
