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

from experiments import benchmark, tables
from experiments.catalogue import EXPERIMENTS
from experiments.runner import RESULTS, new_record, read, summary
from experiments.trials.unsupervised import UnsupervisedTrial
from ffutils.results import load_results

ROOT = Path(__file__).parent.parent
TIMINGS = "on_gpu"  # of steps, no experiment; tests/test_on_gpu.py looks at it
STORED = sorted(path.stem for path in RESULTS.glob("*.json") if path.stem != TIMINGS)
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

SHOWN = [row for rows in tables.TABLES.values() for row in rows]
WHY = "chapters/why_forward_forward.md"


def page_text(name):
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(text):
    """What stands between the markers of each table of a page, by its name."""
    return {found[2]: found[0] for found in tables.BETWEEN.finditer(text)}


def rows(block):
    """The rows of a block that say how many seeds they are of, by their first cell.

    A row is a dictionary, by the columns' names, of the cells that are no dash.
    """
    lines = [line for line in block.splitlines() if line.startswith("| ")]
    cells = [[cell.strip("| ") for cell in line.split(" | ")] for line in lines]
    head = cells[0] if cells else []
    made = [dict(zip(head, row, strict=True)) for row in cells[1:]]
    return {
        row[head[0]].strip(): {
            name: cell for name, cell in row.items() if cell != tables.DASH
        }
        for row in made
        if row.get("Seeds", tables.DASH) != tables.DASH
    }


@pytest.mark.parametrize("page", tables.PAGES)
def test_pages_show_the_tables_of_the_stored_runs(page):
    """A row that the page has from more seeds than are stored here is left alone."""
    text, write = page_text(page), "run: python -m experiments.tables"
    renewed = tables.renewed(text)
    assert blocks(text), "no table"
    if all(tables.complete(row.experiment) for row in SHOWN):
        assert text == renewed, write
    made = blocks(renewed)
    for name, block in blocks(text).items():
        shown = rows(block)
        for key, row in rows(made[name]).items():
            before = shown.get(key, {"Seeds": "0"})
            if int(before["Seeds"]) <= int(row["Seeds"]):
                assert before == row, write


def test_the_results_page_has_every_variant_of_every_experiment():
    shown = {(row.experiment, row.variant) for row in SHOWN}
    assert shown == {
        (name, variant) for name, one in EXPERIMENTS.items() for variant in one.variants
    }
    assert set(blocks(page_text("appendix/results.md"))) >= tables.TABLES.keys()


def test_tables_have_every_layer_that_a_record_has():
    for name, rows in tables.TABLES.items():
        made = tables.table(name)
        for row in rows:
            record = tables.stored(row.experiment)
            if record is None or not tables.seeds_of(record, row.variant):
                continue
            for key in record["summary"][row.variant][row.errors]:
                assert tables.SUMS.get(key, key.capitalize()) in made.splitlines()[0]


def test_landing_page_readme_and_essay_have_the_same_small_table():
    assert blocks(page_text("index.md")) == blocks(page_text("README.md"))
    assert blocks(page_text("index.md")) == blocks(page_text(WHY))
    assert "headline" in blocks(page_text("index.md"))


def median(name, variant="default", judge="sum of all layers"):
    error = load_results(name)["summary"][variant]["test_error"][judge]
    return f"{error['median']:.2f} %"


def test_pages_quote_the_stored_medians():
    quoted = "plain_recipe", "rivals", "affine", "affine_wide"
    if not all(map(tables.complete, quoted)):
        pytest.skip("the pages quote more seeds than are stored")
    plain, recipe = median("plain_recipe"), median("rivals", "Forward-Forward")
    backprop = median("rivals", "backpropagation", "output layer")
    varied = median("affine", "label in the image, 36 epochs")
    varied_backprop = median("affine", "backpropagation", "output layer")
    why, index = page_text(WHY), page_text("index.md")
    assert f"Its {plain} is the median of five seeds" in why
    assert f"{plain} test error with the plain algorithm." in index
    assert f"{recipe}, where backpropagation has {backprop}" in index
    assert f"{varied}, where backpropagation has {varied_backprop}" in index
    wide = median("affine_wide", "label in the image")
    wide_backprop = median("affine_wide", "backpropagation", "output layer")
    assert f"one seed, {wide[:-2]} and {wide_backprop}" in index


