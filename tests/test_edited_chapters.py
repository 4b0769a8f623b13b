"""A reader's edit never ends in a traceback: chapters run with every value that they offer.

Each line that ends in `# change me: this, that` offers values; the tests run the chapter
with each of them, and with few or more epochs, on a few images.
"""

import ast
import re

import matplotlib
import pytest
from tiny_chapters import run_chapter

from tools.chapters import chapter_files, code_cells, read, source

PART_1 = [path for path in chapter_files() if "01" <= path.stem[:2] <= "05"]
OFFER = re.compile(r"^(\s*(?:return |[\w, ]+ = ))(.+?)(  # change me: )(.+)$", re.M)


def alternatives(line):
    """The values that a line offers, each as code; none where it offers words."""
    try:
        (call,) = ast.parse(f"offered({line})").body
    except SyntaxError:
        return []
    return [ast.unparse(value) for value in call.value.args]


def offers(path):
    """The list of values for each line of a chapter that offers some."""
    lines = [m for cell in code_cells(read(path)) for m in OFFER.finditer(source(cell))]
    return [alternatives(line[4]) for line in lines]


def taking(number):
    """An edit that takes each line's offer of that number, or its last."""

    def take(line):
        values = alternatives(line[4]) or [line[2]]
        return line[1] + values[min(number, len(values) - 1)]

    return lambda text: OFFER.sub(take, text)


@pytest.fixture
def few_images(mnist_of):
    matplotlib.use("agg")
    mnist_of(240)


CASES = [
    (path, number)
    for path in PART_1
    for number in range(max(map(len, offers(path)), default=0))
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "path, number", CASES, ids=lambda value: getattr(value, "stem", value)
)
def test_a_chapter_runs_with_each_value_that_it_offers(path, number, few_images):
    run_chapter(path, taking(number))


HAVE_EPOCHS = [p for p in PART_1 if "EPOCHS" in p.read_text(encoding="utf-8")]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("path", HAVE_EPOCHS, ids=lambda path: path.stem)
@pytest.mark.parametrize("epochs", [1, 2, 5])
def test_a_chapter_runs_with_other_epochs(path, epochs, few_images):
    run_chapter(path, EPOCHS=epochs)


def test_what_is_offered_can_be_read():
    """`change me` without values, or with words for values, could not be tested."""
    for path in PART_1:
        for cell in code_cells(read(path)):
            for line in source(cell).splitlines():
                if "change me" in line:
                    found = OFFER.match(line)
                    assert found and alternatives(found[4]), f"{path.stem}: {line}"
    assert CASES and HAVE_EPOCHS


def test_an_edit_is_made():
    text = "def f(h):\n    return h * h  # change me: abs(h), (h + 1) ** 2\n"
    assert "return (h + 1) ** 2\n" in taking(1)(text)
    assert taking(0)("x, y = 1, 2  # change me: (3, 4)") == "x, y = (3, 4)"
