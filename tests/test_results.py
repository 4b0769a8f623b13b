"""The figures in the README and on the landing page are those of the stored runs."""

import json
import statistics
from pathlib import Path

import pytest

from experiments.table import ROWS, load, table

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def record():
    return load()


@pytest.mark.parametrize("page", ["README.md", "index.md"])
def test_pages_show_the_table_of_the_stored_runs(record, page):
    assert table(record) in (ROOT / page).read_text(encoding="utf-8"), "paste: python -m experiments.table"


def test_chapter_00_quotes_the_headline(record):
    headline = f"{record['summary']['test error']['all layers']['median']:.2f} % over five seeds"
    assert len(record["runs"]) == 5
    assert headline in (ROOT / "chapters" / "00_why_forward_forward.md").read_text(encoding="utf-8")


def test_depth_helps_in_every_seed_as_the_pages_say(record):
    for run in record["runs"]:
        assert run["test error"]["all layers"] < run["test error"]["layer 1"]
        assert run["test error, upper layers random"]["all layers"] > run["test error"]["layer 1"]


def test_record_says_what_ran(record):
    assert record["dataset"] == "mnist"
    assert {"network", "loss", "negatives", "lr", "batch size", "epochs"} <= record["configuration"].keys()
    for run in record["runs"]:
        assert {"python", "torch"} <= run["versions"].keys()
        assert run["device"] and run["seconds to train"] > 0


def test_headline_has_three_seeds_or_more(record):
    seeds = [run["seed"] for run in record["runs"]]
    assert len(set(seeds)) == len(seeds) >= 3


def test_summary_follows_from_the_runs(record):
    for kind, key in ROWS.values():
        errors = [run[kind][key] for run in record["runs"]]
        shown = record["summary"][kind][key]
        assert shown == {
            "median": round(statistics.median(errors), 2), "least": min(errors), "greatest": max(errors)
        }  # fmt: skip


def test_results_hold_no_path_of_the_machine(record):
    assert "/" not in json.dumps(record)
