"""The steps that are timed on a GPU: what is measured of them, and what is stored."""

import functools
import json
import math

import pytest
import torch

from experiments import on_gpu
from ffutils.results import load_results

CPU = torch.device("cpu")


class Allocator:
    """What stands in for that of a GPU: each step adds a byte more than the last."""

    def __init__(self):
        self.calls = []
        self.peaks = iter(range(101, 1000))

    def replace(self, monkeypatch):
        for name in (
            "synchronize", "memory_allocated", "reset_peak_memory_stats", "max_memory_allocated",
        ):  # fmt: skip
            monkeypatch.setattr(torch.cuda, name, functools.partial(self.call, name))

    def call(self, name, device):
        assert device == CPU  # the one that is measured, not whichever is current
        self.calls.append(name)
        if name == "memory_allocated":
            return 100
        return next(self.peaks) if name == "max_memory_allocated" else None


@pytest.fixture
def allocator(monkeypatch):
    made = Allocator()
    made.replace(monkeypatch)
    return made


@pytest.fixture
def three_rounds(monkeypatch):
    monkeypatch.setattr(on_gpu, "ROUNDS", 3)


def test_every_method_is_measured(allocator, three_rounds):
    measured = on_gpu.measure(20, 3, 16, CPU)
    assert measured.keys() == on_gpu.METHODS.keys()
    assert all(kept["milliseconds"] > 0 for kept in measured.values())
    # The last of three rounds is the seventh to the ninth step, each above what was held.
    assert [kept["bytes"] for kept in measured.values()] == [7, 8, 9]


def test_a_gpu_is_waited_for_at_both_ends(allocator, three_rounds):
    on_gpu.measure(20, 3, 16, CPU)
    one = [
        "synchronize", "memory_allocated", "reset_peak_memory_stats", "synchronize", "max_memory_allocated",
    ]  # fmt: skip
    assert allocator.calls == 9 * one


def test_the_first_round_does_not_count(allocator, three_rounds, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(on_gpu.time, "perf_counter", lambda: now[0])
    seconds = iter([50, 1, 4, 2, 2, 6, 4, 3, 8])  # a row of three for each round

    def make(hidden, device):
        def step(x, y):
            now[0] += next(seconds)

        return step

    monkeypatch.setattr(on_gpu, "METHODS", dict.fromkeys("abc", make))
    measured = on_gpu.measure(20, 3, 16, CPU)
    assert [kept["milliseconds"] for kept in measured.values()] == [3000, 2500, 7000]


@pytest.mark.parametrize("method", on_gpu.METHODS)
def test_the_steps_learn(method):
    step = on_gpu.METHODS[method]([20, 20], CPU)
    net = step.args[0] if method == "backpropagation" else step.args[1]
    before = [p.clone() for p in net.parameters()]
    step(torch.rand(16, 784), torch.arange(16) % 10)
    assert not any(map(torch.equal, before, net.parameters()))


def test_what_is_written_can_be_read(allocator, three_rounds, monkeypatch, tmp_path):
    monkeypatch.setattr(on_gpu, "NETS", [(20, 2), (30, 2)])
    monkeypatch.setattr(on_gpu, "BATCHES", (8, 16))
    arguments = ["on_gpu", "--device", "cpu", "--results", str(tmp_path)]
    monkeypatch.setattr("sys.argv", arguments)
    on_gpu.main()
    (path,) = tmp_path.iterdir()
    written = json.loads(path.read_text(encoding="utf-8"))
    assert written.keys() == load_results("on_gpu").keys()
    sizes = [(row["width"], row["depth"], row["batch"]) for row in written["rows"]]
    assert sizes == [(20, 2, 8), (30, 2, 8), (20, 2, 16), (30, 2, 16)]


# ---- The record


def test_the_record_has_every_size_and_every_method():
    rows = load_results("on_gpu")["rows"]
    sizes = [(row["width"], row["depth"], row["batch"]) for row in rows]
    assert sizes == [(*net, batch) for batch in on_gpu.BATCHES for net in on_gpu.NETS]
    for row in rows:
        assert row.keys() == {"width", "depth", "batch"} | on_gpu.METHODS.keys()
        for method in on_gpu.METHODS:
            milliseconds, grown = row[method]["milliseconds"], row[method]["bytes"]
            assert 0 < milliseconds < math.inf
            assert isinstance(grown, int) and grown > 0


def test_the_record_is_of_a_gpu():
    record = load_results("on_gpu")
    assert record["name"] == "on_gpu" and record["versions"]["torch"]
    assert "CPU" not in record["device"]
