"""The book's rendered pages as one HTML document for paper, which tools/pdf.py prints.

What a reader does with a click is done here: asides are opened, answers move to the end of the book, code that is folded
in the page is left out or named, and every link within the book leads to a place in the document.
"""

import html
import posixpath
import re
import sys
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urljoin, urlsplit

from bs4 import BeautifulSoup, Tag

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tools.toc import read_parts

STYLES = Path(__file__).with_suffix(".css")
# The address of the rendered pages and of the document, for the browser that prints it and for nobody else.
SITE = "http://book.invalid/"
# What works with a mouse, or on the web alone.
CLICKED = "script, link, button, input, output, label, a.headerlink, .viewcode-link, .viewcode-back, .ff-links"
# What a fold says where its author chose no words.
NO_WORDS = re.compile(r"(Show|Hide) code cell \w+")
# Sections that every chapter has: a table of contents is better without them.
ROUTINE = {"Check yourself", "Summary", "Next", "References"}
ANSWERS = re.compile(r"(the )?answers?\b", re.IGNORECASE)
# What has tables that need the paper on its side.
WIDE = ".ff-results"
# Code or output of more lines may begin on one page and end on the next.
MAY_BREAK = 32
# Live exhibits: what stands in a page for each, and what replaces it.
EXHIBITS = (".ff-draw", ".ff-playground")
ABOUT = """
<section class="ff-page" id="about-this-pdf"><h1>About this PDF</h1>
<p>These are the pages of <a href="{url}">{url}</a>, made for paper. What moves or can be clicked there is different here:</p>
<ul>
<li>Answers and solutions stand <a href="#answers">at the end</a>, and so does the output of a cell before which you are
asked to predict it. The place says which answer is whose, and on which page it is.</li>
<li>Code that only draws a figure or fills a table is left out, and so is code that only checks. A line in grey says what
a notebook defines there. The definitions of the algorithm are all here. So are all results, but not every try that led
to a setting.</li>
<li>Exhibits that run in the page are pictures with an address. Of a flipbook three frames are shown.</li>
</ul>
<p>Every chapter begins with its address, where its notebook can be run.</p></section>
"""


class Page(NamedTuple):
    name: str  # "chapters/00_one_page"
    part: str  # the caption of the part that begins with it, or nothing
    soup: BeautifulSoup

    @property
    def article(self) -> Tag:
        return self.soup.select_one("article.bd-article")

    @property
    def key(self) -> str:
        """The page's anchor, and how the anchors within it begin."""
        return self.name.replace("/", "-")

    @property
    def title(self) -> str:
        return self.article.h1.get_text().strip()


class Answer(NamedTuple):
    key: str  # its anchor
    place: str  # the heading that it belongs under
    content: list[Tag]


def read_pages(folder: Path, root: Path) -> list[Page]:
    """The pages of _toc.yml as they were rendered into the folder, in reading order.

    Raises:
        FileNotFoundError: where one was not rendered.
    """
    pages = []
    for part in read_parts(root):
        for name in part.pages:
            path = folder / f"{name}.html"
            if not path.is_file():
                raise FileNotFoundError(f"{path} is missing: run make book first")
            caption = part.caption if name == part.pages[0] else ""
            soup = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
            pages.append(Page(name, caption, soup))
    return pages


def element(markup: str) -> Tag:
    return BeautifulSoup(markup, "html.parser").find()


def paged_link(key: str, text: str) -> str:
    """A link that says its page, which the first print finds out."""
    return f'<a class="ff-paged" href="#{key}">{text}<span class="ff-number">000</span></a>'


# ---- What needs a click


def words_of(fold: Tag) -> str:
    """What a closed fold says: its author's words, or the `# @title` of its code."""
    summary = fold.summary.select_one(".collapsed") or fold.summary
    said = summary.get_text(" ", strip=True)
    if not NO_WORDS.match(said):
        return said
    titled = re.match(r"\s*# @title ([^{\n]+)", fold.pre.get_text() if fold.pre else "")
    return titled[1].strip() if titled else ""


def is_answer(fold: Tag) -> bool:
    """Whether a fold holds what the reader should find out first."""
    cell = fold.find_parent(class_="cell")
    if cell is None:
        return "ff-quiz" in fold.get("class", []) or bool(ANSWERS.match(words_of(fold)))
    return "tag_solution" in cell["class"] or "below-input" in fold["class"]


