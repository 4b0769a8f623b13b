"""What a reader edits is what is used: in training, in prediction, everywhere."""

import functools

import pytest
import torch
from torch import nn
from torch.nn.functional import one_hot

from ffutils import (
    RECIPE,
    FFLayer,
    FFNet,
    Split,
    error_rate,
    fit_softmax,
    goodness,
    hard_negatives,
    jitter,
    label_goodness,
    label_goodness_first_layer,
    label_goodness_per_layer,
    layer_errors,
    load_net,
    neutral,
    neutral_activations,
    normalize,
    overlay,
    pair_loss,
    predict,
    save_net,
    train,
)
from ffutils.local import LocallyConnected2d
from ffutils.training import random_negatives


def make_split(n_classes=10, pixels=30, count=200):
    """Images of noise, in which one bright pixel after the label's tells the class."""
    y = torch.arange(count) % n_classes
    bright = one_hot(n_classes + y, pixels)
    return Split(0.3 * torch.rand(count, pixels) + 0.7 * bright, y)


@pytest.fixture
def split():
    return make_split()


def quiet(net, data, **settings):
    settings = {"epochs": 2, "batch_size": 50, "progress": False} | settings
    return train(net, data, **settings)


# Pieces that the net is given


class Spy:
    """A function of the book's, changed a little, that counts its calls."""

    def __init__(self, function, change):
        self.function, self.change, self.calls = function, change, 0

    def __call__(self, *args):
        self.calls += len(args[0]) > 4  # the door tries a piece on few rows
        return self.change(self.function(*args))


PIECES = {
    "overlay": (overlay, lambda x: x.roll(1, dims=1)),
    "normalize": (normalize, lambda h: h.relu() * 1.5),
    "goodness": (goodness, lambda value: value.sqrt()),
}
WITHOUT_ONE = {"goodness": ["neutral_activations"]}
USES = {
    "train": lambda net, split: quiet(net, split),
    "train greedily": lambda net, split: quiet(net, split, greedy=True),
    "train by the recipe": lambda net, split: quiet(
        net, split, **(RECIPE | {"epochs": 1})
    ),
    "train on batches": lambda net, split: quiet(net, [split]),
    "hard_negatives": lambda net, split: hard_negatives(net, *split),
    "label_goodness_first_layer": lambda net, split: label_goodness_first_layer(
        net, split.images
    ),
    "label_goodness_per_layer": lambda net, split: label_goodness_per_layer(
        net, split.images
    ),
    "label_goodness": lambda net, split: label_goodness(net, split.images),
    "predict": lambda net, split: predict(net, split.images),
    "layer_errors": lambda net, split: layer_errors(net, split),
    "neutral_activations": lambda net, split: neutral_activations(net, split.images),
}


@pytest.mark.parametrize("piece", PIECES)
@pytest.mark.parametrize("use", USES)
def test_every_function_uses_the_piece_that_the_net_was_given(split, piece, use):
    spy = Spy(*PIECES[piece])
    net = FFNet(30, 12, 10, **{piece: spy})
    USES[use](net, split)
    assert (spy.calls > 0) == (use not in WITHOUT_ONE.get(piece, []))


NUMBERS = {
    "label_goodness_first_layer": lambda net, split: label_goodness_first_layer(
        net, split.images
    ),
    "label_goodness": lambda net, split: label_goodness(net, split.images),
    "neutral_activations": lambda net, split: neutral_activations(net, split.images),
    "train": lambda net, split: quiet(net, split, lr=0.01),
    "the recipe": lambda net, split: quiet(net, split, **(RECIPE | {"epochs": 2})),
}


@pytest.mark.parametrize("use", NUMBERS)
@pytest.mark.parametrize("piece", PIECES)
def test_an_edit_changes_the_numbers_and_no_edit_changes_none(split, piece, use):
    function, change = PIECES[piece]

    def run(**settings):
        torch.manual_seed(3)
        net = FFNet(30, 12, 10, **settings)
        return NUMBERS[use](net, split)

    expected = run()
    assert torch.equal(run(), expected)
    unedited = run(**{piece: lambda *args: function(*args)})
    torch.testing.assert_close(unedited, expected)
    edited = run(**{piece: lambda *args: change(function(*args))})
    same = torch.allclose(edited, expected)
    assert same == (use in WITHOUT_ONE.get(piece, []))


def write_at_the_end(x, y, n_classes, label_strength):
    """The label in the last pixels, and no pixel cleared at the beginning."""
    x = x.clone()
    x[:, -n_classes:] = label_strength * one_hot(y, n_classes).to(x.dtype)
    return x


