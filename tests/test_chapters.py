"""What every chapter must have; a new one is covered as soon as it is in chapters/."""

import ast
import itertools
import re
from statistics import median

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
    "01_loading_mnist": ["Split", "batches", "load_mnist", "split_validation"],
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
        "cosine_decay", "drop_pixels", "hard_negatives", "jitter", "pair_loss",
        "sample_wrong_labels",
    ],
    "07_does_depth_pay": ["BroadcastLayer", "BroadcastNet", "broadcast_step"],
    "08_unsupervised_hybrids": ["blurred_masks", "hybrids"],
    "09_local_receptive_fields": ["LocallyConnected2d", "peer_loss"],
    "10_recurrent_top_down": ["RecurrentNet", "goodness_over_time", "recurrent_loss"],
    "11_sequences": [
        "phase_loss", "run_on", "sample_next", "self_generated", "teacher_forced",
        "train_in_phases", "train_phase", "windows", "write_contexts",
    ],
    "12_rivals": [
        "MLP", "NormalizedMLP", "TargetPropNet", "backprop_step", "compute_targets",
        "inverse_loss", "target_optimizers", "target_step", "train_backprop",
        "train_steps", "train_targets",
    ],
    "13_cost_and_scale": ["SavedTensor", "SavedTensorMemory"],
}  # fmt: skip
# The order of reading: each module may import those before it, and `__init__` and
# `__main__` may import all of them.
ORDER = [
    "checks", "progress", "results", "tables", "claims", "files", "data", "labels", "layers",
    "training", "prediction", "compare", "recipe", "augment", "depth", "fast", "hybrids", "local", "recurrent",
    "sequences", "rivals", "memory", "pipeline", "saving",
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
            "assert" in source(c) or "check_claims(" in source(c)
            for c in part(cells, "body")
            if c["cell_type"] == "code"
        ),
        "the body must hold its claims against the run",
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


# ---- A chapter is for reading

# Those that were rewritten for it: visible words at most, folded text not counted.
FOR_READING = {
    "01_loading_mnist": 800,
    "02_label_overlay": 1500,
    "03_normalized_relu_layers": 1500,
    "04_isolated_training": 1500,
    "05_goodness_prediction": 1500,
    "06_closing_the_gap": 1500,
    "07_does_depth_pay": 1500,
    "08_unsupervised_hybrids": 1500,
    "09_local_receptive_fields": 1500,
    "10_recurrent_top_down": 1500,
    "11_sequences": 1500,
    "12_rivals": 1500,
    "13_cost_and_scale": 1500,
    "14_pitfalls": 1500,
    "15_your_own_data": 1500,
}
# Visible code cells at most, where a chapter has eight short parts.
MOST_CELLS = {"14_pitfalls": 29}
# STYLE: the field's words, one for each thing.
NOT_OUR_WORDS = re.compile(
    r"\b(lies?|lying|liars?|truths|heaps?|pictures of|BANDS|BP|neurons?)\b"
)
FOLDED = re.compile(
    r"<details.*?</details>|^(:{3,}|`{3,})\{dropdown\}.*?^\1$", re.S | re.M
)
HIDDEN = {"hide-input", "remove-input", "remove-cell", "hide-cell"}


def is_visible(cell):
    return not tags(cell) & HIDDEN


def count_words(text):
    """Words as a reader counts them: no addresses of links, no markup, no formulas."""
    text = re.sub(r"\]\([^)]*\)|\$\$?.+?\$\$?|<[^>]+>", "]", text, flags=re.S)
    return len([word for word in text.split() if re.search(r"\w", word)])


def reading_problems(notebook, most_words, most_cells=25):
    """Where a chapter is apparatus rather than reading, as a list of sentences."""
    cells, problems = notebook["cells"], []
    texts = [source(c) for c in cells if c["cell_type"] == "markdown" and is_visible(c)]
    words = count_words("\n".join(texts))
    folded = sum(count_words(m[0]) for text in texts for m in FOLDED.finditer(text))
    if words - folded > most_words:
        problems.append(f"{words - folded} visible words; {most_words} at most")
    most = max(2000, most_words + 500)
    if words > most:
        problems.append(f"{words} words with those that are folded; {most:,} at most")
    shown = [cell for cell in code_cells(notebook) if is_visible(cell)]
    lengths = sorted(source(cell).strip().count("\n") + 1 for cell in shown)
    if len(shown) > most_cells:
        problems.append(f"{len(shown)} visible code cells; {most_cells} at most")
    if lengths and median(lengths) > 6:
        problems.append(f"visible cells have {median(lengths)} lines in the middle")
    if lengths and lengths[int(0.9 * (len(lengths) - 1))] > 16:
        problems.append("more than a tenth of the visible cells is over 16 lines long")
    problems += [
        f"a line of {len(line)} columns: {line[:40]} …"
        for cell in code_cells(notebook)
        for line in source(cell).splitlines()
        if len(line) > 88
    ]
    problems += [
        f"{word[0]!r} is not our word"
        for text in texts
        for word in NOT_OUR_WORDS.finditer(text)
    ]
    return problems


