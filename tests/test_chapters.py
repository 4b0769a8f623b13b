"""What every chapter must have; a new one is covered as soon as it is in chapters/."""

import ast
import re

import pytest

from tools import sync
from tools.chapters import (
    ONE_PAGE,
    ROOT,
    book_imports,
    chapter_files,
    code_cells,
    is_old,
    output_problems,
    parse,
    read,
    source,
    tags,
)

CHAPTERS = chapter_files()
ENDING = ["Check yourself", "Summary", "Next", "References"]

# What each chapter shows of its modules: each name in a cell of its body that is tagged
# module:NAME. tools/sync.py says which modules those are.
MIRRORS = {
    "01_loading_mnist": [
        "Split", "batches", "load_dataset", "load_digits", "load_mnist",
        "split_validation",
    ],
    "02_label_overlay": ["neutral", "overlay", "wrong_labels"],
    "03_normalized_relu_layers": ["FFLayer", "FFNet", "goodness", "normalize"],
    "04_isolated_training": [
        "logistic_loss", "random_negatives", "train", "train_batch", "train_epoch",
        "train_layer",
    ],
    "05_goodness_prediction": [
        "error_rate", "fit_softmax", "label_goodness", "label_goodness_per_layer",
        "neutral_activations", "predict",
    ],
    "06_closing_the_gap": [
        "cosine_decay", "drop_pixels", "hard_negatives", "jitter",
        "label_goodness_first_layer", "pair_loss", "sample_wrong_labels",
    ],
    "08_unsupervised_hybrids": ["blurred_masks", "hybrids"],
    "09_local_receptive_fields": ["LocallyConnected2d", "peer_loss"],
    "10_recurrent_top_down": ["RecurrentNet", "goodness_over_time", "recurrent_loss"],
    "12_rivals": [
        "MLP", "TargetPropNet", "backprop_step", "compute_targets", "inverse_loss",
        "target_optimizers", "target_step", "train_backprop", "train_steps",
        "train_targets",
    ],
    "13_cost_and_scale": [
        "SavedTensor", "SavedTensorMemory", "first_stage_batches", "make_sender",
        "receive_batches", "train_stage",
    ],
}  # fmt: skip
# The order of reading: each module may import those before it, and `__init__` and
# `__main__` may import all of them.
ORDER = [
    "checks", "progress", "results", "tables", "claims", "files", "data", "labels", "layers",
    "training", "prediction", "compare", "recipe", "hybrids", "local", "recurrent",
    "rivals", "memory", "pipeline", "saving",
]  # fmt: skip


# ---- What the checks are made of


def headings(cells, level):
    """(number of the cell, heading) for each Markdown heading of that level."""
    for number, cell in enumerate(cells):
        if cell["cell_type"] == "markdown":
            for heading in re.findall(
                rf"^#{{{level}}} +(.+?)\s*$", source(cell), re.MULTILINE
            ):
                yield number, heading


def part(cells, name):
    """The cells under one of the closing headings, or all those before for "body"."""
    starts = [number for number, heading in headings(cells, 2) if heading in ENDING] + [
        len(cells)
    ]
    names = [heading for _, heading in headings(cells, 2) if heading in ENDING]
    if name == "body":
        return cells[5 : starts[0]]
    return (
        cells[starts[names.index(name)] : starts[names.index(name) + 1]]
        if name in names
        else []
    )


def skeleton_problems(notebook):
    """Where a chapter departs from the shape that all share, as a list of sentences."""
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
    must(
        len(list(headings(cells, 1))) == 1,
        "there must be one title, and no other heading of the first level",
    )
    promise = re.search(
        r"\*\*You will\*\*[^\n]*\n+((?:[-*] .+\n?(?:  .+\n?)*)+)", opening
    )
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
    imports = cells[4]["cell_type"] == "code" and re.search(
        r"^(import|from) ", source(cells[4]), re.MULTILINE
    )
    must(imports, "cell 5 must hold the imports")
    must(
        [h for _, h in headings(cells, 2)][-4:] == ENDING,
        f"the last headings must be {', '.join(ENDING)}",
    )
    must(
        any(
            "assert" in source(c)
            for c in part(cells, "body")
            if c["cell_type"] == "code"
        ),
        "the body must assert something",
    )
    exercises = part(cells, "Check yourself")
    solutions = [cell for cell in exercises if "solution" in tags(cell)]
    must(
        2 <= len(solutions) <= 3,
        f"Check yourself must have two or three solutions, not {len(solutions)}",
    )
    must(
        all(c["cell_type"] == "code" and "hide-cell" in tags(c) for c in solutions),
        "a solution is code, tagged hide-cell",
    )
    return problems


def mirror_problems(cells, ours, required):
    """The names that a chapter's body lacks, or defines without saying that it does.

    Args:
        cells: those of the body.
        ours: the names that the chapter's modules define.
        required: those that the chapter must show, in cells tagged module:NAME.

    Returns:
        A list of sentences.
    """
    tagged = {name for cell in cells for name in sync.names(cell)}
    problems = [f"no cell is tagged module:{name}" for name in set(required) - tagged]
    for cell in cells:
        if cell["cell_type"] == "code" and "own-version" not in tags(cell):
            named = {getattr(node, "name", None) for node in parse(source(cell)).body}
            for name in named & set(ours) - set(sync.names(cell)):
                problems.append(
                    f"a cell defines {name}: tag it module:{name} or own-version"
                )
    return problems


