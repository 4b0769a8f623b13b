"""The stored runs have what chapters and tables read, and pages show their figures."""

import importlib
import json
import re
from itertools import product
from pathlib import Path

import pytest

from experiments.__main__ import NAMES
from experiments.runner import RESULTS, new_record, summary
from experiments.table import paper_table, plain_table, rivals_table
from ffutils.results import load_results

ROOT = Path(__file__).parent.parent
STORED = sorted(path.stem for path in RESULTS.glob("*.json"))
KINDS = {
    "test": ["test"],
    "validation": ["validation"],
    "validation_and_test": ["validation", "test"],
}


@pytest.mark.parametrize("page", ["README.md", "index.md"])
@pytest.mark.parametrize("table", [plain_table, paper_table, rivals_table])
def test_pages_show_the_tables_of_the_stored_runs(table, page):
    text = (ROOT / page).read_text(encoding="utf-8")
    assert table() in text, "paste: python -m experiments.table"


def test_chapter_00_quotes_the_headline():
    record = load_results("plain_recipe")
    error = record["summary"]["default"]["test_error"]["sum of all layers"]
    page = (ROOT / "chapters" / "why_forward_forward.md").read_text(encoding="utf-8")
    assert len(record["runs"]) == 5
    assert f"{error['median']:.2f} % over five seeds" in page


def test_depth_helps_in_every_seed_as_the_pages_say():
    for run in load_results("plain_recipe")["runs"]:
        layer_1 = run["test_error"]["layer 1"]
        assert run["test_error"]["sum of all layers"] < layer_1
        control = run["test_error_upper_layers_untrained"]
        assert control["sum of all layers"] > layer_1


@pytest.mark.parametrize("name", NAMES)
def test_every_experiment_has_stored_results(name):
    assert name in STORED, f"python -m experiments {name}"


@pytest.mark.parametrize("name", STORED)
def test_record_says_what_ran(name):
    experiment = importlib.import_module(f"experiments.{name}")
    assert name in NAMES
    record, expected = load_results(name), new_record(name, experiment)
    for key in expected.keys() - {"runs"}:
        assert record[key] == expected[key], "another configuration ran"


@pytest.mark.parametrize("name", STORED)
def test_every_seed_and_variant_has_one_finished_run(name):
    record = load_results(name)
    experiment = importlib.import_module(f"experiments.{name}")
    ran = [(run["seed"], run["variant"]) for run in record["runs"]]
    assert sorted(ran) == sorted(product(experiment.SEEDS, experiment.VARIANTS))
    for run in record["runs"]:
        assert {"python", "torch", "torchvision"} <= run["versions"].keys()
        assert run["device"]
        for stage in experiment.STAGES:
            for kind in KINDS[stage]:
                assert all(0 < error < 100 for error in run[f"{kind}_error"].values())
        seconds = [run[key] for key in run if key.endswith("_seconds_to_train")]
        assert seconds and min(seconds) > 0


def fields(record):
    """The names of a record's fields, of its runs and of its configurations."""
    parts = [record, *record["runs"], record["configuration"], record["paper"] or {}]
    parts += [*record["variants"].values(), *record["summary"].values()]
    return {key for part in parts for key in part}


def benchmark_fields(record):
    parts = [record, record["machine"], record["matmul_rate"], record["ratios"]]
    parts += [record["prediction"], *record["rows"]]
    parts += [row["configuration"] for row in record["rows"]]
    return {key for part in parts for key in part}


def test_fields_are_words_joined_by_underscores():
    text = (RESULTS.parent / "benchmark.json").read_text(encoding="utf-8")
    names = benchmark_fields(json.loads(text)).union(
        *(fields(load_results(name)) for name in STORED)
    )
    assert all(re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+)*", name) for name in names), names


@pytest.mark.parametrize("name", STORED)
def test_rows_have_the_same_names_everywhere(name):
    single = r"layer \d|iteration \d|output layer"
    several = r"sum of all layers|sum without layer 1"
    if name in ("hybrids", "local_fields"):  # softmaxes, which add nothing up
        several = r"all layers|all layers without layer 1"
    for run in load_results(name)["runs"]:
        rows = [row for kind in run if "error" in kind for row in run[kind]]
        assert all(re.fullmatch(f"{single}|{several}", row) for row in rows), rows


HALF = "ablation", "closing_the_gap", "jittered", "paper_recipe", "recurrent"
FLOAT = "changed: one layer", "changed: upper layers frozen"


@pytest.mark.parametrize("name", STORED)
def test_runs_that_normalised_in_half_precision_say_so(name):
    """Two variants of the ablation train layer 1 alone, whose input was float32."""
    for run in load_results(name)["runs"]:
        half = name in HALF and run["variant"] not in FLOAT
        assert run.get("normalized_in") == ("bfloat16" if half else None)


@pytest.mark.parametrize("name", STORED)
def test_summary_follows_from_the_runs(name):
    record = load_results(name)
    assert record["summary"] == summary(record["runs"])


def test_summary_is_median_least_and_greatest():
    runs = [
        {"variant": "default", "test_error": {"layer 1": error}}
        for error in (3.0, 1.0, 7.0)
    ]
    spread = {"median": 3.0, "least": 1.0, "greatest": 7.0}
    assert summary(runs) == {"default": {"test_error": {"layer 1": spread}}}


@pytest.mark.parametrize("name", ["plain_recipe", "ablation"])
def test_what_the_book_builds_on_has_three_seeds_or_more(name):
    assert len({run["seed"] for run in load_results(name)["runs"]}) >= 3


@pytest.mark.parametrize("name", STORED)
def test_results_hold_no_path_of_the_machine(name):
    runs = load_results(name)["runs"]
    assert "/" not in json.dumps([[run["device"], run["versions"]] for run in runs])