def names_bound(cell):
    """What a cell defines or assigns, within its functions as well."""
    names = set()
    for node in ast.walk(parse(source(cell))):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return names


def folding_problems(notebook):
    """Cells that a page or Colab would not fold, and solutions that overwrite."""
    problems = []
    for before, cell in itertools.pairwise(code_cells(notebook)):
        text, place = source(cell), source(cell).splitlines()[0]
        if tags(cell) & {"hide-input", "hide-cell"}:
            # `make sync` writes the text of a module's cell.
            if not text.startswith("# @title ") and not sync.names(cell):
                problems.append(f"a folded cell must begin with # @title: {place}")
            if cell["metadata"].get("cellView") != "form":
                problems.append(f"Colab does not fold it without cellView: {place}")
            if not cell["metadata"].get("jupyter", {}).get("source_hidden"):
                problems.append(f"JupyterLab does not fold it: {place}")
        if "solution" in tags(cell):
            if "..." not in source(before):
                problems.append(f"no scaffold stands before a solution: {place}")
            shared = names_bound(before) & names_bound(cell)
            if shared:
                problems.append(f"a solution overwrites the reader's {shared}")
        shows_digits = re.search(r"imshow\(|show_(images|receptive_fields)\(", text)
        image = cell["metadata"].get("mystnb", {}).get("image", {})
        drawn = any("image/png" in output.get("data", {}) for output in cell["outputs"])
        if shows_digits and drawn and "photo" not in image.get("classes", ""):
            problems.append(f'it shows digits, so classes must be "photo": {place}')
    return problems


@pytest.mark.parametrize("name", FOR_READING)
def test_a_chapter_is_for_reading(name):
    notebook = read(ROOT / "chapters" / f"{name}.ipynb")
    problems = reading_problems(notebook, FOR_READING[name], MOST_CELLS.get(name, 25))
    assert not problems + folding_problems(notebook)


@pytest.mark.parametrize("name", FOR_READING)
def test_the_body_ends_in_claims_that_hold(name):
    body = part(read(ROOT / "chapters" / f"{name}.ipynb")["cells"], "body")
    last = body[-1]
    assert "check_claims(" in source(last) and "hide-cell" in tags(last)
    (output,) = last["outputs"]
    text = "".join(output["data"]["text/plain"])
    assert text.count("✓") > 3 and "differs" not in text


@pytest.mark.parametrize("name", [n for n in FOR_READING if "02" <= n < "06"])
def test_a_chapter_has_one_live_view(name):
    cells = code_cells(read(ROOT / "chapters" / f"{name}.ipynb"))
    live = [cell for cell in cells if "@interact" in source(cell)]
    assert len(live) == 1 and "remove-output" in tags(live[0])
    if name >= "03":
        found = [
            h
            for _, h in headings(read(ROOT / "chapters" / f"{name}.ipynb")["cells"], 2)
        ]
        assert "Your version against the book's" in found
        assert any("compare(" in source(cell) for cell in cells)


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


def test_reading_check():
    assert not reading_problems(whole_chapter(), 100)
    wordy = cell(
        "word " * 120 + "\n<details>" + "word " * 60 + "</details>", "markdown"
    )
    long = cell("x = 1\n" * 20)
    for extra, problem in (
        ([wordy], "visible words; 100 at most"),
        ([cell("word " * 2001, "markdown")], "2,000 at most"),
        ([long] * 3, "lines in the middle"),
        ([long] * 3 + [cell("x = 1")] * 9, "over 16 lines"),
        ([cell("x = 1")] * 30, "visible code cells"),
        ([cell("x = " + "1" * 90)], "columns"),
        ([cell("A truth and two lies", "markdown")], "'lies' is not our word"),
    ):
        book = {"cells": whole_chapter()["cells"] + extra}
        assert any(problem in p for p in reading_problems(book, 100)), problem
    folded = cell(long["source"], "code", "hide-input")
    assert not reading_problems({"cells": [folded] * 9}, 100)


def test_folding_check():
    scaffold = cell("mine = ...", outputs=[])
    good = cell("# @title Solution\nx = 1", "code", "hide-cell", "solution", outputs=[])
    good["metadata"] |= {"cellView": "form", "jupyter": {"source_hidden": True}}
    assert not folding_problems({"cells": [scaffold, good]})
    for text, problem in (
        ("x = 1", "# @title"),
        ("# @title Solution\nmine = 1", "overwrites"),
        ("# @title Solution\ndef mine():\n    pass", "overwrites"),
    ):
        bad = {**good, "source": text}
        (found,) = folding_problems({"cells": [scaffold, bad]})
        assert problem in found
    assert folding_problems({"cells": [cell("x = 1", outputs=[]), good]})
    for text in ("# @title Solution\nplots.show_images(x)",):
        drawn = [{"output_type": "display_data", "data": {"image/png": "iVBO"}}]
        bad = {**good, "source": text, "outputs": drawn}
        assert "photo" in folding_problems({"cells": [scaffold, bad]})[0]


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