def heading_above(place: Tag) -> str:
    heading = place.find_previous(["h1", "h2", "h3"])
    return heading.get_text().strip() if heading else ""


def stands_before(pointer: Tag, fold: Tag) -> bool:
    """Whether only the border of a cell is between them."""
    before = fold.find_previous_sibling()
    if before is not None and "cell" in before.get("class", []):
        before = before.find_all(True, recursive=False)[-1]
    return before is pointer


def move_answers(page: Page) -> list[Answer]:
    """Take the answers out of a page, and leave at each place where it went.

    Several folds in a row, such as the output of a cell and what it means, are one answer.
    """
    answers, pointer = [], None
    for fold in [fold for fold in page.article.select("details") if is_answer(fold)]:
        said = words_of(fold)
        fold.summary.extract()
        cell = "cell " if fold.find_parent(class_="cell") else ""
        content = element(f'<div class="{cell}ff-answer"></div>')
        if pointer is None or not stands_before(pointer, fold):
            number = len(answers) + 1
            key = f"{page.key}--answer-{number}"
            answers.append(Answer(key, heading_above(fold), []))
            pointer = element(
                f'<p class="ff-turn" id="{key}-place">{paged_link(key, f"Answer {number} is on page ")}</p>'
            )
        if "ff-quiz" in fold.get("class", []):
            fold.insert_before(element(f'<p class="ff-option">{html.escape(said)}</p>'))
            content["class"] = "ff-verdict"
            content.append(element(f"<p><strong>{html.escape(said)}</strong></p>"))
        fold.insert_before(pointer)
        fold.extract()
        content.extend(list(fold.contents))
        answers[-1].content.append(content)
    return answers


def unfold(page: Page, url: str) -> None:
    """Open what is folded in a page, or leave it out."""
    for fold in page.article.select("details"):
        said, cell = html.escape(words_of(fold)), fold.find_parent(class_="cell")
        defines = cell is not None and any(
            "tag_module" in name for name in cell["class"]
        )
        if (
            cell is None and fold.table
        ):  # long lists of tries, which nobody wants on paper
            fold.replace_with(
                element(
                    f'<p class="ff-folded">On the web: <a href="{url}{page.name}.html">{said}</a></p>'
                )
            )
        elif cell is None or defines:
            title = f'<p class="ff-aside-title">{said}</p>' if said else ""
            inner = f'<div class="{"" if defines else "ff-aside"}">{title}</div>'
            opened = element(inner)
            fold.summary.extract()
            fold.replace_with(opened)
            opened.extend(list(fold.contents))
        elif said and cell.select_one(":scope > .cell_output") is None:
            fold.replace_with(
                element(f'<p class="ff-folded">In the notebook: {said}</p>')
            )
        else:
            fold.decompose()


def set_code(place: Tag) -> None:
    """Say what code may break over two pages, and leave out its `# @title`, which is for Colab."""
    for code in place.select("pre"):
        if code.get_text().count("\n") > MAY_BREAK:
            code["class"] = "ff-long"
        comment = code.select_one(".c1")
        if comment is not None and comment.get_text().startswith("# @title"):
            code.replace_with(element(str(code).replace(f"{comment}\n", "", 1)))


