"""Steps and predictions in turn: the order, the ratios, and what a table says."""

import functools
import json
import math

import pytest
import torch

from experiments import step_times
from experiments.tables import stored
from experiments.trials.fast import backprop_gradients
from experiments.trials.milestones import CHOSEN, FAST_TUNING, RATES
from ffutils import FFNet, Split, predict, train
from ffutils.rivals import MLP, backprop_step
from ffutils.training import train_layer

CPU = torch.device("cpu")
MACHINE = {"device": "a machine", "cores": 2, "threads": 1, "torch": "2"}


# ---- The clock


def test_the_methods_take_turns_and_share_each_rounds_batch():
    calls = []
    works = {
        name: lambda batch, name=name: calls.append((name, batch)) for name in "abc"
    }
    seconds = step_times.in_turn(works, [(k,) for k in range(5)], CPU, warm_up=2)
    assert calls == [(name, k) for k in range(5) for name in "abc"]
    assert {name: len(taken) for name, taken in seconds.items()} == dict.fromkeys(
        "abc", 3
    )


def test_the_clock_is_each_works_own(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(step_times.time, "perf_counter", lambda: now[0])

    def work(seconds):
        def run():
            now[0] += seconds

        return run

    works = {"quick": work(1.0), "slow": work(4.0)}
    seconds = step_times.in_turn(works, [()] * 3, CPU, warm_up=1)
    assert seconds == {"quick": [1.0, 1.0], "slow": [4.0, 4.0]}


def test_the_ratio_is_that_of_the_medians_not_the_median_of_ratios():
    mine, base = [1.0, 4.0, 9.0], [2.0, 1.0, 3.0]  # ratios 0.5, 4, 3
    found = step_times.compare(mine, base)
    assert found["milliseconds"] == 4000
    assert found["ratio"] == 4 / 2
    assert found["quartiles"] == [0.5, 4.0]


def test_one_slow_round_moves_no_ratio():
    base = [1.0] * 21
    assert step_times.compare([2.0] * 20 + [50.0], base)["ratio"] == 2


# ---- What is timed


def images(count=60):
    torch.manual_seed(0)
    return torch.rand(count, 784), torch.arange(count) % 10


def gradients_of(net):
    return [p.grad.clone() for p in net.parameters()]


@pytest.mark.parametrize("shared", [True, False])
def test_chapter_06_written_out_has_the_gradients_of_autograd(shared, monkeypatch):
    """The same wrong labels in both, for the noise that draws them is the same."""
    (x, y), net = images(), FFNet(784, 30, 20, 20)
    torch.manual_seed(1)
    gradients = step_times.unshared_gradients
    if shared:
        gradients = functools.partial(step_times.ff_gradients, whole_net=False)
    losses = gradients(net, x, y)
    found = gradients_of(net)

    torch.manual_seed(1)
    wrong = step_times.hard_negatives(net, x, y)
    positive, negative = net.write_label(x, y), net.write_label(x, wrong)
    net.zero_grad()
    for layer, loss in zip(net.layers, losses, strict=True):
        idle = torch.optim.SGD(layer.parameters(), lr=0.0)
        positive, negative, expected = train_layer(
            layer, idle, positive, negative, step_times.pair_loss, net.goodness
        )
        assert loss.item() == pytest.approx(expected.item(), rel=1e-4)
    for mine, its in zip(found, gradients_of(net), strict=True):
        assert torch.allclose(mine, its, rtol=1e-3, atol=1e-5)


def test_backpropagation_has_the_gradients_of_chapter_12():
    (x, y), net = images(), MLP(784, 30, 20)
    backprop_gradients(net, x, y)
    found = gradients_of(net)
    backprop_step(net, torch.optim.SGD(net.parameters(), lr=0.0), x, y)
    assert all(map(torch.equal, found, gradients_of(net)))


@pytest.mark.parametrize("half", [False, True])
def test_every_step_that_is_timed_learns(half):
    x, y = images()
    for step in step_times.steps((784, 20, 20, 20), CPU, half).values():
        losses = [step(x, y).mean().item() for _ in range(40)]
        assert sum(losses[-5:]) / 5 < 0.9 * losses[0]


@pytest.mark.parametrize("half", [False, True])
def test_the_quick_way_gives_the_same_labels(half):
    torch.manual_seed(0)
    x, y = torch.rand(10, 784), torch.arange(10)
    # Forty spoilt copies of ten patterns.
    copies = (x[:, None] * (torch.rand(10, 40, 784) > 0.3)).flatten(0, 1)
    net, split = FFNet(784, 60, 60, 60), Split(copies, y.repeat_interleave(40))
    train(net, split, epochs=15, batch_size=20, lr=0.003, progress=False)
    quick, plain = step_times.quick_predict(net, copies, half), predict(net, copies)
    assert (quick == plain).float().mean() > 0.97


@pytest.fixture(scope="module")
def measured():
    split = Split(*images(100))
    return step_times.measure_in_turn(
        split, split, MACHINE, (12, 16), rounds=6, batch_size=30, images=50
    )


def test_every_method_is_timed_at_every_width_in_both_precisions(measured):
    json.dumps(measured)
    ways = {"step": 7, "prediction": 4}
    for kind, count in ways.items():
        for width in (12, 16):
            for precision in ("float32", "bfloat16"):
                rows = [
                    row
                    for row in measured["rows"]
                    if (row["kind"], row["width"], row["precision"])
                    == (kind, width, precision)
                ]
                assert len({row["method"] for row in rows}) == len(rows) == count
                base = rows[0]
                assert base["method"] == step_times.BACKPROP and base["ratio"] == 1
                for row in rows:
                    ratio = row["milliseconds"] / base["milliseconds"]
                    assert row["ratio"] == pytest.approx(ratio)
    assert measured["feeding_milliseconds"] > 0
    for make in (step_times.step_table, step_times.prediction_table):
        assert "a machine, 2 cores, 1 thread, PyTorch 2" in make(measured)


# ---- Epochs and seconds to an error


def test_the_first_epoch_at_or_below_the_goal():
    curve = [(1, 3.0), (2, 1.5), (3, 1.6), (4, 1.2)]
    assert step_times.first_epoch(curve, 1.5) == 2
    assert step_times.first_epoch(curve, 1.19) == math.inf


def run(variant, *errors, judge="output layer", seed=0):
    history = [[k + 1, 0.0, {judge: error}] for k, error in enumerate(errors)]
    return {"variant": variant, "seed": seed, "validation_history": history}


def test_the_best_try_is_the_quickest_there_and_then_the_best_at_the_end():
    late = run("late", 9, 2, 1.0)
    early, better = run("early", 9, 1.5, 1.4), run("better", 9, 1.4, 1.3)
    never = run("never", 9, 2, 1.6)
    assert step_times.best_try([late, early, better, never]) is better
    assert step_times.best_try([never, late]) is late


def test_the_stored_runs_have_the_best_rate_of_equal_tries():
    record = stored("milestones_fast_tuning")
    if record is None or len(record["runs"]) < len(FAST_TUNING.variants):
        pytest.skip("the tries are not all stored")
    for method in CHOSEN:
        tries = [
            one
            for one in record["runs"]
            if record["variants"][one["variant"]]["method"] == method
        ]
        rates = {record["variants"][one["variant"]]["lr"] for one in tries}
        assert rates == set(RATES)
        best = record["variants"][step_times.best_try(tries)["variant"]]
        assert best["lr"] == CHOSEN[method]


def known():
    """A record in turn whose numbers are simple."""
    methods = {
        step_times.BACKPROP: 10, step_times.CHAPTER_06: 40, step_times.UNSHARED: 30,
        step_times.SHARED: 24, step_times.WHOLE_NET: 50, step_times.BROADCAST: 25,
        step_times.WRITTEN_OUT: 12,
    }  # fmt: skip
    factor = {"float32": 1, "bfloat16": 0.5}
    rows = [
        {
            "kind": kind, "width": 500, "precision": precision, "method": method,
            "rounds": 7, "milliseconds": factor[precision] * ms, "ratio": ms / 10,
            "quartiles": [ms / 10 - 0.1, ms / 10 + 0.1],
        }
        for kind in ("step", "prediction")
        for precision in factor
        for method, ms in methods.items()
    ]  # fmt: skip
    slow = next(r for r in rows if r["method"] == step_times.WRITTEN_OUT)
    assert slow["precision"] == "float32"
    slow |= {"milliseconds": 5.5}  # quicker than its 6 in bfloat16
    return {
        "machine": MACHINE, "batch_size": 256, "images": 1000, "rows": rows,
        "feeding_milliseconds": 5.0,
    }  # fmt: skip


def row_of(table, method):
    (line,) = (k for k in table.splitlines() if k.startswith(f"| {method} |"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_table_of_known_numbers():
    table = step_times.step_table(known())
    assert row_of(table, step_times.BACKPROP)[1:] == ["10.0", "5.0", "× 1.00"]
    assert row_of(table, step_times.CHAPTER_06)[1:] == [
        "40.0; × 4.00 (3.90–4.10)", "20.0; × 4.00 (3.90–4.10)", "× 4.00",
    ]  # fmt: skip
    # Each in the quicker of its precisions: 5.5 in float32 over 5 in bfloat16.
    assert row_of(table, step_times.WRITTEN_OUT)[-1] == "× 1.10"
    assert "0.80 at 3 × 500 in float32, 0.80 at 3 × 500 in bfloat16" in table
    assert "A step on 256 images" in table and "7 rounds" in table


def test_a_prediction_is_stated_for_ten_thousand_images():
    table = step_times.prediction_table(known())
    assert row_of(table, step_times.BACKPROP)[1:3] == ["100.0", "50.0"]


def test_seconds_to_an_error_are_epochs_times_seconds():
    judge = "sum of all layers"
    runs = [run("backpropagation", 3, 1.4, seed=k) for k in range(3)]
    for k, epochs in enumerate((4, 3, 5)):  # the median is 4
        errors = [*[2.0] * (epochs - 1), 1.5]
        runs.append(run("label in every layer", *errors, judge=judge, seed=k))
    runs.append(run("label in the image", 2, 2, judge=judge))
    measured = known()
    rows = step_times.times_to_error(measured, {"runs": runs})
    rows = {row["method"]: row for row in rows}
    # 196 steps of 5 ms, and 5 ms to fetch a batch.
    base, every = rows["backpropagation"], rows["label in every layer"]
    assert base["seconds_per_epoch"] == pytest.approx(196 * 0.010)
    assert base["seconds"] == pytest.approx(2 * 196 * 0.010)
    assert every["epochs"] == [3, 4, 5]
    assert every["seconds"] == pytest.approx(4 * 196 * 0.011)
    assert rows["label in the image"]["seconds"] is None
    table = step_times.error_table(measured | {"to_error": list(rows.values())})
    assert row_of(table, "label in every layer")[2:] == ["3, 4, 5", "2.2", "9", "2.20"]
    assert row_of(table, "label in the image")[2:] == [
        "not reached", "5.9", "not reached", "–",
    ]  # fmt: skip


def test_no_stored_run_is_no_error():
    rows = step_times.times_to_error(known(), None)
    assert rows == []
    table = step_times.error_table(known() | {"to_error": rows})
    assert table == "No run of `milestones_fast` is stored."
