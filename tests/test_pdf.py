"""The PDF of the book: of a tiny one, made here, and of the whole one where `make pdf` has made it."""

import itertools
import re

import pikepdf
import pytest
from playwright.sync_api import sync_playwright
from pypdfium2 import PdfDocument

from tests.browser.conftest import CHROMIUM, skip_or_fail
from tools import paper, pdf
from tools.chapters import ROOT
from tools.toc import read_config, read_parts

WHOLE = ROOT / "_build" / "html" / pdf.NAME
A4 = (595, 842)
MARGIN = 55  # points: 20 mm, less what a letter's box may have too much
TOC = """format: jb-book
root: index
parts:
  - caption: "Part 1: Beginnings"
    chapters: [{file: chapters/first}, {file: chapters/second}]
"""
CONFIG = """title: A Tiny Book
author: Nobody
copyright: "2026"
logo: logo.svg
html: {baseurl: "https://example.org/tiny/"}
"""
LOGO = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" height="9"/></svg>'
MATHJAX = '<script>window.MathJax = {"startup": {}}</script>'
PAGE = '<!doctype html><html lang="en"><head>{}</head><body><main><article class="bd-article"><section id="{}">{}</section></article></main></body></html>'
HIDE = '<details class="admonition hide {}"><summary><p class="collapsed">{}</p><p class="expanded">Hide code cell</p></summary>{}</details>'
INPUT = '<div class="cell_input"><pre>{}</pre></div>'
OUTPUT = '<div class="cell_output"><pre>{}</pre></div>'
FIRST = (
    '<h1>1. First<a class="headerlink" href="#first">#</a></h1><p>See <a href="second.html#end">the end</a>, '
    '<a href="../index.html">the start</a>, <a href="../_modules/x.html">a source</a>, '
    '<a href="second.html?data=xor">this setting</a>, <a href="#data=moons&amp;lr=1">that setting</a> and <a href="https://example.com/">another host</a>.</p>'
    '<section id="guess"><h2>A guess</h2><div class="cell tag_hide-output">'
    + INPUT.format("guess()")
    + HIDE.format("below-input", "Show code cell output", OUTPUT.format("forty-two"))
    + "</div><details><summary>The answer</summary><p>Because of six by nine.</p></details>"
    "<details><summary>Why guess?</summary><p>To think first.</p></details></section>"
    '<div class="cell tag_hide-input tag_module:layer">'
    + HIDE.format(
        "above-input", "Show code cell source", INPUT.format("def layer(): ...")
    )
    + '</div><div class="cell tag_hide-input">'
    + HIDE.format(
        "above-input",
        "Show code cell source",
        INPUT.format("# @title A plot { x }\ndraw()"),
    )
    + OUTPUT.format("the plot")
    + "</div><details><summary>All tries</summary><table><tr><td>a try</td></tr></table></details><div>"
    + '</div><div class="cell tag_hide-input">'
    + HIDE.format(
        "above-input",
        "Show code cell source",
        INPUT.format("# @title A helper\ndef helper(): ..."),
    )
    + "</div>"
)
SECOND = (
    "<h1>2. Second</h1>"
    + "<p>Filler text for some pages.</p>" * 120
    + '<div class="ff-draw"><p>Only when served</p></div><script type="module" src="draw.mjs"></script>'
    '<figure class="ff-flipbook">'
    + "".join(
        f'<img alt="frame {n}" data-caption="frame number {n}" hidden src="../logo.svg">'
        for n in range(5)
    )
    + '<button>Play</button></figure><h2 id="end">The end</h2><p>'
    '<strong>Which one?</strong></p><details class="ff-quiz"><summary>This.</summary><p>No.</p></details>'
    '<details class="ff-quiz"><summary>That.</summary><p>Yes, that one.</p></details>'
    f"<pre>{'x' * 400}</pre><table><tr>{'<td>wide</td>' * 40}</tr></table>"
)