def lay_out_flipbooks(page: Page) -> None:
    """Show the first frame, the one in the middle and the last, with what the slider says of each."""
    for book in page.article.select("figure.ff-flipbook"):
        frames = book.select("img")
        shown = {0, len(frames) // 2, len(frames) - 1}
        for number, frame in enumerate(frames):
            del frame["hidden"]
            if number in shown:
                caption = element(
                    f"<figcaption>{html.escape(frame['data-caption'])}</figcaption>"
                )
                frame.insert_after(caption)
            else:
                frame.decompose()


def replace_exhibits(
    page: Page, url: str, pictures: dict[tuple[str, str], str]
) -> None:
    """Put a picture and an address where a live exhibit stands.

    Args:
        pictures: for a page and an exhibit, the address of its picture

    Raises:
        ValueError: where a page has a script of its own and no known exhibit.
    """
    found = [one for name in EXHIBITS for one in page.article.select(name)]
    if page.article.select("script[type=module]") and not found:
        raise ValueError(
            f"{page.name} runs a script for none of {', '.join(EXHIBITS)}: add its exhibit to EXHIBITS"
        )
    for name in EXHIBITS:
        for exhibit in page.article.select(name):
            picture = pictures[page.name, name]
            exhibit.replace_with(
                element(
                    f'<figure class="ff-exhibit"><img src="{picture}" alt="The exhibit, in use">'
                    f'<figcaption>This runs in the page: <a href="{url}">{url}</a></figcaption></figure>'
                )
            )


# ---- Links


def is_place(target: str, page: Page) -> bool:
    return not target or page.soup.find(id=target) is not None


def rename_anchors(page: Page) -> None:
    """Make the anchors of a page unlike those of every other page."""
    for tagged in page.article.find_all(id=True):
        tagged["id"] = f"{page.key}--{tagged['id']}"
    for tagged in page.article.find_all(True):
        for name in ("aria-labelledby", "aria-describedby"):
            if name in tagged.attrs:
                tagged[name] = " ".join(
                    f"{page.key}--{one}" for one in tagged[name].split()
                )
        for name, value in tagged.attrs.items():
            if isinstance(value, str) and "url(#" in value:
                tagged[name] = value.replace("url(#", f"url(#{page.key}--")


def lead(link: str, page: Page, pages: dict[str, Page], url: str) -> str:
    """Where a link of a page leads in the document: to a place in it, or to the web.

    Raises:
        ValueError: where the page that it names has no such anchor.
    """
    here = f"{SITE}{page.name}.html"
    whole = urljoin(here, link)
    if not whole.startswith(SITE):
        return link
    path, query, anchor = (
        urlsplit(whole).path[1:],
        urlsplit(whole).query,
        unquote(urlsplit(whole).fragment),
    )
    target = pages.get(posixpath.splitext(path)[0])
    if (
        target is None or query or "=" in anchor
    ):  # no chapter, or the settings of an exhibit
        return url + whole.removeprefix(SITE)
    if not is_place(f"{target.key}--{anchor}" if anchor else "", target):
        raise ValueError(
            f"{page.name} links to {link}, and {target.name} has no such place"
        )
    return f"#{target.key}--{anchor}" if anchor else f"#{target.key}"


def relink(pages: list[Page], url: str) -> None:
    """Turn every address in the pages into one that is right in the document."""
    known = {page.name: page for page in pages}
    for page in pages:
        for linked in page.article.select("a[href]"):
            linked["href"] = lead(linked["href"], page, known, url)
        for shown in page.article.select("[src]"):
            shown["src"] = urljoin(f"{SITE}{page.name}.html", shown["src"])


# ---- The document


def css_string(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def running_heads(pages: list[Page]) -> str:
    """The paper of each chapter: its title stands at the top, and wide tables have it on its side."""
    rules = [
        '@page answers { @top-left { content: "Answers"; } } #answers { page: answers; }'
    ]
    for number, page in enumerate(pages):
        size = "size: A4 landscape;" if page.article.select_one(WIDE) else ""
        rules.append(
            f"@page chapter-{number} {{ {size} @top-left {{ content: {css_string(page.title)}; }} }}"
            f"#{page.key} {{ page: chapter-{number}; }}"
        )
    return "\n".join(rules)


def section(page: Page, url: str) -> str:
    """A page as a chapter: its part, its title, where it is on the web, and the rest."""
    address = f"{url}{page.name}.html".removesuffix("index.html")
    page.article.h1.insert_after(
        element(f'<p class="ff-online"><a href="{address}">{address}</a></p>')
    )
    part = f'<p class="ff-part">{html.escape(page.part)}</p>' if page.part else ""
    return f'<article class="bd-article" id="{page.key}">{part}{page.article.decode_contents()}</article>'


def answers_section(pages: list[Page], answers: dict[str, list[Answer]]) -> str:
    """All answers, chapter by chapter; each says whose it is."""
    out = ["<h1>Answers</h1>"]
    for page in pages:
        if answers[page.name]:
            out.append(f'<h2 id="{page.key}--answers">{html.escape(page.title)}</h2>')
        for number, (key, place, content) in enumerate(answers[page.name], 1):
            back = paged_link(f"{key}-place", f"{html.escape(place)}, page ")
            out.append(f'<h3 id="{key}">Answer {number} <span>{back}</span></h3>')
            out.extend(str(one) for one in content)
    return f'<article class="bd-article" id="answers">{"".join(out)}</article>'


class Entry(NamedTuple):
    level: int  # 0 for a part, 1 for a chapter, 2 for a section
    title: str
    key: str  # where it begins


def list_entries(pages: list[Page], answers: dict[str, list[Answer]]) -> list[Entry]:
    """The table of contents. Call it when the anchors have their names in the document."""
    entries = []
    for page in pages:
        if page.part:
            entries.append(Entry(0, page.part, page.key))
        entries.append(Entry(1, page.title, page.key))
        for heading in page.article.select("h2"):
            if heading.get_text().strip() in ROUTINE:
                continue
            if not heading.get("id"):  # its section may begin a page earlier
                heading["id"] = f"{heading.find_parent(id=True)['id']}--heading"
            entries.append(Entry(2, heading.get_text().strip(), heading["id"]))
    if any(answers.values()):
        entries.append(Entry(0, "Answers", "answers"))
    return entries


def contents(entries: list[Entry]) -> str:
    lines = [
        f'<p class="ff-level-{level}">{html.escape(title) if level == 0 and key != "answers" else paged_link(key, f"<span>{html.escape(title)}</span>")}</p>'
        for level, title, key in entries
    ]
    return f'<nav class="ff-page" id="contents"><h1>Contents</h1>{"".join(lines)}</nav>'


def cover(config: dict, promise: str) -> str:
    url, logo = config["html"]["baseurl"], urljoin(SITE, config["logo"])
    return f"""<section class="ff-page" id="cover"><img src="{logo}" alt="">
<h1>{html.escape(config["title"])}</h1>
<p class="ff-lead">{html.escape(promise)}</p>
<p>{html.escape(config["author"])}, {html.escape(str(config["copyright"]))}</p>
<p><a href="{url}">{url}</a></p>
<p>Code: MIT. Text and figures: CC BY 4.0.</p></section>"""


def head_of(pages: list[Page]) -> str:
    """The style sheets of the pages, and the script for their mathematics, from the root of the book."""
    styles, scripts = [], []
    for page in pages:
        here = f"{SITE}{page.name}.html"
        for sheet in page.soup.select("link[rel=stylesheet]"):
            styles.append(
                f'<link rel="stylesheet" href="{urljoin(here, sheet["href"])}">'
            )
        for script in page.soup.head.select("script"):
            if script.get("src") and "mathjax" in script["src"]:
                scripts.append(
                    f'<script defer src="{urljoin(here, script["src"])}"></script>'
                )
            elif "window.MathJax" in script.get_text():
                scripts.append(str(script))
    return "\n".join([*dict.fromkeys(styles), *dict.fromkeys(scripts)])


def compose(
    pages: list[Page], config: dict, pictures: dict[tuple[str, str], str]
) -> tuple[str, list[Entry]]:
    """The whole book as one document, and its table of contents. The pages are used up."""
    url = config["html"]["baseurl"]
    head, promise = head_of(pages), pages[0].article.p.get_text().strip()
    answers = {}
    for page in pages:
        replace_exhibits(page, f"{url}{page.name}.html", pictures)
        for clicked in page.article.select(CLICKED):
            clicked.decompose()
        for frame in page.article.select("a.image-reference"):
            frame.unwrap()
        lay_out_flipbooks(page)
        rename_anchors(page)
    relink(pages, url)
    for page in pages:
        answers[page.name] = move_answers(page)
        unfold(page, url)
        for place in [
            page.article,
            *(one for answer in answers[page.name] for one in answer.content),
        ]:
            set_code(place)
    entries = list_entries(pages, answers)
    body = [cover(config, promise), contents(entries), ABOUT.format(url=url)]
    body += [section(page, url) for page in pages]
    body.append(answers_section(pages, answers) if any(answers.values()) else "")
    document = f"""<!DOCTYPE html>
<html lang="en" data-theme="light" data-mode="light"><head><meta charset="utf-8">
<title>{html.escape(config["title"])}</title>
{head}
<style>{STYLES.read_text(encoding="utf-8")}
{running_heads(pages)}</style></head>
<body><main class="bd-main"><div class="bd-content"><div class="bd-article-container">
{"".join(body)}
</div></div></main></body></html>"""
    return document, entries
