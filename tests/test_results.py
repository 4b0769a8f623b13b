"""The stored runs have what chapters and tables read, and the figures on the pages are those of the stored runs."""

import importlib
import json
from pathlib import Path

import pytest

from experiments.__main__ import NAMES
from experiments.runner import RESULTS, summary
from experiments.table import paper_table, plain_table, rivals_table
from ffutils.results import load_results

ROOT = Path(__file__).parent.parent
STORED = sorted(path.stem for path in RESULTS.glob("*.json"))
STAGES = {"test": ["test"], "validation": ["validation"], "held out": ["validation", "test"]}


@pytest.mark.parametrize("page", ["README.md", "index.md"])
@pytest.mark.parametrize("table", [plain_table, paper_table, rivals_table])
def test_pages_show_the_tables_of_the_stored_runs(table, page):
    assert table() in (ROOT / page).read_text(encoding="utf-8"), "paste: python -m experiments.table"


def test_chapter_00_quotes_the_headline():
    record = load_results("plain_recipe")
    headline = f"{record['summary']['']['test error']['all layers']['median']:.2f} % over five seeds"
    assert len(record["runs"]) == 5
    assert headline in (ROOT / "chapters" / "why_forward_forward.md").read_text(encoding="utf-8")


def test_depth_helps_in_every_seed_as_the_pages_say():
    for run in load_results("plain_recipe")["runs"]:
        assert run["test error"]["all layers"] < run["test error"]["layer 1"]
        assert run["test error, upper layers random"]["all layers"] > run["test error"]["layer 1"]


@pytest.mark.parametrize("name", NAMES)
def test_every_experiment_has_stored_results(name):
    assert name in STORED, f"python -m experiments {name}"


@pytest.mark.parametrize("name", STORED)
def test_record_says_what_ran(name):
    record, experiment = load_results(name), importlib.import_module(f"experiments.{name}")
    assert record["name"] == name in NAMES
    assert (record["title"], record["paper"]) == (experiment.TITLE, experiment.PAPER)
    assert record["dataset"] == "mnist"
    assert record["configuration"] == json.loads(json.dumps(experiment.CONFIGURATION)), "another configuration ran"
    assert record["variants"] == json.loads(json.dumps(experiment.VARIANTS))


@pytest.mark.parametrize("name", STORED)
def test_every_seed_and_variant_has_one_finished_run(name):
    record, experiment = load_results(name), importlib.import_module(f"experiments.{name}")
    ran = [(run["seed"], run["variant"]) for run in record["runs"]]
    assert sorted(ran) == sorted((seed, variant) for seed in experiment.SEEDS for variant in experiment.VARIANTS)
    for run in record["runs"]:
        assert {"python", "torch", "torchvision"} <= run["versions"].keys() and run["device"]
        for stage in experiment.STAGES:
            for kind in STAGES[stage]:
                assert all(0 < error < 100 for error in run[f"{kind} error"].values())
        seconds = [value for key, value in run.items() if key.endswith("seconds to train")]
        assert seconds and min(seconds) > 0


@pytest.mark.parametrize("name", STORED)
def test_summary_follows_from_the_runs(name):
    record = load_results(name)
    assert record["summary"] == summary(record["runs"])


def test_summary_is_median_least_and_greatest():
    runs = [{"variant": "", "test error": {"layer 1": error}} for error in (3.0, 1.0, 7.0)]
    assert summary(runs) == {"": {"test error": {"layer 1": {"median": 3.0, "least": 1.0, "greatest": 7.0}}}}


@pytest.mark.parametrize("name", ["plain_recipe", "ablation"])
def test_what_the_book_builds_on_has_three_seeds_or_more(name):
    assert len({run["seed"] for run in load_results(name)["runs"]}) >= 3


@pytest.mark.parametrize("name", STORED)
def test_results_hold_no_path_of_the_machine(name):
    runs = load_results(name)["runs"]
    assert "/" not in json.dumps([{key: run[key] for key in ("device", "versions")} for run in runs])
