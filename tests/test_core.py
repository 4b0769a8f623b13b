"""Chapters 01 to 06 as a whole: small, never waiting, and at home on any device."""

import ast
import io
import subprocess
import sys
import tokenize
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from synchronizations import Waits
from torch.nn.functional import one_hot

import ffutils
from ffutils import RECIPE, FFNet, Split, compare, train
from ffutils.data import batches, load_digits
from ffutils.local import LocallyConnected2d
from ffutils.recipe import drop_pixels, hard_negatives, jitter
from ffutils.recurrent import RecurrentNet, recurrent_loss
from ffutils.rivals import (
    MLP,
    TargetPropNet,
    backprop_step,
    target_optimizers,
    target_step,
)
from ffutils.training import random_negatives, train_epoch

FOLDER = Path(ffutils.__file__).parent
CORE = ["data", "labels", "layers", "training", "prediction", "recipe"]


# Small


def lines_of_code(source):
    """How many lines hold code: no docstring, no comment, not blank."""
    docstrings = set()
    for node in ast.walk(ast.parse(source)):
        kinds = ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef
        if isinstance(node, kinds) and ast.get_docstring(node) is not None:
            first = node.body[0]
            docstrings |= set(range(first.lineno, first.end_lineno + 1))
    nothing = (
        tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT,
        tokenize.DEDENT, tokenize.ENDMARKER,
    )  # fmt: skip
    lines = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in nothing:
            lines |= set(range(token.start[0], token.end[0] + 1))
    return len(lines - docstrings)


def test_lines_of_code_are_counted():
    lines = [
        '"""Doc."""', "", "# why", "x = (1,", "     2)  # two", "", "def f():",
        '    """Two', "", '    lines."""', "    return x", "",
    ]  # fmt: skip
    assert lines_of_code("\n".join(lines)) == 4


def test_the_core_has_at_most_400_lines():
    counts = {
        name: lines_of_code((FOLDER / f"{name}.py").read_text(encoding="utf-8"))
        for name in CORE
    }
    assert sum(counts.values()) <= 400, counts


# Never waiting


