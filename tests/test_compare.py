"""Your version against the book's: equal without an edit, and different with one."""

import copy
import sys

import pytest
import torch

from ffutils import compare, goodness, load_digits, overlay, wrong_labels
from ffutils.layers import FFLayer
from ffutils.local import LocallyConnected2d

SMALL = {"sizes": (30, 20), "images": 300, "epochs": 1, "seeds": (0, 1)}


@pytest.fixture(autouse=True)
def digits(monkeypatch):
    monkeypatch.setenv("FF_DATASET", "digits")


def errors(table):
    """Each version's errors by name and seed, as they are shown."""
    columns = {}
    for k, title in enumerate(table.head[1:], start=1):
        version, seed = title.split(", seed ")
        columns[version, int(seed)] = {row[0]: row[k] for row in table.rows}
    return columns


def test_every_layer_of_both_versions_for_every_seed():
    table = compare({}, {}, **SMALL)
    assert table.head == [
        "validation error", "book, seed 0", "yours, seed 0", "book, seed 1",
        "yours, seed 1",
    ]  # fmt: skip
    assert [row[0] for row in table.rows] == [
        "layer 1", "layer 2", "sum without layer 1", "sum of all layers",
    ]  # fmt: skip
    assert "300 images" in table.caption and "250 others" in table.caption
    for error in (cell for row in table.rows for cell in row[1:]):
        assert 0 < float(error.removesuffix(" %")) <= 100


UNEDITED = {
    "nothing": {},
    "the book's goodness": {"goodness": goodness},
    "a copy of it": {"goodness": lambda h: goodness(h)},
    "a copy of overlay": {"overlay": lambda *args: overlay(*args)},
    "ten classes": {"n_classes": 10, "label_strength": 1.0},
    "the same settings": {"epochs": 10, "lr": 0.001, "optimizer": torch.optim.Adam},
    "wrong labels written out": {
        "negative_labels": lambda net, x, y: wrong_labels(y, net.n_classes)
    },
}


@pytest.mark.parametrize("yours", UNEDITED.values(), ids=UNEDITED)
def test_equal_where_nothing_is_edited(yours):
    columns = errors(compare({}, yours, **SMALL))
    for seed in (0, 1):
        assert columns["book", seed] == columns["yours", seed]
    assert columns["book", 0] != columns["book", 1]


EDITED = {
    "goodness": {"goodness": lambda h: h.abs().mean(dim=1)},
    "normalize": {"normalize": lambda h: h},
    "overlay": {"overlay": lambda x, y, n, s: overlay(x, y, n, 5 * s)},
    "label_strength": {"label_strength": 5.0},
    "loss_fn": {"loss_fn": lambda p, n, g: (g(n) - g(p)).mean()},
    "negative_labels": {"negative_labels": lambda net, x, y: (y + 1) % 10},
    "lr": {"lr": 0.002},
    "epochs": {"epochs": 3},
    "optimizer": {"optimizer": torch.optim.SGD},
}


@pytest.mark.parametrize("edit", EDITED.values(), ids=EDITED)
def test_other_numbers_for_yours_where_it_is_edited(edit):
    """And the same for the book's."""
    usual = errors(compare({}, {}, **SMALL))
    columns = errors(compare({}, edit, **SMALL))
    mirrored = errors(compare(edit, {}, **SMALL))
    for seed in (0, 1):
        assert columns["book", seed] == usual["book", seed]
        assert columns["yours", seed] != usual["yours", seed]
        assert mirrored["book", seed] == columns["yours", seed]
        assert mirrored["yours", seed] == columns["book", seed]


def test_versions_may_have_layers_of_their_own():
    table = compare({}, {"sizes": (30,)}, **SMALL)
    columns = errors(table)
    assert columns["yours", 0]["layer 2"] == "–"
    assert columns["yours", 0]["layer 1"] != "–"
    assert columns["book", 0]["layer 2"] != "–"


@pytest.mark.parametrize(
    "make", [lambda: FFLayer(784, 30), lambda: LocallyConnected2d(28, 1, 10, 6, 3)]
)
def test_a_layer_that_is_handed_in_starts_afresh_for_each_seed_and_is_left_alone(make):
    layer = make()
    before = copy.deepcopy(layer.state_dict())
    both = errors(compare({}, {"sizes": (layer, 20)}, **SMALL))
    alone = errors(compare({}, {"sizes": (layer, 20)}, **(SMALL | {"seeds": (1,)})))
    assert both["yours", 1] == alone["yours", 1]
    for name, value in layer.state_dict().items():
        assert torch.equal(value, before[name])


def test_the_versions_that_are_handed_in_are_left_alone():
    book, yours = {"lr": 0.002}, {"sizes": (20,), "goodness": goodness, "epochs": 1}
    held = dict(book), dict(yours)
    compare(book, yours, **SMALL)
    assert (book, yours) == held


def test_the_errors_are_those_of_images_set_aside():
    """A net that has learnt by heart has no error of 0."""
    train, _ = load_digits()
    assert len(train.labels) == 1500
    table = compare({}, {}, sizes=(30,), images=10_000, epochs=1, seeds=(0,))
    assert "1,250 images" in table.caption and "250 others" in table.caption


@pytest.mark.parametrize(
    ("version", "error", "message"),
    [
        ({"godness": goodness}, TypeError, "godness"),
        ({"epochs": 0}, ValueError, "epochs must be a whole number"),
        ({"n_classes": 3}, ValueError, r"labels must be in 0\.\.2"),
        ({"lr": 1e30}, FloatingPointError, "lower lr"),
    ],
)
def test_settings_that_nobody_knows_are_refused(version, error, message):
    for pair in (({}, version), (version, {})):
        with pytest.raises(error, match=message):
            compare(*pair, **SMALL)


def test_it_renders_in_a_notebook():
    table = compare({}, {}, **(SMALL | {"seeds": (0,)}))
    assert table._repr_html_().startswith("<table><caption>300 images, 10 epochs")


def test_an_interrupt_ends_the_comparison(monkeypatch):
    def interrupted(net, data, **settings):
        return torch.full((2, 1), torch.nan)

    monkeypatch.setattr(sys.modules["ffutils.compare"], "train", interrupted)
    with pytest.raises(KeyboardInterrupt, match="nothing to compare"):
        compare({}, {}, sizes=(8,), images=100, epochs=1, seeds=(0,))
