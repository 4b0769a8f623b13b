"""The zip of figures for teachers."""

import base64
import zipfile

import pytest

from tests.browser.conftest import skip_or_fail
from tools import figures
from tools.chapters import ROOT

DOT = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
)
DRAWING = '<svg xmlns="http://www.w3.org/2000/svg"><title>Two passes</title><desc>Arrows that go up.</desc></svg>'
INLINE = figures.PNG + base64.b64encode(DOT).decode()
PAGE = (
    '<article class="bd-article"><img src="../_images/a.png" alt="A dot."><img src="../_images/b.svg" alt="">'
    f'<img src="{INLINE}" alt="The same dot." hidden></article><img src="../logo.png">'
)


@pytest.fixture
def book(tmp_path):
    """A book of one chapter: a plot, a drawing, and a frame of a flipbook."""
    html = tmp_path / "html"
    for folder in (
        html / "chapters",
        html / "_images",
        tmp_path / "ffutils" / "pictures",
    ):
        folder.mkdir(parents=True)
    (tmp_path / "_toc.yml").write_text(
        "root: index\nparts: [{caption: One, chapters: [{file: chapters/first}]}]\n"
    )
    (tmp_path / "_config.yml").write_text(
        'title: A Tiny Book\nhtml: {baseurl: "https://example.org/tiny/"}\n'
    )
    (tmp_path / "ffutils" / "pictures" / "two.svg").write_text(DRAWING)
    (tmp_path / "LICENSE-TEXT").write_text("CC BY 4.0")
    (html / "index.html").write_text("<p>no figure</p>")
    (html / "chapters" / "first.html").write_text(PAGE)
    (html / "_images" / "a.png").write_bytes(DOT)
    return tmp_path


def test_it_holds_drawings_plots_descriptions_and_the_licence(book):
    with zipfile.ZipFile(figures.make_zip(book / "html", book)) as packed:
        assert packed.namelist() == [
            "drawings/two.svg", "plots/first/01.png", "plots/first/02.png", "figures.md", "LICENSE-TEXT",
        ]  # fmt: skip
        assert (
            packed.read("plots/first/01.png")
            == packed.read("plots/first/02.png")
            == DOT
        )
        listed = packed.read("figures.md").decode()
    for text in (
        "A dot.",
        "The same dot.",
        "Arrows that go up.",
        "https://example.org/tiny/chapters/first.html",
        "CC BY 4.0",
    ):
        assert text in listed


def test_the_same_pages_give_the_same_file(book):
    first = figures.make_zip(book / "html", book).read_bytes()
    assert figures.make_zip(book / "html", book).read_bytes() == first


def test_a_figure_that_nothing_describes_is_named(book):
    page = book / "html" / "chapters" / "first.html"
    page.write_text(PAGE.replace('alt="A dot."', ""))
    with pytest.raises(ValueError, match="plots/first/01.png: expected a text"):
        figures.make_zip(book / "html", book)


def test_the_whole_book_has_all_its_drawings():
    path = ROOT / "_build" / "html" / figures.NAME
    if not path.is_file():
        skip_or_fail("no zip in _build/html: run make figures first")
    with zipfile.ZipFile(path) as packed:
        names = packed.namelist()
    drawn = {
        f"drawings/{one.name}" for one in (ROOT / "ffutils" / "pictures").glob("*.svg")
    }
    assert drawn <= set(names)
    assert len([name for name in names if name.startswith("plots/")]) > 30
    assert path.stat().st_size < 25e6