@pytest.mark.parametrize("n_classes", [3, 10])
@pytest.mark.parametrize("settings", [{}, RECIPE], ids=["plain", "recipe"])
def test_a_label_elsewhere_is_the_same_algorithm_on_turned_images(n_classes, settings):
    """The pixels come in another order, and the first weights with them."""
    split = make_split(n_classes)
    turned = Split(split.images.roll(-n_classes, dims=1), split.labels)
    names = {"n_classes": n_classes, "label_strength": 2.0}
    book = FFNet(30, 12, 10, **names)
    net = FFNet(30, 12, 10, overlay=write_at_the_end, **names)
    net.load_state_dict(book.state_dict())
    weight = net.layers[0].weight.data
    net.layers[0].weight.data = weight.roll(-n_classes, dims=1)
    torch.testing.assert_close(
        neutral_activations(net, turned.images), neutral_activations(book, split.images)
    )
    for one, data in ((book, split), (net, turned)):
        torch.manual_seed(5)
        quiet(one, data, **(settings | {"epochs": 2, "lr": 0.003}))
    for use in (label_goodness, label_goodness_first_layer, neutral_activations):
        torch.testing.assert_close(
            use(net, turned.images), use(book, split.images), rtol=1e-3, atol=1e-4
        )


def test_the_neutral_label_of_the_book_is_the_mean_of_all_labels():
    net, x = FFNet(30, 8, n_classes=7, label_strength=0.7), torch.rand(4, 30)
    assert torch.equal(net.write_neutral(x), neutral(x, 7, 0.7))
    other = FFNet(
        30, 8, n_classes=7, label_strength=0.7, overlay=lambda *args: overlay(*args)
    )
    torch.testing.assert_close(other.write_neutral(x), net.write_neutral(x))


@pytest.mark.parametrize("label_strength", [0.2, 3.0])
def test_the_label_strength_of_the_net_is_used_everywhere(split, label_strength):
    def run(label_strength, use):
        torch.manual_seed(3)
        net = FFNet(30, 12, 10, label_strength=label_strength)
        return NUMBERS[use](net, split)

    for use in NUMBERS:
        assert not torch.allclose(run(label_strength, use), run(1.0, use))


# Pieces that the training is given


def test_a_loss_of_ones_own_gets_the_net_s_goodness(split):
    received = []

    def loss_fn(positive, negative, goodness):
        received.append(goodness)
        return (goodness(negative) - goodness(positive)).mean()

    def root(h):
        return goodness(h).sqrt()

    net = FFNet(30, 12, 10, goodness=root)
    quiet(net, split, loss_fn=loss_fn)
    assert received and all(function is root for function in received)


@pytest.mark.parametrize(
    "loss_fn", [pair_loss, functools.partial(pair_loss, scale=3.0)]
)
def test_the_losses_of_the_book_use_the_goodness_that_they_get(split, loss_fn):
    """Not the one of their own module."""

    def run(goodness):
        torch.manual_seed(3)
        net = FFNet(30, 12, 10, goodness=goodness)
        return quiet(net, split, loss_fn=loss_fn)

    assert not torch.allclose(run(goodness), run(lambda h: 2 * goodness(h)))


def test_wrong_labels_of_ones_own_are_those_that_are_written(split):
    written = []

    def listen(x, y, n_classes, label_strength):
        if len(x) > 2:  # the door tries it on two images
            written.append(y)
        return overlay(x, y, n_classes, label_strength)

    net = FFNet(30, 12, overlay=listen)
    quiet(net, split, epochs=1, negative_labels=lambda net, x, y: (y + 3) % 10)
    for y, wrong in zip(written[::2], written[1::2], strict=True):
        assert torch.equal(wrong, (y + 3) % 10)


# Any number of classes


@pytest.mark.parametrize("n_classes", [2, 3, 26])
@pytest.mark.parametrize("settings", [{}, RECIPE], ids=["plain", "recipe"])
@pytest.mark.parametrize("greedy", [False, True])
def test_any_number_of_classes_from_training_to_the_saved_net(
    tmp_path, n_classes, settings, greedy
):
    split = make_split(n_classes, pixels=2 * n_classes + 10, count=26 * n_classes)
    net = FFNet(2 * n_classes + 10, 40, 40, n_classes=n_classes, label_strength=2.0)
    settings = settings | {"epochs": 40, "lr": 0.02, "batch_size": 26, "greedy": greedy}
    quiet(net, split, **settings)
    assert layer_errors(net, split)["sum of all layers"] < 40 * (1 - 1 / n_classes)
    assert label_goodness(net, split.images).shape == (26 * n_classes, n_classes)
    features = neutral_activations(net, split.images)
    head = fit_softmax(features, split.labels, n_classes, epochs=1)
    assert head.out_features == n_classes
    save_net(net, tmp_path / "net.pt")
    loaded = load_net(tmp_path / "net.pt")
    assert torch.equal(predict(loaded, split.images), predict(net, split.images))


# Colour images


def test_colour_images_with_jitter():
    prototypes = torch.rand(10, 3072)
    y = torch.arange(100) % 10
    split = Split(0.7 * prototypes[y] + 0.3 * torch.rand(100, 3072), y)
    net = FFNet(3072, 30, 30)
    settings = RECIPE | {"augment": functools.partial(jitter, channels=3)}
    losses = quiet(net, split, **(settings | {"epochs": 8, "batch_size": 20}))
    assert losses[-1, 0] < losses[0, 0]
    with pytest.raises(ValueError, match="for colour images say channels=3"):
        quiet(net, split, augment=jitter)


