"""The benchmark at a tiny size: what it writes, how seconds follow from epochs, and that its shortcuts are none."""

import json

import pytest
import torch

from experiments import benchmark
from ffutils import FFNet, Split, predict, train

ROOT = benchmark.FOLDER.parent


@pytest.fixture(scope="module")
def record():
    torch.manual_seed(0)
    split = Split(torch.rand(300, 784), torch.arange(300) % 10)
    methods = [chosen | {"images": 100} for chosen in benchmark.METHODS]
    return benchmark.measure(split, Split(*(part[:50] for part in split)), methods, repeats=1, square=64, wide=20)


def test_every_method_has_a_row(record):
    assert [row["title"] for row in record["rows"]] == [chosen["title"] for chosen in benchmark.METHODS]
    json.dumps(record)
    for row in record["rows"]:
        assert row["seconds per epoch"] > 0 and row["prediction images/s"] > 0 and row["operations per epoch"] > 0
        assert list(row["to"]) == ["6.8 %", "5 %", "2 %", "1.5 %", "1.36 %"]
    assert record["machine"]["device"] and record["matrix rate"]["float32"] > 0


def test_operations_are_those_of_all_training_images(record):
    row = next(row for row in record["rows"] if row["title"] == "backpropagation")
    inner = 784 * 500 * 4 + 2 * 500 * 500 * 6 + 500 * 10 * 6  # the images need no gradient
    assert row["operations per epoch"] == pytest.approx(60_000 * inner)


def test_seconds_to_an_error_are_epochs_times_seconds(record):
    for row in record["rows"]:
        for reached in row["to"].values():
            if reached and row["seconds per epoch of each layer"] is None:
                assert reached["seconds"] == pytest.approx(reached["epochs"] * row["seconds per epoch"])


def test_layers_in_turn_cost_what_each_costs():
    row = {"seconds per epoch of each layer": [3.0, 1.0], "configuration": {"epochs": 10}}
    assert benchmark.seconds_to(7, row) == 5 * 3 + 2 * 1


def test_the_quick_way_gives_the_same_labels():
    torch.manual_seed(0)
    x, y = torch.rand(10, 784), torch.arange(10)
    images = (x[:, None] * (torch.rand(10, 40, 784) > 0.3)).flatten(0, 1)  # forty spoilt copies of ten patterns
    net, split = FFNet(784, 60, 60, 60), Split(images, y.repeat_interleave(40))
    train(net, split, epochs=15, batch_size=20, lr=0.003, progress=False)
    assert (benchmark.quick_predict(net, images) == predict(net, images)).float().mean() > 0.97


def test_the_table_names_the_machine_and_every_method(record):
    text = benchmark.table(record)
    assert record["machine"]["device"] in text
    assert all(chosen["title"] in text for chosen in benchmark.METHODS)


def test_pages_show_what_was_measured():
    stored = json.loads((benchmark.FOLDER / "benchmark.json").read_text(encoding="utf-8"))
    assert (benchmark.FOLDER / "benchmark.md").read_text(encoding="utf-8").strip() == benchmark.table(stored)
    assert stored["ratios"] == benchmark.ratios(stored)
    assert benchmark.headline(stored) in (ROOT / "README.md").read_text(encoding="utf-8")