def write_book(root, first=FIRST, second=SECOND, head=""):
    """A book of three pages as if Jupyter Book had rendered them into root/html."""
    html = root / "html"
    (html / "chapters").mkdir(parents=True)
    (root / "_toc.yml").write_text(TOC)
    (root / "_config.yml").write_text(CONFIG)
    (html / "logo.svg").write_text(LOGO)
    start = '<h1>A Tiny Book</h1><p>Learn by <a href="chapters/first.html#guess">guessing</a>.</p>'
    for name, text in (
        ("index", start),
        ("chapters/first", first),
        ("chapters/second", second),
    ):
        (html / f"{name}.html").write_text(
            PAGE.format(head, name.rpartition("/")[2], text)
        )
    return html


def compose(root, html):
    pages = paper.read_pages(html, root)
    pictures = {
        (
            "chapters/second",
            ".ff-draw",
        ): "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/%3E"
    }
    return paper.compose(pages, read_config(root), pictures)


@pytest.fixture
def document(tmp_path):
    text, _ = compose(tmp_path, write_book(tmp_path))
    return paper.BeautifulSoup(text, "html.parser")


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        skip_or_fail("no Chromium found: install chromium to test the PDF")
    with sync_playwright() as playwright:
        started = pdf.start_chromium(playwright)
        yield started
        started.close()


def print_book(browser, root, html):
    text, entries = compose(root, html)
    draft, target = root / "draft.pdf", root / pdf.NAME
    places = pdf.print_document(browser, html, text, draft)
    pdf.finish(draft, target, entries, places, read_config(root))
    return target


def test_page_numbers_are_filled_in_until_they_stay(browser, tmp_path, monkeypatch):
    html = write_book(tmp_path)
    text, _ = compose(tmp_path, html)

    def printed(prints):
        monkeypatch.setattr(pdf, "print_tab", lambda tab, path: next(prints))
        return pdf.print_document(browser, html, text, tmp_path / "draft.pdf")

    first, second, last = ({"a": place} for place in ((1, 9.0), (2, 9.0), (2, 8.0)))
    assert printed(iter([first, second, last])) == last
    with pytest.raises(ValueError, match="page numbers move"):
        printed(itertools.cycle([first, second]))


# ---- The document


def test_links_stay_in_the_document_where_they_can(document):
    links = {
        link.get_text(): link["href"] for link in document.select("#chapters-first a")
    }
    assert links["the end"] == "#chapters-second--end"
    assert links["the start"] == "#index"
    assert links["a source"] == "https://example.org/tiny/_modules/x.html"
    assert (
        links["this setting"]
        == "https://example.org/tiny/chapters/second.html?data=xor"
    )
    assert (
        links["that setting"]
        == "https://example.org/tiny/chapters/first.html#data=moons&lr=1"
    )
    assert links["another host"] == "https://example.com/"


def test_a_link_to_no_place_is_an_error_with_both_pages(tmp_path):
    html = write_book(tmp_path, first=FIRST.replace("#end", "#nowhere"))
    with pytest.raises(
        ValueError,
        match=r"chapters/first links to second.html#nowhere, and chapters/second has no",
    ):
        compose(tmp_path, html)


def test_an_answer_stands_at_the_end_and_its_place_says_where(document):
    chapter, answers = (
        document.select_one("#chapters-first"),
        document.select_one("#answers"),
    )
    assert (
        "forty-two" not in chapter.get_text()
        and "six by nine" not in chapter.get_text()
    )
    assert "guess()" in chapter.get_text()
    turns = chapter.select(".ff-turn")
    assert [turn.get_text() for turn in turns] == [
        "Answer 1 is on page 000"
    ]  # the output and its reason are one
    found = answers.find(id=turns[0].a["href"][1:])
    assert found.select_one("a")["href"] == f"#{turns[0]['id']}"
    assert "A guess" in found.get_text()
    assert [
        a.get_text(strip=True) for a in found.find_next_siblings(class_="ff-answer")[:2]
    ] == ["forty-two", "Because of six by nine."]


def test_a_quiz_keeps_its_options_and_not_its_verdicts(document):
    chapter, answers = (
        document.select_one("#chapters-second"),
        document.select_one("#answers"),
    )
    assert [one.get_text() for one in chapter.select(".ff-option")] == [
        "This.",
        "That.",
    ]
    assert (
        "Yes, that one." not in chapter.get_text()
        and "Yes, that one." in answers.get_text()
    )
    assert len(chapter.select(".ff-turn")) == 1