def test_results_count_the_clothes_that_one_method_alone_has_wrong():
    if not tables.complete("affine_fashion"):
        pytest.skip("the page quotes more seeds than are stored")
    runs = load_results("affine_fashion")["runs"]
    wrong = {(run["seed"], run["variant"]): run["test_wrong"] for run in runs}
    seeds = seeds_of("affine_fashion", "backpropagation")

    def alone(judge):
        ff, backprop = 0, 0
        for seed in seeds:
            ours = set(wrong[seed, "label in the image"][judge])
            theirs = set(wrong[seed, "backpropagation"]["output layer"])
            ff, backprop = ff + len(ours - theirs), backprop + len(theirs - ours)
        return ff, backprop, (ff - backprop) / (ff + backprop) ** 0.5

    text = page_text("appendix/results.md")
    ff, backprop, z = alone("sum of all layers")
    assert f"{ff} images are wrong for Forward-Forward alone and {backprop}" in text
    assert f"alone, {z:.1f} standard deviations" in text
    ff, backprop, z = alone("sum without layer 1")
    assert f"without layer 1, {ff} and {backprop}, {z:.1f}." in text


def spread(name, variant, judge="sum of all layers", digits=2):
    """The median test error, and the least and the greatest, as pages write them."""
    found = load_results(name)["summary"][variant]["test_error"][judge]
    shown = [f"{found[key]:.{digits}f}" for key in ("median", "least", "greatest")]
    return shown[0], f"{shown[1]}–{shown[2]}"


def test_pages_quote_the_long_runs_of_rivals_and_clothes():
    quoted = "rivals", "affine", "plain_fashion", "affine_fashion"
    if not all(map(tables.complete, quoted)):
        pytest.skip("the pages quote more seeds than are stored")
    since = page_text("chapters/what_came_since.md")
    median, span = spread("plain_fashion", "default", digits=1)
    assert f"has {median} % ({span}, three seeds), not 44" in since
    best, _ = spread("affine_fashion", "label in the image", digits=1)
    assert f"three of 500 with mirrored images {best} " in since
    text = page_text("chapters/12_rivals.ipynb")
    backprop, _ = spread("rivals", "backpropagation", "output layer")
    recipe, _ = spread("rivals", "Forward-Forward")
    dropped = "difference target propagation, pixels dropped"
    targets, _ = spread("rivals", dropped, "output layer")
    assert f"has {backprop} %, the recipe {recipe} % and difference targets" in text
    assert f"difference targets {targets} %" in text
    network = spread("rivals", "backpropagation, tanh network", "output layer")[0]
    undropped, _ = spread("rivals", "difference target propagation", "output layer")
    more = float(undropped) - float(network)
    assert f"are {more:.2f} points behind backpropagation in their network" in text


def test_pages_quote_the_benchmark():
    record = json.loads(page_text("experiments/benchmark.json"))
    rows = {row["title"]: row for row in record["rows"]}
    ours, backprop = rows[benchmark.FF], rows[benchmark.BACKPROP]
    ratio = f"an epoch takes {record['ratios']['ff_over_backprop_per_epoch']:.1f} times"
    assert ratio in page_text(WHY) and ratio in page_text("index.md")
    epochs = {row["to_error"]["1.5 %"]["epochs"] for row in (ours, backprop)}
    (epochs,) = epochs
    assert f"both need {epochs} epochs to reach 1.5 % error" in page_text(WHY)
    key = "predict_images_per_second"
    assert round(backprop[key] / ours[key]) == 16 and "a sixteenth" in page_text(WHY)


def prediction_ratios():
    """How many times backpropagation's pass a prediction takes in turn, by method."""
    record = json.loads(page_text("experiments/benchmark.json"))["in_turn"]
    wanted = {"kind": "prediction", "width": 500, "precision": "float32"}
    rows = [row for row in record["rows"] if wanted.items() <= row.items()]
    return {row["method"]: f"{row['ratio']:.1f}" for row in rows}


def test_chapter_07_quotes_the_benchmark():
    times = prediction_ratios()
    one = times["label in every layer, one pass"]
    ten = times["label in the image, ten passes"]
    text = page_text("chapters/07_does_depth_pay.ipynb")
    assert f"takes {one} times as long as backpropagation's" in text
    assert f"with ten passes {ten} times" in text


def test_chapter_13_quotes_the_benchmark():
    record = json.loads(page_text("experiments/benchmark.json"))
    text = "".join(
        "".join(cell["source"])
        for cell in json.loads(page_text("chapters/13_cost_and_scale.ipynb"))["cells"]
    )
    rows = record["in_turn"]["to_error"]
    base = next(row["seconds"] for row in rows if row["method"] == "backpropagation")
    titles = {
        "backpropagation": "backpropagation",
        "label in the image": "Forward-Forward, label in the image",
        "label in every layer": "chapter 07's network",
    }
    assert titles.keys() == {row["method"] for row in rows}
    ratios = {row["method"]: row["seconds"] / base for row in rows}
    for row in rows:
        title, ratio = titles[row["method"]], ratios[row["method"]]
        epochs = ", ".join(map(str, row["epochs"]))
        shown = "1" if ratio == 1 else f"{ratio:.2f}"
        seconds = f"{row['seconds_per_epoch']:.1f}, {row['seconds']:.0f}"
        assert f'("{title}", {shown}, "{epochs}", {seconds}),' in text

    times = prediction_ratios()
    shared = times["label in the image, layer 1's product shared"]
    ten = times["label in the image, ten passes"]
    assert f"takes {shared} times backpropagation's pass instead of {ten}." in text