def picture_problems(notebook):
    """Figures without words for those who cannot see them."""
    problems = []
    for number, cell in enumerate(notebook["cells"]):
        alt = cell["metadata"].get("mystnb", {}).get("image", {}).get("alt", "")
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if any(kind.startswith("image/") for kind in data) and len(alt) < 20:
                problems.append(
                    f"cell {number}: a figure needs 20 characters or more of alt text in mystnb.image.alt"
                )
            html = "".join(data.get("text/html", ""))
            for image in re.findall(r"<img\b[^>]*>", html):
                if (
                    len((re.search(r"\balt=([\"'])(.*?)\1", image) or ["", "", ""])[2])
                    < 20
                ):
                    problems.append(
                        f"cell {number}: an <img> needs 20 characters or more of alt text"
                    )
            for drawing in re.findall(r"<svg\b.*?</svg>", html, re.DOTALL):
                if not re.search(r"aria-label=|aria-hidden=|<title", drawing):
                    problems.append(
                        f"cell {number}: an <svg> needs an aria-label or a title"
                    )
    return problems


# ---- The chapters


@pytest.fixture(params=CHAPTERS, ids=lambda path: path.stem)
def chapter(request):
    return read(request.param)


def test_there_are_chapters():
    assert CHAPTERS


@pytest.mark.parametrize(
    "path",
    [path for path in CHAPTERS if path.stem != ONE_PAGE],
    ids=lambda path: path.stem,
)
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
    assert set(chapter["metadata"]) == {"kernelspec", "language_info", "ffbook"}, (
        "run make execute"
    )
    assert chapter["metadata"]["kernelspec"]["name"] == "python3"


def test_figures_have_alt_text(chapter):
    assert not picture_problems(chapter)


def test_cells_are_short(chapter):
    long = [number for number, cell in enumerate(code_cells(chapter), 1)
            if source(cell).count("\n") >= 25 and "long-ok" not in tags(cell)]  # fmt: skip
    assert not long, (
        f"code cells {long} have more than 25 lines: one idea per cell (or the tag long-ok)"
    )


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_file_is_not_too_large(path):
    assert path.stat().st_size < 3_000_000


# ---- Chapter and module


@pytest.mark.parametrize("name", sync.MODULES)
def test_chapter_shows_its_modules(name):
    body = part(read(ROOT / "chapters" / f"{name}.ipynb")["cells"], "body")
    assert not mirror_problems(body, list(sync.own_definitions(name)), MIRRORS[name])


def test_imports_run_forward_only():
    for path in sorted((ROOT / "ffutils").glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        imported = {module for module, _ in book_imports(tree)}
        if path.stem in ("__init__", "__main__"):
            continue
        assert "__init__" not in imported, (
            f"{path.name} must import from a module, not from the package"
        )
        assert "plots" not in imported, f"{path.name} must not import plots"
        if path.stem != "plots":
            assert path.stem in ORDER, f"{path.name}: say in ORDER where it stands"
            assert imported <= set(ORDER[: ORDER.index(path.stem)]), (
                f"{path.name} imports a module that comes later"
            )


# ---- The checks themselves


def cell(text, kind="code", *names, **more):
    return {
        "cell_type": kind,
        "source": text,
        "metadata": {"tags": list(names)},
        **more,
    }


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
        (
            0,
            cell(
                "# Title\n\n**You will**\n\n- a\n- b\n\n**Time:** 1\n\n**Prerequisites:** none",
                "markdown",
            ),
        ),
        (1, cell("links", "markdown")),
        (2, cell("import sys", "code", "remove-cell")),
        (3, cell("picture()")),
        (4, cell("x = 1")),
        (6, cell("x = 1")),
        (8, cell("1", "code", "solution")),
        (9, cell("2")),
        (10, cell("## Next\n\n## Summary\n\n## References", "markdown")),
        (
            10,
            cell(
                "# Another title\n\n## Summary\n\n## Next\n\n## References", "markdown"
            ),
        ),
    ],
)
def test_skeleton_check_sees_what_is_missing(number, broken):
    chapter = whole_chapter()
    chapter["cells"][number] = broken
    assert skeleton_problems(chapter)


DOUBLE = "def double(x):\n    return 2 * x"


@pytest.mark.parametrize(
    "cells, wrong",
    [
        ([cell(DOUBLE, "code", "module:double")], []),
        ([cell("", "code", "module:double"), cell("def other():\n    pass")], []),
        ([cell("", "code", "module:double"), cell(DOUBLE)], ["defines double"]),
        ([cell("", "code", "module:double"), cell(DOUBLE, "code", "own-version")], []),
        ([cell("%time\n" + DOUBLE)], ["no cell", "defines double"]),
        ([cell(DOUBLE, "code", "own-version")], ["no cell"]),
        ([cell("", "code", "module:double"), cell("class half: pass")], ["half"]),
        ([cell("double = 2", "code", "module:double"), cell(DOUBLE, "markdown")], []),
    ],
)
def test_mirror_check(cells, wrong):
    problems = mirror_problems(cells, ["double", "half"], ["double"])
    assert len(problems) == len(wrong)
    assert all(word in problem for word, problem in zip(wrong, problems, strict=True))


def test_picture_check():
    figure = {"output_type": "display_data", "data": {"image/png": "iVBO"}}
    drawing = {
        "output_type": "display_data",
        "data": {"text/html": '<img src="data:image/png;base64,iVBO" alt="short">'},
    }
    for output in (figure, drawing):
        assert picture_problems({"cells": [cell("x", outputs=[output])]})
    named = cell("x", outputs=[figure])
    named["metadata"]["mystnb"] = {
        "image": {"alt": "Two curves that fall from 12 to 4 per cent"}
    }
    assert not picture_problems({"cells": [named]})
