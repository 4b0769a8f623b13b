"""Layers in processes of their own learn, bit for bit, what they learn in one; messages
go up only; and where a process dies, the run ends at once and nothing is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from ffutils import RECIPE, FFLayer, FFNet, Split, cosine_decay, load_digits, train
from ffutils import pipeline as module
from ffutils.pipeline import (
    assign_layers,
    first_stage_batches,
    make_sender,
    receive_batches,
    train_parallel,
    train_stage,
)

ROOT = Path(__file__).parent.parent
SETTINGS = {"epochs": 2, "batch_size": 64, "lr": 0.003}
ENDLESS = SETTINGS | {"epochs": 100_000, "threads": 1}
SECONDS = 2  # from the death of a process to the end of the run


@pytest.fixture(scope="module")
def split():
    # 200 images: the fourth batch of an epoch has 8
    return Split(*(part[:200] for part in load_digits()[0]))


@pytest.fixture(autouse=True)
def one_thread():
    """With more of them, a product may be rounded otherwise."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class Failing(FFLayer):
    def forward(self, x):
        raise ZeroDivisionError("a mistake in a layer")


class Leaving(FFLayer):
    def forward(self, x):
        os._exit(3)


def fresh(dtype=torch.float32, **parts):
    torch.manual_seed(1)
    return FFNet(784, 40, 30, 20, 10, **parts).to(dtype)


def assert_same(net, other):
    for (name, p), q in zip(
        net.state_dict().items(), other.state_dict().values(), strict=True
    ):
        assert torch.equal(p, q), name


def assert_gone(ids):
    for process_id in ids:
        with pytest.raises(ProcessLookupError):
            os.kill(process_id, 0)


@pytest.mark.parametrize(
    "layers, processes, expected",
    [
        (3, 3, [[0], [1], [2]]),
        (3, 2, [[0], [1, 2]]),
        (4, 3, [[0], [1], [2, 3]]),
        (4, 1, [[0, 1, 2, 3]]),
    ],
)
def test_assign_layers(layers, processes, expected):
    assert assign_layers(layers, processes) == expected


def test_one_stage_with_all_layers_does_what_train_does(split):
    net, other = fresh(), fresh()
    losses = train(net, split, **(RECIPE | SETTINGS), progress=False)
    other = fresh()
    optimizers = [torch.optim.Adam(layer.parameters()) for layer in other.layers]
    incoming = first_stage_batches(other, split, 64, 2)
    lrs = [0.003 * cosine_decay(epoch / 2) for epoch in (0, 1) for _ in range(4)]
    stage_losses, spans = train_stage(
        other.layers, optimizers, incoming, lambda *pair: None, lrs
    )
    assert_same(net, other)
    assert stage_losses.shape == (8, 4) and spans.shape == (8, 3)
    sizes = torch.tensor([64, 64, 64, 8])[:, None]
    means = (stage_losses.view(2, 4, 4) * sizes / 200).sum(dim=1)
    assert torch.allclose(means, losses, atol=1e-6)


@pytest.mark.parametrize(
    "processes, parts",
    [
        (3, {}),  # for four layers: the last has two
        (2, {"dtype": torch.float64, "goodness": lambda h: h.var(dim=1)}),
    ],
)
def test_parallel_layers_learn_what_train_teaches(split, processes, parts):
    split = Split(split.images.to(parts.get("dtype", torch.float32)), split.labels)
    net, other = fresh(**parts), fresh(**parts)
    before = [p.clone() for p in other.parameters()]
    torch.manual_seed(2)
    losses = train(net, split, **(RECIPE | SETTINGS), progress=False)
    state = torch.get_rng_state()
    torch.manual_seed(2)
    result, spans = train_parallel(other, split, processes, **SETTINGS, threads=1)
    assert_same(net, other)
    for p, q in zip(before, other.parameters(), strict=True):
        assert (p - q).abs().max() > 1e-3
    assert torch.equal(result, losses)
    assert torch.equal(torch.get_rng_state(), state)  # what comes next is the same, too
    assert [part.shape for part in spans] == [(8, 3)] * processes
    for earlier, later in zip(spans, spans[1:], strict=False):
        # no layer begins a batch that the one below has not finished
        assert (later[:, 0] >= earlier[:, 1]).all()
    assert spans[0][0, 0] == 0 and (spans[0][:, 1] > spans[0][:, 0]).all()


class Post:
    """Stands in for torch.distributed: notes what is sent and asked for, and when."""

    def __init__(self, messages=()):
        self.messages, self.log = list(messages), []

    def isend(self, message, target):
        self.log.append(("send", target))
        return self

    def irecv(self, box, source):
        self.log.append(("ask", source))
        box.copy_(self.messages.pop(0))
        return self

    def wait(self):
        self.log.append(("wait",))