def test_only_long_code_may_break_and_titles_for_colab_go():
    lines = "\n".join(f"line({n})" for n in range(paper.MAY_BREAK + 2))
    place = paper.element(
        f'<div><pre>{lines}</pre><pre>short()</pre><pre><span class="c1"># @title Solution</span>\nx = 1\n</pre></div>'
    )
    paper.set_code(place)
    long, short, titled = place.select("pre")
    assert long["class"] == "ff-long" and "class" not in short.attrs
    assert titled.get_text() == "x = 1\n"


def test_what_is_folded_is_opened_named_or_left_out(document):
    chapter = document.select_one("#chapters-first")
    text = chapter.get_text()
    assert "To think first." in text and "Why guess?" in text
    assert "def layer()" in text
    assert "draw()" not in text and "the plot" in text
    assert "def helper" not in text and "a try" not in text
    assert [one.get_text() for one in chapter.select(".ff-folded")] == [
        "On the web: All tries",
        "In the notebook: A helper",
    ]
    assert not document.select("details, script[type=module], button, .headerlink")


def test_an_exhibit_is_a_picture_with_its_address(document):
    exhibit = document.select_one(".ff-exhibit")
    assert exhibit.img["src"].startswith("data:image/")
    assert "https://example.org/tiny/chapters/second.html" in exhibit.get_text()
    assert "Only when served" not in document.get_text()


def test_an_exhibit_that_nobody_can_photograph_is_an_error(tmp_path):
    html = write_book(tmp_path, second=SECOND.replace("ff-draw", "ff-new"))
    with pytest.raises(
        ValueError, match="chapters/second runs a script for none of .ff-draw"
    ):
        compose(tmp_path, html)


def test_a_flipbook_shows_its_first_middle_and_last_frame(document):
    frames = document.select(".ff-flipbook img")
    assert [frame["alt"] for frame in frames] == ["frame 0", "frame 2", "frame 4"]
    assert not [frame for frame in frames if "hidden" in frame.attrs]
    assert [one.get_text() for one in document.select(".ff-flipbook figcaption")] == [
        f"frame number {n}" for n in (0, 2, 4)
    ]


def test_anchors_are_unique_and_the_contents_name_every_chapter(document):
    ids = [tagged["id"] for tagged in document.find_all(id=True)]
    assert len(ids) == len(set(ids))
    lines = [line.get_text() for line in document.select("#contents p")]
    assert lines == [
        "A Tiny Book000", "Part 1: Beginnings", "1. First000", "A guess000", "2. Second000", "The end000", "Answers000",
    ]  # fmt: skip


def test_a_page_that_was_not_rendered_is_named(tmp_path):
    html = write_book(tmp_path)
    (html / "chapters" / "second.html").unlink()
    with pytest.raises(
        FileNotFoundError, match="second.html is missing: run make book first"
    ):
        paper.read_pages(html, tmp_path)


# ---- The PDF


def squeezed(text):
    return re.sub(r"[\s\x02\ufffe]+", "", text)


class Printed:
    """A PDF as a reader sees it."""

    def __init__(self, path):
        self.path = path
        self.document = PdfDocument(path)
        self.pages = list(self.document)
        self.texts = [page.get_textpage().get_text_range() for page in self.pages]
        self.outline = [
            (mark.level, mark.get_title(), mark.get_dest().get_index() + 1)
            for mark in self.document.get_toc(max_depth=9)
        ]

    def broken_links(self):
        """The places that a link leads to and that do not exist; there must be some links."""
        with pikepdf.open(self.path) as pdf:
            places = set(pdf.Root.Dests.keys())
            notes = [note for page in pdf.pages for note in page.get("/Annots", [])]
            inner = [str(note.Dest) for note in notes if "/Dest" in note]
            assert inner
            return set(inner) - places

    def outside(self):
        """Letters that reach into the margins of the paper: what is cut off would."""
        found = []
        for number, page in enumerate(self.pages, 1):
            text, right = page.get_textpage(), page.get_width() - MARGIN
            for place in range(text.count_chars()):
                box = text.get_charbox(place)
                said = text.get_text_range(place, 20)
                # A wide brace is made of pieces, which have no letter of their own and are cut to fit.
                piece = "\ue000" <= said[:1] <= "\uf8ff"
                inside = box[0] > MARGIN and box[2] < right
                if box[2] > box[0] and not inside and not piece:
                    found.append((number, said))
        return found


