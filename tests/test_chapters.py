"""What every chapter must have, whoever wrote it. A new chapter in chapters/ is covered as soon as it is there."""

import ast
import re

import pytest

from tools.chapters import (
    ONE_PAGE,
    ROOT,
    chapter_files,
    code_cells,
    dump,
    imported_modules,
    is_old,
    output_problems,
    parse,
    read,
    source,
    tags,
    without_docstrings,
)  # fmt: skip

CHAPTERS = chapter_files()
ENDING = ["Check yourself", "Summary", "Next", "References"]

# Which module mirrors which chapter, and what both define. A name that both define must be the same code in any case.
MIRRORS = {
    "01_loading_mnist": ("data", ["Split", "batches", "hold_out", "load_dataset", "load_digits", "load_mnist"]),
    "02_label_overlay": ("labels", ["neutral", "overlay", "wrong_labels"]),
    "03_normalized_relu_layers": ("layers", ["FFLayer", "FFNet", "goodness", "normalize"]),
    "04_isolated_training": (
        "training",
        ["logistic_loss", "random_negatives", "train", "train_batch", "train_epoch", "train_layer"],
    ),
    "05_goodness_prediction": (
        "prediction",
        ["error_rate", "fit_softmax", "label_goodness", "layer_goodness", "neutral_activities", "predict"],
    ),
    "06_closing_the_gap": (
        "recipe",
        ["cool_down", "draw_wrong", "drop_pixels", "first_layer_goodness", "hard_labels", "jitter", "pair_loss"],
    ),
    "08_unsupervised_hybrids": ("hybrids", ["blurred_masks", "hybrids"]),
    "09_local_receptive_fields": ("local", ["LocalLayer", "peer_loss"]),
    "10_recurrent_top_down": ("recurrent", ["RecurrentNet", "goodness_over_time", "recurrent_loss"]),
    "12_rivals": (
        "rivals",
        [
            "MLP",
            "TargetNet",
            "backprop_step",
            "find_targets",
            "inverse_loss",
            "target_optimizers",
            "target_step",
            "train_backprop",
            "train_steps",
            "train_targets",
        ],
    ),
    "13_cost_and_scale": (
        "pipeline",
        ["Saved", "SavedBytes", "pictures", "received", "sender", "train_stage"],
    ),
}
# The order of reading: each module may import those before it. `__init__` and `__main__` may import all of them.
ORDER = [
    "checks", "progress", "results", "data", "labels", "layers", "training", "prediction", "recipe", "hybrids",
    "local", "recurrent", "rivals", "pipeline",
]  # fmt: skip


# ---- What the checks are made of


def headings(cells, level):
    """(number of the cell, heading) for each Markdown heading of that level."""
    for number, cell in enumerate(cells):
        if cell["cell_type"] == "markdown":
            for heading in re.findall(rf"^#{{{level}}} +(.+?)\s*$", source(cell), re.MULTILINE):
                yield number, heading


def part(cells, name):
    """The cells from one of the closing headings up to the next, or all those before the first for "body"."""
    starts = [number for number, heading in headings(cells, 2) if heading in ENDING] + [len(cells)]
    names = [heading for _, heading in headings(cells, 2) if heading in ENDING]
    if name == "body":
        return cells[5 : starts[0]]
    return cells[starts[names.index(name)] : starts[names.index(name) + 1]] if name in names else []


def skeleton_problems(notebook):
    """Where a chapter departs from the shape that all chapters share, as a list of sentences."""
    cells, problems = notebook["cells"], []

    def must(holds, sentence):
        if not holds:
            problems.append(sentence)

    must(len(cells) > 9, "it is too short to be a chapter")
    if problems:
        return problems
    opening = source(cells[0])
    must(
        cells[0]["cell_type"] == "markdown" and opening.startswith("# "),
        "cell 1 must be Markdown that begins with the title",
    )
    must(len(list(headings(cells, 1))) == 1, "there must be one title, and no other heading of the first level")
    promise = re.search(r"\*\*You will\*\*[^\n]*\n+((?:[-*] .+\n?(?:  .+\n?)*)+)", opening)
    must(
        promise and len(re.findall(r"^[-*] ", promise[1], re.M)) == 3,
        'cell 1 must say "**You will**", with three bullets',
    )
    for word in ("**Time:**", "**Prerequisites:**"):
        must(word in opening, f"cell 1 must say {word}")
    must(
        cells[1]["cell_type"] == "markdown" and "remove-cell" in tags(cells[1]),
        "cell 2 must hold the links, tagged remove-cell",
    )
    must(
        {"remove-cell", "colab-bootstrap"} <= tags(cells[2]),
        "cell 3 must be the Colab bootstrap, tagged so and remove-cell",
    )
    must(
        cells[3]["cell_type"] == "code" and "remove-input" in tags(cells[3]),
        "cell 4 must show the picture, tagged remove-input",
    )
    imports = cells[4]["cell_type"] == "code" and re.search(r"^(import|from) ", source(cells[4]), re.MULTILINE)
    must(imports, "cell 5 must hold the imports")
    must([h for _, h in headings(cells, 2)][-4:] == ENDING, f"the last headings must be {', '.join(ENDING)}")
    must(
        any("assert" in source(c) for c in part(cells, "body") if c["cell_type"] == "code"),
        "the body must assert something",
    )
    exercises = part(cells, "Check yourself")
    solutions = [cell for cell in exercises if "solution" in tags(cell)]
    must(2 <= len(solutions) <= 3, f"Check yourself must have two or three solutions, not {len(solutions)}")
    must(
        all(c["cell_type"] == "code" and "hide-cell" in tags(c) for c in solutions),
        "a solution is code, tagged hide-cell",
    )
    return problems


