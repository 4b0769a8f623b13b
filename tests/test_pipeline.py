"""Layers in processes of their own learn what they learn in one, send forward only, and never wait for the dead."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from ffutils import RECIPE, FFNet, Split, load_digits, train
from ffutils import pipeline as module
from ffutils.pipeline import make_job, reason, received, sender, shares, train_parallel, train_stage, work

ROOT = Path(__file__).parent.parent
TOLERANCE = 1e-6  # of a weight, after 8 batches: the order of additions is all that could differ
SETTINGS = {"epochs": 2, "batch_size": 64, "lr": 0.003}
SECONDS = 15  # from the death of a process to the end of the run


@pytest.fixture(scope="module")
def split():
    return Split(*(part[:200] for part in load_digits()[0]))  # 200 images: the fourth batch of an epoch has 8


def fresh():
    torch.manual_seed(1)
    return FFNet(784, 40, 30, 20, 10)


def trained_in_one(split):
    net = fresh()
    losses = train(net, split, **(RECIPE | SETTINGS), progress=False)
    return net, losses, torch.get_rng_state()


def assert_same(net, other):
    for (name, ours), theirs in zip(net.state_dict().items(), other.state_dict().values(), strict=True):
        assert (ours - theirs).abs().max() <= TOLERANCE, name


@pytest.mark.parametrize(
    "layers, processes, expected",
    [(3, 3, [[0], [1], [2]]), (3, 2, [[0], [1, 2]]), (4, 3, [[0], [1], [2, 3]]), (4, 1, [[0, 1, 2, 3]])],
)
def test_shares(layers, processes, expected):
    assert shares(layers, processes) == expected


def test_one_process_does_what_train_does(split):
    net, losses, _ = trained_in_one(split)
    other = fresh()
    told = work(make_job(other, len(split.labels), SETTINGS["epochs"], 64, 0.003, threads=1), 0, 1, split)
    for k, state in told["layers"].items():
        other.layers[k].load_state_dict(state)
    assert_same(net, other)
    assert told["losses"].shape == (8, 4) and told["spans"].shape == (8, 3)
    means = (told["losses"].view(2, 4, 4) * torch.tensor([64, 64, 64, 8])[:, None] / 200).sum(dim=1)
    assert torch.allclose(means, losses, atol=1e-6)


def test_parallel_layers_learn_what_train_teaches(split):
    processes = 3  # for four layers: the last has two
    net, losses, state = trained_in_one(split)
    other = fresh()
    before = [p.clone() for p in other.parameters()]
    told, spans = train_parallel(other, split, processes, **SETTINGS, threads=1)
    assert_same(net, other)
    assert min((a - b).abs().max() for a, b in zip(before, other.parameters(), strict=True)) > 1000 * TOLERANCE
    assert torch.allclose(told, losses, atol=1e-6)
    assert torch.equal(torch.get_rng_state(), state)  # what comes next draws the same numbers, too
    assert [part.shape for part in spans] == [(8, 3)] * processes
    for earlier, later in zip(spans, spans[1:], strict=False):
        assert (later[:, 0] >= earlier[:, 1]).all()  # no layer begins a batch that the one below has not finished
    assert spans[0][0, 0] == 0 and (spans[0][:, 1] > spans[0][:, 0]).all()


class Post:
    """Stands in for torch.distributed in a process of its own number: notes what is sent and asked for, and when."""

    def __init__(self, messages=()):
        self.messages, self.log = list(messages), []

    def get_rank(self):
        return 1

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
    pairs = received([5, 5, 3], 40, source=0)
    losses, _ = train_stage([layer], [optimizer], pairs, sender(2), [0.003] * 3)
    assert losses.shape == (3, 1)
    talk = [entry for entry in post.log if entry != ("wait",)]
    assert set(talk) == {("ask", 0), ("send", 2)}  # nothing is sent down, nothing expected from above
    assert talk[:3] == [("ask", 0), ("ask", 0), ("send", 2)]  # the next batch is asked for before this one is done
    assert post.log.count(("wait",)) == 6  # three arrivals and three departures, none forgotten


def test_sender_waits_when_two_batches_are_under_way(monkeypatch):
    post = Post()
    monkeypatch.setattr(module, "dist", post)
    send, pair = sender(1), (torch.zeros(2, 3), torch.zeros(2, 3))
    for _ in range(2):
        send(pair)
    assert ("wait",) not in post.log
    send(pair)
    assert post.log.count(("wait",)) == 1
    send(None)
    assert post.log.count(("wait",)) == 3


def test_killed_process_ends_the_run_with_its_name(split):
    net, killed = fresh(), []

    def kill(ids):
        os.kill(ids[1], signal.SIGKILL)
        killed.append(time.monotonic())

    with pytest.raises(RuntimeError, match="process 1 of 0..2 was killed by SIGKILL"):
        train_parallel(net, split, 3, epochs=100_000, batch_size=64, threads=1, on_start=kill)
    assert time.monotonic() - killed[0] < SECONDS
    assert_same(net, fresh())


def test_killed_process_ends_torchrun_with_an_error(tmp_path):
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"),
        *("-m", "ffutils.pipeline", "--hidden", "20", "20", "--epochs", "100000", "--folder", str(tmp_path)),
    ]
    environment = os.environ | {"FF_DATASET": "digits", "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True) as run:
        try:
            marks = [tmp_path / f"process-{k}.id" for k in range(2)]
            until = time.monotonic() + 120
            while not all(mark.exists() for mark in marks):
                assert run.poll() is None and time.monotonic() < until
                time.sleep(0.1)
            os.kill(int(marks[0].read_text()), signal.SIGKILL)
            _, errors = run.communicate(timeout=SECONDS)
        finally:
            run.terminate()
    assert run.returncode != 0
    assert re.search(r"Root Cause.*rank +: 0 .*Signal 9 \(SIGKILL\) received", errors, re.DOTALL)


def test_more_processes_than_layers():
    with pytest.raises(ValueError, match="5 processes need 5 layers or more, one each, but the net has 4"):
        train_parallel(fresh(), Split(torch.rand(4, 784), torch.arange(4)), 5)


@pytest.mark.parametrize(
    "log, expected",
    [
        ("ffutils.pipeline: a\nx failed (exitcode: -9) local_rank: 1 (pid: 7)", "process 1 of 0..2 was killed by SIGKILL"),
        ("ffutils.pipeline: MemoryError: b\nfailed (exitcode: 1) local_rank: 0 (pid: 7)", "MemoryError: b"),
        ("Traceback\nZeroDivisionError: c\nfailed (exitcode: 1) local_rank: 2 (pid: 7)", "ZeroDivisionError: c"),
        ("no module named torch", "no module named torch"),
    ],
)  # fmt: skip
def test_reason(log, expected):
    assert expected in reason(log, 3)