def test_middle_process_hears_from_below_and_speaks_upwards(monkeypatch):
    post = Post([torch.rand(2, size, 40) for size in (5, 5, 3)])
    monkeypatch.setattr(module, "dist", post)
    layer = fresh().layers[1]
    optimizer = torch.optim.Adam(layer.parameters())
    incoming = receive_batches([5, 5, 3], 40, source=0)
    losses, _ = train_stage([layer], [optimizer], incoming, make_sender(2), [0.003] * 3)
    assert losses.shape == (3, 1)
    talk = [entry for entry in post.log if entry != ("wait",)]
    # nothing is sent down, nothing expected from above
    assert set(talk) == {("ask", 0), ("send", 2)}
    # the next batch is asked for before this one is done
    assert talk[:3] == [("ask", 0), ("ask", 0), ("send", 2)]
    assert post.log.count(("wait",)) == 3 + 1  # arrivals, and the first departure


def test_sender_waits_when_two_batches_are_under_way(monkeypatch):
    post = Post()
    monkeypatch.setattr(module, "dist", post)
    send, pair = make_sender(1), (torch.zeros(2, 3), torch.zeros(2, 3))
    for _ in range(2):
        send(*pair)
    assert ("wait",) not in post.log
    for waits in (1, 2):
        send(*pair)
        assert post.log.count(("wait",)) == waits


@pytest.mark.parametrize(
    "processes, victim, number", [(3, 1, signal.SIGKILL), (2, 0, signal.SIGTERM)]
)
def test_killed_process_ends_the_run_with_its_name(
    split, capfd, processes, victim, number
):
    net, killed = fresh(), []
    state = torch.get_rng_state()

    def kill(ids):
        time.sleep(0.5)  # in the middle of the work
        os.kill(ids[victim], number)
        killed.extend([time.monotonic(), ids])

    message = f"process {victim} terminated with signal {number.name}"
    with pytest.raises(RuntimeError, match=message):
        train_parallel(net, split, processes, **ENDLESS, on_start=kill)
    assert time.monotonic() - killed[0] < SECONDS
    assert len(killed[1]) == processes
    assert_gone(killed[1])
    assert_same(net, fresh())
    assert torch.equal(torch.get_rng_state(), state)
    assert capfd.readouterr() == ("", "")  # the error says it all


@pytest.mark.parametrize(
    "layer, message",
    [
        (Failing, r"Process 1 (?s:.)*ZeroDivisionError: a mistake in a layer"),
        (Leaving, "process 1 terminated with exit code 3"),
    ],
)
def test_process_with_an_error_of_its_own_is_reported_with_it(split, layer, message):
    net, ids = fresh(), []
    net.layers[1] = layer(40, 30)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    with pytest.raises(RuntimeError, match=message):
        train_parallel(net, split, 3, **ENDLESS, on_start=ids.extend)
    assert_gone(ids)
    assert all(torch.equal(p, before[name]) for name, p in net.state_dict().items())


def test_diverged_net_is_given_back_as_it_was(split):
    net = fresh()
    with pytest.raises(FloatingPointError, match="the loss of layer 1 is nan"):
        train_parallel(net, split, 2, epochs=2, lr=1e30, threads=1)
    assert_same(net, fresh())


# A shell that starts the tests in the background has them ignore Ctrl-C.
ALONE = """
import signal, sys, torch
signal.signal(signal.SIGINT, signal.default_int_handler)
from ffutils import FFNet, Split
from ffutils.pipeline import train_parallel
split = Split(torch.rand(64, 784), torch.arange(64) % 10)
net = FFNet(784, 20, 20, goodness=lambda h: h.abs().mean(dim=1), label_strength=0.5)
train_parallel(net, split, 2, epochs=100_000, threads=1,
               on_start=lambda ids: print("started", flush=True))
"""


@pytest.mark.parametrize(
    "number, seconds",
    # after a Ctrl-C Python takes its time to leave, with or without other processes
    [(signal.SIGINT, 30), (signal.SIGKILL, SECONDS)],
)
def test_processes_do_not_outlive_the_one_that_started_them(number, seconds):
    """As in a notebook, whose code is in no file."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [sys.executable, "-c", ALONE],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as run:
        try:
            assert run.stdout.readline() == "started\n"
            run.send_signal(number)
            # The pipes close when the last process that has them is gone.
            _, errors = run.communicate(timeout=seconds)
        finally:
            run.kill()
    assert run.returncode != 0
    assert ("KeyboardInterrupt" in errors) == (number == signal.SIGINT)


def test_bad_settings():
    split = Split(torch.rand(4, 784), torch.arange(4))
    for processes, message in [
        (5, "5 processes need 5 layers or more, one each, but the net has 4"),
        (0, "processes must be a whole number of at least 1, got 0"),
    ]:
        with pytest.raises(ValueError, match=message):
            train_parallel(fresh(), split, processes)
    for name, value in {"epochs": 0, "batch_size": 0, "threads": 0, "lr": 0.0}.items():
        with pytest.raises(ValueError, match=f"^{name} must be"):
            train_parallel(fresh(), split, 2, **{name: value})
    with pytest.raises(TypeError, match="a Split"):
        train_parallel(fresh(), [tuple(split)], 2)