def definitions(trees):
    """(name, canonical form) of each class and function at the top level of some syntax trees."""
    for tree in trees:
        for node in without_docstrings(tree).body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef):
                yield node.name, dump(WithoutChecks().visit(node))


class WithoutChecks(ast.NodeTransformer):
    """Drops each statement that only calls a function whose name begins with check_: a chapter need not show those."""

    def visit_Expr(self, node):
        called = node.value.func if isinstance(node.value, ast.Call) else None
        name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
        return None if name.startswith("check_") else node


def drift(cells, module, required):
    """The names that a chapter and a module define differently, or that one of them lacks."""
    ours = dict(definitions([ast.parse(module)]))
    shown = list(definitions(parse(source(cell)) for cell in cells))
    missing = [name for name in required if name not in ours or name not in dict(shown)]
    return missing + [name for name, form in shown if name in ours and form != ours[name]]


def picture_problems(notebook):
    """Figures without words for those who cannot see them."""
    problems = []
    for number, cell in enumerate(notebook["cells"]):
        alt = cell["metadata"].get("mystnb", {}).get("image", {}).get("alt", "")
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if any(kind.startswith("image/") for kind in data) and len(alt) < 20:
                problems.append(f"cell {number}: a figure needs 20 characters or more of alt text in mystnb.image.alt")
            html = "".join(data.get("text/html", ""))
            for image in re.findall(r"<img\b[^>]*>", html):
                if len((re.search(r"\balt=([\"'])(.*?)\1", image) or ["", "", ""])[2]) < 20:
                    problems.append(f"cell {number}: an <img> needs 20 characters or more of alt text")
            for drawing in re.findall(r"<svg\b.*?</svg>", html, re.DOTALL):
                if not re.search(r"aria-label=|aria-hidden=|<title", drawing):
                    problems.append(f"cell {number}: an <svg> needs an aria-label or a title")
    return problems


# ---- The chapters


@pytest.fixture(params=CHAPTERS, ids=lambda path: path.stem)
def chapter(request):
    return read(request.param)


def test_there_are_chapters():
    assert CHAPTERS


@pytest.mark.parametrize("path", [path for path in CHAPTERS if path.stem != ONE_PAGE], ids=lambda path: path.stem)
def test_skeleton(path):
    assert not skeleton_problems(read(path))


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_title_and_file_have_the_same_number(path):
    title = source(read(path)["cells"][0]).splitlines()[0]
    expected = "# " if path.stem == ONE_PAGE else f"# {int(path.stem[:2])}. "
    assert title.startswith(expected), f"{path.stem} is called {title!r}"


def test_executed_top_to_bottom(chapter):
    counts = [cell["execution_count"] for cell in code_cells(chapter)]
    assert counts == list(range(1, len(counts) + 1)), "run make execute"


def test_outputs_are_those_of_this_code(chapter):
    assert not is_old(chapter), (
        "code or modules changed since the outputs were stored, or not on MNIST: run make execute"
    )


def test_outputs_hold_nothing_of_one_machine(chapter):
    assert not output_problems(chapter)


def test_metadata_says_only_what_is_needed(chapter):
    assert set(chapter["metadata"]) == {"kernelspec", "language_info", "ffbook"}, "run make execute"
    assert chapter["metadata"]["kernelspec"]["name"] == "python3"


def test_figures_have_alt_text(chapter):
    assert not picture_problems(chapter)


def test_cells_are_short(chapter):
    long = [number for number, cell in enumerate(code_cells(chapter), 1)
            if source(cell).count("\n") >= 25 and "long-ok" not in tags(cell)]  # fmt: skip
    assert not long, f"code cells {long} have more than 25 lines: one idea per cell (or the tag long-ok)"


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_file_is_not_too_large(path):
    assert path.stat().st_size < 3_000_000