# Layers of one's own


class Bilinear(nn.Module):
    """No Linear and no normalisation."""

    def __init__(self, in_features, out_features):
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        shape = 2, in_features, out_features
        self.weight = nn.Parameter(torch.randn(shape) / in_features)

    def forward(self, x):
        return torch.relu((x @ self.weight[0]) * (x @ self.weight[1]) + x.mean() / 2)


@pytest.mark.parametrize("settings", [{}, RECIPE], ids=["plain", "recipe"])
@pytest.mark.parametrize(
    "make",
    [
        lambda: [Bilinear(36, 20), 10],
        lambda: [20, Bilinear(20, 10)],
        lambda: [LocallyConnected2d(6, 1, 3, 3, 5), 10],
        lambda: [LocallyConnected2d(6, 1, 3, 1, 4, padding=1), Bilinear(144, 10), 5],
        lambda: [nn.Linear(36, 20), FFLayer(20, 10)],
    ],
)
def test_layers_of_ones_own_learn_and_predict(make, settings):
    split = make_split(pixels=36)
    net = FFNet(36, *make())
    before = [p.detach().clone() for p in net.parameters()]
    quiet(net, split, **(settings | {"epochs": 3, "lr": 0.01}))
    for p, old in zip(net.parameters(), before, strict=True):
        assert not torch.equal(p, old)
    scores = label_goodness_per_layer(net, split.images)
    for label in (0, 7):
        x = net.write_label(split.images, torch.full((200,), label))
        for k, layer in enumerate(net.layers):
            x = layer(x)
            torch.testing.assert_close(scores[:, label, k], goodness(x))
    sampled = label_goodness_first_layer(net, split.images)
    torch.testing.assert_close(sampled, scores[:, :, 0])
    assert neutral_activations(net, split.images).isfinite().all()


@pytest.mark.parametrize(
    "layer",
    [
        lambda f: FFLayer(36, 5, normalize=f),
        lambda f: LocallyConnected2d(6, 1, 3, 3, 5, normalize=f),
    ],
)
def test_a_layer_with_another_normalize_than_the_net_is_pointed_out(layer):
    def mine(h):
        return normalize(h)

    for of_layer, of_net in ((normalize, mine), (mine, normalize)):
        with pytest.warns(UserWarning, match="hand the same function to both"):
            FFNet(36, layer(of_layer), 4, normalize=of_net)


def test_a_layer_with_the_same_normalize_is_not(recwarn):
    def mine(h):
        return normalize(h)

    for function in (mine, normalize):
        layer = LocallyConnected2d(6, 1, 3, 3, 5, normalize=function)
        FFNet(36, layer, Bilinear(20, 5), 4, normalize=function)
    assert not recwarn.list


# Which layers are summed


def test_the_layers_summed_are_those_that_are_named(split):
    net = FFNet(30, 12, 10, 8)
    quiet(net, split, negative_labels=random_negatives)
    scores = label_goodness_per_layer(net, split.images)
    for layers in ([0], [1, 2], [2, 0], [0, 1, 2]):
        expected = scores[:, :, layers].sum(dim=2).argmax(dim=1)
        predictions = predict(net, split.images, layers)
        assert error_rate(predictions, expected) == 0


# ---- Pieces that would be ignored, or would spoil something, in silence


class OwnLabels(FFNet):
    def write_label(self, x, y):
        return overlay(x, y).flip(1)


def in_place(x, y, n_classes, label_strength):
    x[:, :n_classes] = 0
    x[torch.arange(len(x)), y] = label_strength
    return x


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: OwnLabels(784, 8), TypeError, r"write_label of its own.*overlay="),
        (lambda: FFNet(784, 8, overlay=in_place), ValueError, r"x = x\.clone\(\)"),
        (
            lambda: FFNet(784, 8, goodness=lambda h: h.square().mean(1, keepdim=True)),
            ValueError,
            r"one number for each row, \(3,\), got \(3, 1\)",
        ),
        (
            lambda: FFNet(784, 8, goodness=lambda h: h.square().mean()),
            ValueError,
            r"one number for each row, \(3,\), got \(\)",
        ),
    ],
)
def test_a_piece_that_cannot_work_is_refused_at_both_doors(make, error, message):
    images, labels = torch.rand(6, 784), torch.arange(6)
    for call in (
        lambda: train(make(), Split(images, labels), epochs=1, progress=False),
        lambda: train(make(), [(images, labels)], epochs=1, progress=False),
        lambda: predict(make(), images),
    ):
        with pytest.raises(error, match=message):
            call()


def test_errors_are_for_labels_that_the_net_knows():
    split = Split(torch.rand(6, 784), torch.arange(6))
    with pytest.raises(ValueError, match=r"labels must be in 0\.\.2"):
        layer_errors(FFNet(784, 8, n_classes=3), split)