def errors_of_chapter_11():
    """What tells the median test error of a variant, where all seeds are stored."""
    if not tables.complete("sequences"):
        pytest.skip("the pages quote more seeds than are stored")
    stored = load_results("sequences")["summary"]

    def wrong(variant, judge="sum of all layers"):
        return stored[variant]["test_error"][judge]["median"]

    return wrong


def test_pages_quote_chapter_11():
    wrong = errors_of_chapter_11()

    forced, backprop = (
        wrong("teacher forcing"),
        wrong("backpropagation", "output layer"),
    )
    quoted = f"gets {forced:.1f} % wrong and backpropagation {backprop:.1f} %"
    assert quoted in page_text("index.md")
    assert wrong("teacher forcing, 10 batches by day") < forced + 1
    assert wrong("teacher forcing, an epoch by day") > forced + 10


def test_pages_quote_chapter_11_on_sleep():
    wrong = errors_of_chapter_11()
    turns, long_days = (
        f"{wrong(variant):.0f} %"
        for variant in ("teacher forcing", "teacher forcing, an epoch by day")
    )
    text = page_text(WHY)
    assert f"it gets {turns} of the next characters wrong." in text
    assert f"With an epoch of each it gets {long_days} wrong" in text
    assert f"raises the error from {turns} to {long_days}." in page_text("index.md")


def test_what_came_since_quotes_chapter_07():
    if not tables.complete("depth_wide_fashion"):
        pytest.skip("the page quotes more seeds than are stored")
    errors = {
        (run["seed"], run["variant"]): run["test_error"]
        for run in load_results("depth_wide_fashion")["runs"]
    }
    seeds = seeds_of("depth_wide_fashion", "three layers")
    ahead = [
        round(errors[seed, "one layer, as many weights"]["layer 1"]
              - errors[seed, "three layers"]["sum of all layers"], 2)
        for seed in seeds
    ]  # fmt: skip
    quoted = f"in three of three seeds, by {min(ahead)} to {max(ahead)} points (test)"
    assert len(seeds) == 3 and quoted in page_text("chapters/what_came_since.md")


def test_what_came_since_quotes_chapter_11_on_sleep():
    wrong = errors_of_chapter_11()

    def lost(variant, end, **judge):
        return wrong(variant + end, **judge) - wrong(variant, **judge)

    text = page_text("chapters/what_came_since.md")
    own, forced, one = "self-generated", "teacher forcing", "layer 1 alone, SGD"
    ten, night = ", 10 batches by day", ", an epoch by day"
    layer_1 = {"judge": "layer 1"}
    long_strings = wrong(f"{own}, strings of 100")
    assert (
        f"have {wrong(own + ten):.1f} %, strings of ninety {long_strings:.1f}" in text
    )
    assert f"lose {lost(forced, ten):.1f} points" in text
    assert f"and {lost(own, ten):.1f} where they are strings" in text
    assert f"{lost(forced, night):.0f} and {lost(own, night):.0f} points" in text
    short = lost(one, night, **layer_1)
    long, low = (
        wrong(f"{one}{night}, {end}", **layer_1) - wrong(f"{one}, {end}", **layer_1)
        for end in ("100 epochs", "low rate")
    )
    assert f"SGD, loses {short:.1f} points in ten epochs and {long:.1f} in a" in text
    assert abs(low) < 0.15
    assert "it loses nothing measurable, but has learnt as little" in text
    assert abs(wrong(f"{one}, low rate", **layer_1) - wrong(one, **layer_1)) < 0.5


def test_the_essay_has_the_loop_of_the_one_page():
    notebook = json.loads(page_text("chapters/00_one_page.ipynb"))
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    code = "\n".join("".join(cell["source"]) for cell in cells)
    (loop,) = re.findall(r"```python\n(.*?)```", page_text(WHY), re.DOTALL)
    lines = {line.strip() for line in code.splitlines()}
    assert all(line.strip() in lines for line in loop.splitlines())