# ---- Chapter and module


@pytest.mark.parametrize("name", MIRRORS)
def test_chapter_and_module_are_the_same_code(name):
    module, required = MIRRORS[name]
    cells = read(ROOT / "chapters" / f"{name}.ipynb")["cells"]
    shown = [cell for cell in part(cells, "body") if cell["cell_type"] == "code"]
    assert not drift(shown, (ROOT / "ffutils" / f"{module}.py").read_text(encoding="utf-8"), required)


def test_imports_run_forward_only():
    for path in sorted((ROOT / "ffutils").glob("*.py")):
        imported = set(imported_modules(ast.parse(path.read_text(encoding="utf-8"))))
        if path.stem in ("__init__", "__main__"):
            continue
        assert "__init__" not in imported, f"{path.name} must import from a module, not from the package"
        assert "plots" not in imported, f"{path.name} must not import plots"
        if path.stem != "plots":
            assert path.stem in ORDER, f"{path.name}: say in ORDER where it stands"
            assert imported <= set(ORDER[: ORDER.index(path.stem)]), f"{path.name} imports a module that comes later"


# ---- The checks themselves


def cell(text, kind="code", *names, **more):
    return {"cell_type": kind, "source": text, "metadata": {"tags": list(names)}, **more}


def whole_chapter():
    opening = "# Title\n\n**You will**\n\n- a\n- b\n- c\n\n**Time:** 1 minute\n\n**Prerequisites:** none\n"
    return {
        "cells": [
            cell(opening, "markdown"),
            cell("links", "markdown", "remove-cell"),
            cell("import sys", "code", "remove-cell", "colab-bootstrap"),
            cell("picture()", "code", "remove-input"),
            cell("import torch"),
            cell("## Body", "markdown"),
            cell("assert True"),
            cell("## Check yourself", "markdown"),
            cell("1", "code", "hide-cell", "solution"),
            cell("2", "code", "hide-cell", "solution"),
            cell("## Summary\n\n## Next\n\n## References", "markdown"),
        ]
    }


def test_skeleton_check_accepts_a_whole_chapter():
    assert not skeleton_problems(whole_chapter())


@pytest.mark.parametrize(
    "number, broken",
    [
        (0, cell("# Title\n\n**You will**\n\n- a\n- b\n\n**Time:** 1\n\n**Prerequisites:** none", "markdown")),
        (1, cell("links", "markdown")),
        (2, cell("import sys", "code", "remove-cell")),
        (3, cell("picture()")),
        (4, cell("x = 1")),
        (6, cell("x = 1")),
        (8, cell("1", "code", "solution")),
        (9, cell("2")),
        (10, cell("## Next\n\n## Summary\n\n## References", "markdown")),
        (10, cell("# Another title\n\n## Summary\n\n## Next\n\n## References", "markdown")),
    ],
)
def test_skeleton_check_sees_what_is_missing(number, broken):
    chapter = whole_chapter()
    chapter["cells"][number] = broken
    assert skeleton_problems(chapter)


MODULE = '''
def double(x):
    """Twice x."""
    check_images(x)
    return 2 * x
'''


@pytest.mark.parametrize(
    "shown, wrong",
    [
        ("def double(x):\n    return 2 * x", []),
        ('%matplotlib inline\ndef double(x):\n    """Other words."""\n    # a remark\n    return 2 * x', []),
        ("def double(x):\n    checks.check_labels(x)\n    return 2 * x", []),
        ("def double(x):\n    return 3 * x", ["double"]),
        ("def double(x, y=1):\n    return 2 * x", ["double"]),
        ("def double(x):\n    print(x)\n    return 2 * x", ["double"]),
        ("def double(x):\n    return 2 * x\ndef double(x):\n    return x + x", ["double"]),
        ("def twice(x):\n    return 2 * x", ["double"]),
    ],
)
def test_drift_is_seen(shown, wrong):
    assert drift([cell(shown)], MODULE, ["double"]) == wrong


def test_picture_check():
    figure = {"output_type": "display_data", "data": {"image/png": "iVBO"}}
    drawing = {
        "output_type": "display_data",
        "data": {"text/html": '<img src="data:image/png;base64,iVBO" alt="short">'},
    }
    for output in (figure, drawing):
        assert picture_problems({"cells": [cell("x", outputs=[output])]})
    named = cell("x", outputs=[figure])
    named["metadata"]["mystnb"] = {"image": {"alt": "Two curves that fall from 12 to 4 per cent"}}
    assert not picture_problems({"cells": [named]})
