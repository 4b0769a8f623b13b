"""Experiments go on from their checkpoints, to the same end, and say clearly what is wrong."""

import json
import os
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from experiments import runner, supervised
from ffutils import Split

TINY = supervised.RECIPE | {"network": [784, 12, 12], "epochs": 4, "batch size": 20, "jitter": 1, "judge every": 2}


@pytest.fixture
def splits():
    torch.manual_seed(0)
    images, labels = torch.rand(60, 784), torch.arange(60) % 10
    return Split(images, labels), Split(images[:30], labels[:30])


def experiment(trial=supervised.Trial, stages=("validation", "test"), configuration=TINY):
    return SimpleNamespace(
        TITLE="Tiny", PAPER=None, CONFIGURATION=configuration, VARIANTS={"": {}, "one layer": {"network": [784, 12]}},
        SEEDS=(0,), STAGES=stages, Trial=trial,
    )  # fmt: skip


def errors_only(record):
    return [{key: value for key, value in run.items() if "error" in key} for run in record["runs"]]


def run(folder, splits, trial=supervised.Trial, **changes):
    return runner.run(
        "tiny", experiment(trial, **changes), results=folder / "results", checkpoints=folder / "held", splits=splits
    )


def test_a_run_that_was_interrupted_ends_as_one_that_was_not(tmp_path, splits):
    whole = run(tmp_path / "whole", splits)
    calls = []

    class Stopping(supervised.Trial):
        def train_epoch(self, epoch):
            super().train_epoch(epoch)
            calls.append(epoch)
            if len(calls) in (3, 8):  # once in each stage, after the weights have moved
                raise KeyboardInterrupt

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "parts", splits, Stopping)
    parts = run(tmp_path / "parts", splits, Stopping)
    assert errors_only(parts) == errors_only(whole)
    assert len(calls) == 2 * (4 + 4) + 2  # two variants, two stages of four epochs; two epochs were lost and repeated
    assert not list((tmp_path / "parts" / "held").iterdir())  # nothing is left behind


def test_a_run_that_was_killed_goes_on(tmp_path):
    """A process of its own, killed by the system in its third epoch."""
    code = f"""
import os, signal, sys
sys.path.insert(0, {os.getcwd()!r})
from pathlib import Path
import torch
from ffutils import Split
from experiments import supervised
from tests import test_runner
class Killed(supervised.Trial):
    def train_epoch(self, epoch):
        super().train_epoch(epoch)
        if epoch == 2 and len(sys.argv) > 1:
            os.kill(os.getpid(), signal.SIGKILL)
torch.manual_seed(0)
images, labels = torch.rand(60, 784), torch.arange(60) % 10
test_runner.run(Path({str(tmp_path)!r}), (Split(images, labels), Split(images[:30], labels[:30])), Killed)
"""
    killed = subprocess.run([sys.executable, "-c", code, "kill"], capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    again = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert again.stdout.startswith("seed 0, validation: epoch 3/4")
    record = json.loads((tmp_path / "results" / "tiny.json").read_text())
    assert [r["variant"] for r in record["runs"]] == ["", "one layer"]


def test_finished_runs_are_not_repeated(tmp_path, splits, capsys):
    first = run(tmp_path, splits)
    capsys.readouterr()
    assert run(tmp_path, splits)["runs"] == first["runs"]
    assert capsys.readouterr().out == ""


def test_results_of_another_configuration_are_not_overwritten(tmp_path, splits):
    run(tmp_path, splits)
    with pytest.raises(SystemExit, match="another configuration"):
        run(tmp_path, splits, configuration=TINY | {"lr": 0.1})


def test_a_damaged_checkpoint_is_reported_and_the_run_starts_anew(tmp_path, splits, capsys):
    (tmp_path / "held").mkdir()
    (tmp_path / "held" / "tiny__0.pt").write_bytes(b"half a file")
    assert errors_only(run(tmp_path, splits)) == errors_only(run(tmp_path / "other", splits))
    assert "cannot be read" in capsys.readouterr().err


def test_held_out_judges_validation_and_test_from_one_training(tmp_path, splits):
    record = run(tmp_path, splits, stages=("held out",))
    for entry in record["runs"]:
        assert {"validation error", "test error", "validation history"} <= entry.keys()
        assert [epoch for epoch, _, _ in entry["validation history"]] == [2, 4]


@pytest.mark.parametrize(
    "negatives", ["random", "drawn once", "hard, by the first layer", "hard, by all layers", "hard, by a softmax"]
)
def test_negatives_are_never_true(splits, negatives):
    torch.manual_seed(0)
    trial = supervised.Trial(TINY | {"negatives": negatives}, splits[0])
    x, y = splits[0]
    for _ in range(5):
        assert (trial.negatives(trial.net, x, y) != y).all()


def test_negatives_drawn_once_stay(splits):
    trial = supervised.Trial(TINY | {"negatives": "drawn once"}, splits[0])
    x, y = splits[0]
    order = torch.randperm(len(y))
    assert torch.equal(trial.negatives(None, x, y)[order], trial.negatives(None, x[order], y[order]))


def test_frozen_layers_do_not_move(splits):
    torch.manual_seed(0)
    trial = supervised.Trial(TINY | {"frozen": [1]}, splits[0])
    before = [layer.weight.detach().clone() for layer in trial.net.layers]
    trial.train_epoch(0)
    assert not torch.equal(before[0], trial.net.layers[0].weight)
    assert torch.equal(before[1], trial.net.layers[1].weight)


def test_margin_spares_the_upper_layer_what_the_lower_has_settled(splits):
    trial = supervised.Trial(TINY | {"margin": 1}, splits[0])
    good, bad = torch.full((4, 12), 2.0), torch.zeros(4, 12)
    trial.negatives(trial.net, *splits[0])
    trial.loss(good, bad)  # the first layer is sure of it
    assert trial.loss(bad, bad) < 1e-6  # so the second has nothing to do
    trial.negatives(trial.net, *splits[0])
    assert abs(trial.loss(bad, bad) - 0.6931) < 1e-3