def test_depth_helps_in_every_seed_as_the_pages_say():
    if not seeds_of("plain_recipe"):
        pytest.skip("no run is stored")
    for run in load_results("plain_recipe")["runs"]:
        layer_1 = run["test_error"]["layer 1"]
        assert run["test_error"]["sum of all layers"] < layer_1
        if run["variant"] != "default":
            continue
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
    """Of 10,000, of CIFAR-10 9,980; runs of before they were kept have none."""
    total = 9_980 if name == "cifar" else 10_000
    for run in load_results(name)["runs"]:
        for judge, images in run.get("test_wrong", {}).items():
            assert images == sorted(set(images)) and images[-1] < total
            assert run["test_error"][judge] == round(100 * len(images) / total, 2)


def fields(record):
    """The names of a record's fields, of its runs and of its configurations."""
    parts = [record, *record["runs"], record["configuration"], record["paper"] or {}]
    parts += [*record["variants"].values(), *record["summary"].values()]
    return {key for part in parts for key in part}


def benchmark_fields(record):
    parts = [record, record["machine"], record["matmul_rate"], record["ratios"]]
    in_turn = record["in_turn"]
    parts += [in_turn, *in_turn["rows"], *in_turn["to_error"], *record["rows"]]
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
    single = r"layer \d|iteration \d|output layer|softmax( on .*)?"
    several = r"sum of all layers|sum without layer 1"
    if EXPERIMENTS[name].trial is UnsupervisedTrial:  # softmaxes, which add nothing up
        several = r"all layers|all layers without layer 1"
    for run in load_results(name)["runs"]:
        rows = [row for kind in run if "error" in kind for row in run[kind]]
        assert all(re.fullmatch(f"{single}|{several}", row) for row in rows), rows


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
    for name in ("chapters", "appendix"):
        (tmp_path / name).mkdir()
    quoting = (
        "chapters/00_one_page.ipynb", "chapters/07_does_depth_pay.ipynb",
        "chapters/12_rivals.ipynb", "chapters/13_cost_and_scale.ipynb",
        "chapters/what_came_since.md",
    )  # fmt: skip
    for name in (*tables.PAGES, WHY, *quoting, "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def run_in(folder, *arguments):
    done = subprocess.run(
        [sys.executable, "-m", *arguments], cwd=folder, text=True,
        capture_output=True, encoding="utf-8",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def check_nothing_is_red(folder):
    """This file's tests and the one page's, apart from these.

    Returns the tables that are written from what is left, and the overview of runs.
    """
    tests = "tests/test_results.py", "tests/test_one_page.py"
    chosen = "-k", "not fewer and not wheel and not learns"
    run_in(folder, "pytest", "-q", "-p", "no:cacheprovider", *tests, *chosen)
    run_in(folder, "experiments.tables")
    assert "as stored" in run_in(folder, "experiments.tables", "--check")
    page = (folder / "appendix" / "results.md").read_text(encoding="utf-8")
    return blocks(page), run_in(folder, "experiments", "--list")


def test_fewer_seeds_turn_nothing_red(copy):
    for path in (copy / "ffutils" / "stored_results").glob("*.json"):
        record = json.loads(path.read_text(encoding="utf-8"))
        runs = [run for run in record.get("runs", []) if run["seed"] != 1]
        if len(runs) == len(record.get("runs", [])):
            continue
        record |= {"runs": runs, "summary": summary(runs)}
        path.write_text(json.dumps(record), encoding="utf-8")
    made, overview = check_nothing_is_red(copy)
    if len(seeds_of("plain_recipe")) == 5:
        assert "| 4 | 60,000 | 3 × 500 | 15 |" in made["supervised"]
        assert "| 4 |" in made["headline"]
    if seeds_of("rivals", "backpropagation") == {0, 1, 2}:
        assert "| 2 | 50,000 | 3 × 500 | 20 |" in made["rivals"]
        assert re.search(r"rivals .* 2 / 3 +0\.17\n", overview)


def test_a_missing_file_is_no_fewer_than_no_run_at_all(copy):
    for name in ("plain_recipe", "hybrids", "rivals", "one_page"):
        (copy / "ffutils" / "stored_results" / f"{name}.json").unlink(missing_ok=True)
    made, overview = check_nothing_is_red(copy)
    assert "plain recipe" not in made["supervised"]
    assert "part 1" not in made["headline"]
    assert "No run of `rivals` is stored." in made["rivals"]
    assert "fully connected" not in made["unsupervised"]
    assert re.search(r"plain_recipe .* 0 / 5 +0\.70\n", overview)


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
    made = rows(tables.table("rivals"))
    seeds = {name: row["Seeds"] for name, row in made.items()}
    assert seeds["backpropagation"] == "1" and seeds["Forward-Forward"] == "3"
    assert "output layer alone" not in made


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
    assert json.loads(records) == [
        load_results(name) for name in sorted([*STORED, TIMINGS])
    ]
    packages = {path.name for path in (tmp_path / "installed").iterdir()}
    assert "experiments" not in packages
