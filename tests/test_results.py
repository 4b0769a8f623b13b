"""The stored runs have what chapters and tables read, and pages show their figures.

Fewer seeds than were wanted, or an experiment that was not run, are no mistake.
"""

import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from experiments import benchmark
from experiments.catalogue import EXPERIMENTS
from experiments.runner import RESULTS, new_record, read, summary
from experiments.tables import paper_table, plain_table, rivals_table
from ffutils.results import load_results

ROOT = Path(__file__).parent.parent
STORED = sorted(path.stem for path in RESULTS.glob("*.json"))
KINDS = {
    "test": ["test"],
    "validation": ["validation"],
    "validation_and_test": ["validation", "test"],
}


def seeds_of(name, variant="default"):
    """The seeds of a variant that are stored; none where no run is."""
    runs = load_results(name)["runs"] if name in STORED else []
    return {run["seed"] for run in runs if run["variant"] == variant}


# ---- What the pages show


def rows(text):
    """The rows of all tables on a page, by their first cell."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return {line.split(" | ")[0]: line for line in lines}


def seeds_shown(row, head):
    """How many seeds a row of a page's table says that it is made of."""
    in_head, in_row = re.search(r"of (\d+) seeds?", head), re.search(r", (\d+) \|", row)
    return int((in_head or in_row)[1])


@pytest.mark.parametrize("page", ["README.md", "index.md"])
@pytest.mark.parametrize("table", [plain_table, paper_table, rivals_table])
def test_pages_show_the_tables_of_the_stored_runs(table, page):
    """A row that the page has from more seeds than are stored here is left alone."""
    shown = rows((ROOT / page).read_text(encoding="utf-8"))
    if not table().startswith("|"):
        pytest.skip(table())
    head, _, *lines = table().splitlines()
    head_shown = shown[head.split(" | ")[0]]
    for line in lines:
        row = shown.get(line.split(" | ")[0], "")
        if row and seeds_shown(row, head_shown) > seeds_shown(line, head):
            continue
        paste = "paste: python -m experiments.tables"
        assert (row, head_shown) == (line, head), paste


def test_chapter_00_quotes_the_headline():
    if len(seeds_of("plain_recipe")) < 5:
        pytest.skip("the chapter quotes five seeds")
    error = load_results("plain_recipe")["summary"]["default"]["test_error"]
    median = error["sum of all layers"]["median"]
    page = (ROOT / "chapters" / "why_forward_forward.md").read_text(encoding="utf-8")
    assert f"{median:.2f} % over five seeds" in page


def test_depth_helps_in_every_seed_as_the_pages_say():
    if not seeds_of("plain_recipe"):
        pytest.skip("no run is stored")
    for run in load_results("plain_recipe")["runs"]:
        layer_1 = run["test_error"]["layer 1"]
        assert run["test_error"]["sum of all layers"] < layer_1
        control = run["test_error_upper_layers_untrained"]
        assert control["sum of all layers"] > layer_1


# ---- What the records hold


@pytest.mark.parametrize("name", STORED)
def test_record_says_what_ran(name):
    assert name in EXPERIMENTS
    experiment, record = EXPERIMENTS[name], load_results(name)
    expected = new_record(experiment)
    for key in ("name", "title", "paper", "dataset"):
        assert record[key] == expected[key], f"{key} has changed"
    read(RESULTS / f"{name}.json", experiment)  # raises where another ran


@pytest.mark.parametrize("name", STORED)
def test_no_seed_and_variant_has_two_runs_and_each_is_finished(name):
    record, experiment = load_results(name), EXPERIMENTS[name]
    ran = [(run["seed"], run["variant"]) for run in record["runs"]]
    assert len(set(ran)) == len(ran)
    assert {variant for _, variant in ran} <= record["variants"].keys()
    for run in record["runs"]:
        assert {"python", "torch", "torchvision"} <= run["versions"].keys()
        assert run["device"]
        for stage in experiment.stages:
            for kind in KINDS[stage]:
                assert all(0 < error < 100 for error in run[f"{kind}_error"].values())
        seconds = [run[key] for key in run if key.endswith("_seconds_to_train")]
        assert seconds and min(seconds) > 0


@pytest.mark.parametrize("name", STORED)
def test_wrong_images_are_as_many_as_the_error_says(name):
    """Of 10,000; runs of before they were kept have none."""
    for run in load_results(name)["runs"]:
        for judge, images in run.get("test_wrong", {}).items():
            assert images == sorted(set(images)) and images[-1] < 10_000
            assert run["test_error"][judge] == round(len(images) / 100, 2)


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
    text = (benchmark.FOLDER / "benchmark.json").read_text(encoding="utf-8")
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
    """Those of before the layers normalised in float32 under any precision.

    Two variants of the ablation train layer 1 alone, whose input was float32.
    """
    for run in load_results(name)["runs"]:
        if "normalized_in" in run:
            assert name in HALF and run["variant"] not in FLOAT
            assert run["normalized_in"] == "bfloat16"


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