READS = {
    "item": lambda x: x.sum().item(),
    "bool": lambda x: bool(x[0, 0] > 0),
    "float": lambda x: float(x[0, 0]),
    "int": lambda x: int(x[0, 0]),
    "index": lambda x: [1, 2][x[0, 0].long()],
    "if": lambda x: 1 if (x > 0).any() else 2,
    "tolist": lambda x: x.tolist(),
    "numpy": lambda x: x.numpy(),
    "cpu": lambda x: x.cpu(),
    "to cpu": lambda x: x.to("cpu"),
    "a mask": lambda x: x[x > 0],
    "a mask of rows": lambda x: x[x[:, 0] > 0],
    "nonzero": lambda x: x.nonzero(),
    "where": lambda x: torch.where(x > 0),
    "masked_select": lambda x: x.masked_select(x > 0),
    "unique": lambda x: x.unique(),
    "equal": lambda x: torch.equal(x, x),
    "allclose": lambda x: torch.allclose(x, x),
    "multinomial": lambda x: x.multinomial(1),
    "repeat_interleave": lambda x: x.repeat_interleave(x[:, 0].long(), dim=0),
    "bincount": lambda x: x[:, 0].long().bincount(),
    "an index on the CPU": lambda x: x[torch.arange(2, device="cpu")],
    "a list as an index": lambda x: x[[0, 1]],
    "a tensor from the CPU": lambda x: x + torch.ones(3, device="cpu").to(x.device),
    "a list": lambda x: torch.tensor([1.0, 2.0, 3.0], device=x.device),
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_every_kind_of_wait_is_found(read):
    with Waits() as waits:
        read(torch.rand(4, 3, device="meta"))
    assert waits.names


NOTHING_READ = {
    "a product": lambda x: x @ x.T,
    "where": lambda x: torch.where(x > 0, x, 0.0),
    "a masked fill": lambda x: x.masked_fill(x > 0, 1.0),
    "an index": lambda x: x[x.argmax(dim=0)],
    "a slice": lambda x: x[1:, :2].clone(),
    "a number": lambda x: 2.0 * x + 1,
    "a random number": lambda x: torch.rand_like(x).exponential_(),
    "scatter": lambda x: x.scatter(1, x.argmax(dim=1, keepdim=True), 1.0),
}


@pytest.mark.parametrize("use", NOTHING_READ.values(), ids=NOTHING_READ)
def test_nothing_else_is_taken_for_a_wait(use):
    with Waits() as waits:
        use(torch.rand(4, 3, device="meta"))
    assert not waits.names


ON_META = Split(torch.rand(64, 784), torch.arange(64) % 10)
ON_META = Split(*(part.to("meta") for part in ON_META))


def sgd(net):
    return [torch.optim.SGD(layer.parameters(), lr=0.1) for layer in net.layers]


def adam(net):
    return [torch.optim.Adam(layer.parameters(), lr=0.1) for layer in net.layers]


NETS = {
    "plain": lambda: FFNet(784, 20, 10),
    "26 classes": lambda: FFNet(784, 20, 10, n_classes=26),
    "its own goodness": lambda: FFNet(784, 20, goodness=lambda h: h.abs().mean(dim=1)),
    "windows": lambda: FFNet(784, LocallyConnected2d(28, 1, 10, 6, 5), 10),
}
SETTINGS = {
    "plain": {},
    "recipe": {k: RECIPE[k] for k in ("loss_fn", "negative_labels")},
    "jitter": {"augment": jitter, "negative_labels": hard_negatives},
    "drop_pixels": {"augment": drop_pixels, "negative_labels": random_negatives},
}


@pytest.mark.parametrize("make", NETS.values(), ids=NETS)
@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
@pytest.mark.parametrize("optimizers", [sgd, adam])
@pytest.mark.parametrize("batch_size", [16, 64])
def test_an_epoch_waits_for_its_order_and_for_its_losses(
    make, settings, optimizers, batch_size
):
    """However many steps it takes: the order goes there, the mean losses come back."""
    net = make().to("meta")
    layers = list(range(len(net.layers)))
    with Waits() as waits:
        train_epoch(
            net, optimizers(net), ON_META, layers, batch_size=batch_size, **settings
        )
    assert waits.names == ["_to_copy", "cpu"]


def test_a_batch_that_is_there_already_is_not_moved():
    net = FFNet(784, 20).to("meta")
    parts = list(batches(ON_META, 16))
    with Waits() as waits:
        train_epoch(net, sgd(net), parts, [0])
    assert waits.names == ["cpu"]


def recurrent_step():
    net = RecurrentNet(784, 12, 10, 10).to("meta")
    optimizer = torch.optim.Adam(net.parameters())
    x, y = ON_META
    with Waits() as waits:
        loss = recurrent_loss(net, x, y, random_negatives(net, x, y), steps=3)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return waits


def backprop():
    net = MLP(784, 20, 10).to("meta")
    optimizer = torch.optim.Adam(net.parameters())
    with Waits() as waits:
        backprop_step(net, optimizer, *ON_META)
    return waits


def target_propagation():
    net = TargetPropNet(784, 20, 10, 8).to("meta")
    optimizers = target_optimizers(net)
    with Waits() as waits:
        target_step(net, optimizers, *ON_META)
    return waits


@pytest.mark.parametrize("step", [recurrent_step, backprop, target_propagation])
def test_the_steps_of_the_later_chapters_never_wait(step):
    assert not step().names


@pytest.mark.parametrize("greedy", [False, True])
def test_the_whole_training_reads_a_few_values_per_epoch(monkeypatch, greedy):
    """Counted on the CPU, by the operation behind .item(); SGD asks for none itself."""
    split = Split(torch.rand(128, 30), torch.arange(128) % 10)

    class Reads(torch.utils._python_dispatch.TorchDispatchMode):
        count = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            if func.overloadpacket.__name__ in ("_local_scalar_dense", "equal"):
                self.count += 1
            return func(*args, **(kwargs or {}))

    def reads(epochs, batch_size, **settings):
        with Reads() as mode:
            train(
                FFNet(30, 8, 6), split, epochs, batch_size, optimizer=torch.optim.SGD,
                greedy=greedy, **settings,
            )  # fmt: skip
        return mode.count

    for settings in ({"progress": False}, RECIPE | {"progress": False}):
        settings = {k: v for k, v in settings.items() if k != "epochs"}
        few = reads(1, 128, **settings)
        assert reads(1, 8, **settings) == few
        assert reads(5, 8, **settings) - few <= 4 * 6


# Any default device


X, Y = torch.rand(40, 784), torch.arange(40) % 10
PLAIN = Split(0.5 * X + 0.5 * one_hot(Y, 784), Y)
H, OTHER = torch.rand(2, 5, 8)


def new_net(**settings):
    with torch.device("cpu"):
        torch.manual_seed(2)
        return FFNet(784, 8, 6, **settings)


def train_and_weights(**settings):
    net = new_net()
    settings = {"epochs": 1, "batch_size": 16, "progress": False} | settings
    losses = train(net, PLAIN, **settings)
    return [losses, *net.parameters()]


def one_step(step):
    net = new_net()
    optimizers = [torch.optim.SGD(layer.parameters(), lr=1.0) for layer in net.layers]
    return [*step(net, optimizers), *net.parameters()]


def save_and_load(tmp_path):
    ffutils.save_net(new_net(), tmp_path / "net.pt")
    return list(ffutils.load_net(tmp_path / "net.pt").parameters())


def small_compare():
    table = compare({}, {"lr": 0.002}, sizes=(30,), images=40, epochs=1, seeds=(0,))
    return table.rows


CALLS = {
    "FFLayer": lambda _: new_net().layers[1](H),
    "FFNet": lambda _: new_net()(X),
    "RECIPE": lambda _: train_and_weights(**(RECIPE | {"epochs": 1})),
    "Split": lambda _: ffutils.Split(X, Y),
    "Table": lambda _: ffutils.Table(["a"], [["b"]])._repr_html_(),
    "batches": lambda _: [*batches(PLAIN, 16), *batches(PLAIN, 16, shuffle=False)],
    "compare": lambda _: small_compare(),
    "cosine_decay": lambda _: ffutils.cosine_decay(0.3),
    "drop_pixels": lambda _: drop_pixels(X),
    "error_rate": lambda _: ffutils.error_rate(Y, Y.flip(0)),
    "fit_softmax": lambda _: list(ffutils.fit_softmax(X, Y).parameters()),
    "goodness": lambda _: ffutils.goodness(H),
    "hard_negatives": lambda _: hard_negatives(new_net(), X, Y),
    "jitter": lambda _: [jitter(X), jitter(torch.ones_like(X[:, :768]), 2, 3)],
    "label_goodness": lambda _: ffutils.label_goodness(new_net(), X, [1]),
    "label_goodness_first_layer": lambda _: [
        ffutils.label_goodness_first_layer(new_net(**own), X)
        for own in ({}, {"goodness": lambda h: h.sum(dim=1)})
    ],
    "label_goodness_per_layer": lambda _: ffutils.label_goodness_per_layer(
        new_net(), X.repeat(4, 1)
    ),
    "layer_errors": lambda _: ffutils.layer_errors(new_net(), PLAIN),
    "load_dataset": lambda _: ffutils.load_dataset("digits"),
    "load_digits": lambda _: load_digits(),
    "load_mnist": lambda _: ffutils.load_mnist(),
    "load_net": save_and_load,
    "load_results": lambda _: None,
    "logistic_loss": lambda _: ffutils.logistic_loss(H, OTHER),
    "neutral": lambda _: ffutils.neutral(X),
    "neutral_activations": lambda _: [
        ffutils.neutral_activations(new_net(**own), X)
        for own in ({}, {"overlay": lambda x, y, n, s: x + y[:, None] / 10})
    ],
    "normalize": lambda _: ffutils.normalize(H),
    "overlay": lambda _: ffutils.overlay(X, Y),
    "pair_loss": lambda _: ffutils.pair_loss(H, OTHER),
    "predict": lambda _: ffutils.predict(new_net(), X),
    "random_negatives": lambda _: random_negatives(new_net(), X, Y),
    "sample_wrong_labels": lambda _: ffutils.sample_wrong_labels(X[:, :10], Y),
    "save_net": save_and_load,
    "set_lr": lambda _: ffutils.set_lr([torch.optim.SGD([torch.rand_like(X)])], 1.0),
    "split_validation": lambda _: ffutils.split_validation(PLAIN),
    "train": lambda _: [
        train_and_weights(),
        train_and_weights(greedy=True),
        train_and_weights(loss_fn=ffutils.pair_loss, negative_labels=hard_negatives),
    ],
    "train_batch": lambda _: one_step(
        lambda net, optimizers: ffutils.train_batch(net, optimizers, X, X, [0, 1])
    ),
    "train_epoch": lambda _: one_step(
        lambda net, optimizers: train_epoch(net, optimizers, PLAIN, [0, 1], 16)
    ),
    "train_layer": lambda _: one_step(
        lambda net, optimizers: ffutils.train_layer(net.layers[0], optimizers[0], X, X)
    ),
    "wrong_labels": lambda _: ffutils.wrong_labels(Y),
}


def same(a, b):
    """Whether two results are equal, and all their tensors on the CPU."""
    if torch.is_tensor(a):
        return a.device.type == b.device.type == "cpu" and torch.equal(a, b)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


def test_no_function_is_left_out():
    assert sorted(CALLS) == sorted(ffutils.__all__)


def adam_works_beside_meta():
    """Whether Adam can take a step where "meta" is the default, which it cannot in 2.6.

    There it puts its step counter on the default device, which a GPU would not mind.
    """
    weight = torch.zeros(1, requires_grad=True)
    weight.grad = torch.zeros(1)
    try:
        with torch.device("meta"):
            torch.optim.Adam([weight]).step()
    except RuntimeError:
        return False
    return True


@pytest.mark.parametrize("name", ffutils.__all__)
def test_another_default_device_changes_nothing(name, tmp_path, monkeypatch):
    """Tensors stay where the data and the net are, with the numbers they have there."""
    trains = name in ("train", "RECIPE", "compare", "fit_softmax")
    if trains and not adam_works_beside_meta():
        pytest.skip(f"Adam of torch {torch.__version__} needs its default device")
    monkeypatch.setenv("FF_DATASET", "digits")
    part = SimpleNamespace(data=(255 * X.view(-1, 28, 28)).byte(), targets=Y)
    monkeypatch.setattr("ffutils.data.open_dataset", lambda name: [part, part])
    torch.manual_seed(1)
    expected = CALLS[name](tmp_path)
    torch.manual_seed(1)
    try:
        torch.set_default_device("meta")
        result = CALLS[name](tmp_path)
    finally:
        torch.set_default_device(None)
    assert same(expected, result)


def test_the_import_leads_to_no_warning_of_numpys():
    """Which older versions give once the smallest numbers count as 0."""
    code = "import ffutils, numpy; [numpy.finfo(k) for k in ('float32', 'float64')]"
    ended = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", code],
        capture_output=True, text=True,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