def check(printed, root, html):
    """What holds for every book: its paper, page numbers, links, outline and contents."""
    for number, (page, text) in enumerate(
        zip(printed.pages, printed.texts, strict=True), 1
    ):
        assert tuple(sorted(map(round, page.get_size()))) == A4
        assert text.strip(), f"page {number} is empty"
        assert number == 1 or re.search(rf"^{number}\s*$", text, re.MULTILINE), (
            f"page {number} does not say so"
        )
    assert not printed.broken_links()
    titles = [page.title.rstrip("#") for page in paper.read_pages(html, root)]
    assert [title for _, title, _ in printed.outline if title in titles] == titles
    first = next(page for _, title, page in printed.outline if title == titles[0])
    contents = squeezed("".join(printed.texts[1 : first - 1]))
    captions = {part.caption for part in read_parts(root)}
    for _, title, page in printed.outline:
        assert squeezed(title) in squeezed(printed.texts[page - 1]), (
            f"{title} is not on page {page}"
        )
        if title not in captions:
            assert squeezed(f"{title}{page}") in contents, (
                f"the contents do not say {title}, page {page}"
            )
    for said, page in re.findall(
        r"Answer (\d+) is on page (\d+)", " ".join(printed.texts)
    ):
        assert f"Answer {said}" in printed.texts[int(page) - 1]


def test_a_tiny_book_is_printed(browser, tmp_path):
    html = write_book(tmp_path)
    printed = Printed(print_book(browser, tmp_path, html))
    check(printed, tmp_path, html)
    assert not printed.outside()
    assert [(level, title) for level, title, _ in printed.outline] == [
        (0, "A Tiny Book"), (0, "Part 1: Beginnings"), (1, "1. First"), (2, "A guess"), (1, "2. Second"), (2, "The end"), (0, "Answers"),
    ]  # fmt: skip
    assert printed.document.get_metadata_value("Title") == "A Tiny Book"
    text = squeezed("".join(printed.texts))
    assert "x" * 400 in text and text.count("wide") == 40


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ('<img src="missing.png" alt="">', "an image is missing: .*missing.png"),
        (
            '<div style="width: 900px">a board</div>',
            "too wide: chapters-first: a board",
        ),
        (
            '<pre style="white-space: pre !important; overflow: hidden !important">'
            + "y" * 200
            + "</pre>",
            "clipped: chapters-first: yyy",
        ),
        (r'<p class="math">\(x^2\)</p>', "a formula was not set: chapters-first"),
        (
            '<h2 style="display: none">Gone</h2>',
            "a heading is hidden: chapters-first: Gone",
        ),
    ],
)
def test_what_is_not_fit_to_print_is_not_printed(browser, tmp_path, body, message):
    html = write_book(tmp_path, first=FIRST + body)
    with pytest.raises(ValueError, match=message):
        print_book(browser, tmp_path, html)


def test_no_other_host_is_asked(browser, tmp_path):
    html = write_book(
        tmp_path, first=FIRST + '<img src="https://example.com/x.png" alt="">'
    )
    with pytest.raises(
        ValueError, match="an image is missing: https://example.com/x.png"
    ):
        print_book(browser, tmp_path, html)


# ---- The whole book


@pytest.fixture(scope="module")
def whole():
    if not WHOLE.is_file():
        skip_or_fail("no PDF in _build/html: run make pdf first")
    return Printed(WHOLE)


def test_the_whole_book_holds_together(whole):
    check(whole, ROOT, WHOLE.parent)


def test_nothing_is_cut_off(whole):
    assert not whole.outside()


def test_it_is_of_a_size_to_send(whole):
    pages = sum(len(part.pages) for part in read_parts())
    assert 4 * pages < len(whole.pages) < 20 * pages
    assert WHOLE.stat().st_size < 25e6


def test_it_has_mathematics_and_waits_for_nothing(whole):
    text = "".join(whole.texts)
    assert not re.search(r"Loading ?…|once the page is served|\\\(|\\\[", text)
    assert text.count("∑") > 5
