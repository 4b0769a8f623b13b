"""The benchmark at a tiny size: what it writes, and how seconds follow from epochs."""

import json

import pytest
import torch

from experiments import benchmark
from ffutils import Split

ROOT = benchmark.FOLDER.parent


@pytest.fixture(scope="module")
def record():
    torch.manual_seed(0)
    split = Split(torch.rand(300, 784), torch.arange(300) % 10)
    methods = [timed | {"images": 100} for timed in benchmark.METHODS]
    test = Split(*(tensor[:50] for tensor in split))
    in_turn = {"widths": (20,), "rounds": 4, "batch_size": 30, "images": 20}
    return benchmark.measure(split, test, methods, repeats=1, size=64, **in_turn)


def test_every_method_has_a_row(record):
    titles = [timed["title"] for timed in benchmark.METHODS]
    assert [row["title"] for row in record["rows"]] == titles
    json.dumps(record)
    for row in record["rows"]:
        assert row["seconds_per_epoch"] > 0 and row["predict_images_per_second"] > 0
        assert row["operations_per_epoch"] > 0
        assert list(row["to_error"]) == ["6.8 %", "5 %", "2 %", "1.5 %", "1.36 %"]
    assert record["machine"]["device"] and record["matmul_rate"]["float32"] > 0


def test_operations_are_those_of_all_training_images(record):
    row = next(row for row in record["rows"] if row["title"] == "backpropagation")
    # The images need no gradient.
    per_image = 784 * 500 * 4 + 2 * 500 * 500 * 6 + 500 * 10 * 6
    assert row["operations_per_epoch"] == pytest.approx(60_000 * per_image)


def test_seconds_to_an_error_are_epochs_times_seconds(record):
    for row in record["rows"]:
        for reached in row["to_error"].values():
            if reached and row["seconds_per_epoch_by_layer"] is None:
                seconds = reached["epochs"] * row["seconds_per_epoch"]
                assert reached["seconds"] == pytest.approx(seconds)


def test_layers_in_turn_cost_what_each_costs():
    row = {"seconds_per_epoch_by_layer": [3.0, 1.0], "configuration": {"epochs": 10}}
    assert benchmark.seconds_to(7, row) == 5 * 3 + 2 * 1


def test_the_table_names_the_machine_and_every_method(record):
    text = benchmark.table(record)
    assert record["machine"]["device"] in text
    assert all(timed["title"] in text for timed in benchmark.METHODS)


def test_pages_show_what_was_measured():
    folder = benchmark.FOLDER
    stored = json.loads((folder / "benchmark.json").read_text(encoding="utf-8"))
    page = (folder / "benchmark.md").read_text(encoding="utf-8")
    assert page.strip() == benchmark.page(stored)
    # Python 3.12 and later add floats up more exactly.
    ratios = benchmark.ratios(stored)
    assert stored["ratios"] == pytest.approx(ratios, rel=1e-12)
    assert benchmark.headline(stored) in (ROOT / "appendix" / "results.md").read_text(
        encoding="utf-8"
    )