@pytest.mark.parametrize("name", STORED)
def test_results_hold_no_path_of_the_machine(name):
    runs = load_results(name)["runs"]
    assert "/" not in json.dumps([[run["device"], run["versions"]] for run in runs])


# ---- Stored runs may be fewer than were wanted


@pytest.fixture
def copy(tmp_path):
    """What this file and the tables read, in a folder of its own."""
    for name in ("experiments", "ffutils", "tools", "tests"):
        ignored = shutil.ignore_patterns("__pycache__", "browser", "lab", "devices")
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
    for name in ("README.md", "index.md", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "chapters").mkdir()
    for name in ("why_forward_forward.md", "00_one_page.ipynb"):
        shutil.copy(ROOT / "chapters" / name, tmp_path / "chapters")
    return tmp_path


def run_in(folder, *arguments):
    done = subprocess.run(
        [sys.executable, "-m", *arguments], cwd=folder, text=True,
        capture_output=True, encoding="utf-8",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def check_nothing_is_red(folder):
    """This file's tests and the one page's, apart from these."""
    tests = "tests/test_results.py", "tests/test_one_page.py"
    chosen = "-k", "not fewer and not wheel and not learns"
    run_in(folder, "pytest", "-q", "-p", "no:cacheprovider", *tests, *chosen)
    return run_in(folder, "experiments.tables"), run_in(folder, "experiments", "--list")


def test_fewer_seeds_turn_nothing_red(copy):
    for path in (copy / "ffutils" / "stored_results").glob("*.json"):
        record = json.loads(path.read_text(encoding="utf-8"))
        runs = [run for run in record["runs"] if run["seed"] != 1]
        if len(runs) == len(record["runs"]):
            continue
        record |= {"runs": runs, "summary": summary(runs)}
        path.write_text(json.dumps(record), encoding="utf-8")
    tables, overview = check_nothing_is_red(copy)
    if len(seeds_of("plain_recipe")) == 5:
        assert "plain recipe | Test error, median of 4 seeds |" in tables
    if seeds_of("rivals", "backpropagation") == {0, 1, 2}:
        assert "20 epochs | Test error, median of 2 seeds |" in tables
        assert re.search(r"rivals .* 2 / 3 +0\.17\n", overview)


def test_a_missing_file_is_no_fewer_than_no_run_at_all(copy):
    for name in ("plain_recipe", "hybrids", "rivals", "one_page"):
        (copy / "ffutils" / "stored_results" / f"{name}.json").unlink(missing_ok=True)
    tables, overview = check_nothing_is_red(copy)
    assert "No run of `plain_recipe` is stored." in tables
    assert "No run of `rivals` is stored." in tables
    assert "fully connected" not in tables
    assert re.search(r"plain_recipe .* 0 / 5 +0\.40\n", overview)


def test_a_variant_with_fewer_seeds_says_so(monkeypatch):
    record = json.loads((RESULTS / "rivals.json").read_text(encoding="utf-8"))
    record["runs"] = [
        run
        for run in record["runs"]
        if run["variant"] != "output layer alone"
        and (run["variant"] != "backpropagation" or run["seed"] == 0)
    ]
    record["summary"] = summary(record["runs"])
    monkeypatch.setattr("experiments.tables.load_results", lambda name: record)
    table = rivals_table()
    assert "| backpropagation (1 seed) |" in table and "control" not in table


# ---- Where there is no repository


def test_a_wheel_brings_the_stored_runs(tmp_path):
    """Built, unpacked and read in a folder of its own, without the repository."""
    pytest.importorskip("setuptools", minversion="77")
    source = tmp_path / "source"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "ffutils", source / "ffutils", ignore=ignored)
    for name in ("pyproject.toml", "LICENSE"):
        shutil.copy(ROOT / name, source)
    # Not by pip, which an environment made by uv lacks.
    code = "from setuptools.build_meta import build_wheel; build_wheel('..')"
    subprocess.run(
        [sys.executable, "-c", code], cwd=source, check=True, capture_output=True
    )
    (path,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(path) as packed:
        packed.extractall(tmp_path / "installed")
    code = (
        "import json, ffutils; from ffutils.results import FOLDER, load_results;"
        "names = sorted(f.name[:-5] for f in FOLDER.iterdir());"
        "print(ffutils.__file__); print(json.dumps([load_results(n) for n in names]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path / "installed", text=True,
        capture_output=True, encoding="utf-8", check=True,
    )  # fmt: skip
    file, records = done.stdout.splitlines()
    assert file.startswith(str(tmp_path / "installed"))
    assert json.loads(records) == [load_results(name) for name in STORED]
    packages = {path.name for path in (tmp_path / "installed").iterdir()}
    assert "experiments" not in packages
