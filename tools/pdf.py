"""One PDF of the whole book, made of its rendered pages: python tools/pdf.py [_build/html]

Headless Chromium prints the pages as one document (tools/paper.py), twice: the first print tells on which page everything
is, and the second says so. pikepdf adds the outline and packs the file. Nothing is asked of a network.
"""

import base64
import shutil
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pikepdf
from playwright.sync_api import Browser, Error, Locator, Route, sync_playwright
from playwright.sync_api import Page as Tab

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tools.paper import EXHIBITS, SITE, Entry, Page, compose, read_pages
from tools.toc import ROOT, read_config

NAME = "forward-forward-book.pdf"
DOCUMENT = "whole-book.html"
# A4 less the margins of tools/paper.css, in CSS pixels: so wide is the text.
WIDTH = 643
READY = """async () => {
  await window.MathJax?.startup?.promise;
  await Promise.all([...document.images].map((image) => image.decode().catch(() => {})));
  await document.fonts.ready;
}"""
# What is too wide is made smaller; what may break, such as code, breaks by its style.
SHRINK = """() => {
  for (const wide of document.querySelectorAll("table, mjx-container, svg")) {
    const room = wide.parentElement.getBoundingClientRect().width;
    if (wide.parentElement.closest("table, mjx-container, svg") || !room) continue;
    const excess = Math.max(wide.scrollWidth || 0, wide.getBoundingClientRect().width) / room;
    if (excess > 1) wide.style.zoom = 0.995 / excess;
  }
}"""
PROBLEMS = """() => {
  const name = (one) => `${one.closest("article")?.id}: ${one.textContent.trim().slice(0, 60) || one.currentSrc || one.className}`;
  const found = [], page = document.querySelector(".bd-article-container");
  for (const one of page.querySelectorAll("*")) {
    if (one.tagName === "IMG" && !one.naturalWidth) found.push(`an image is missing: ${one.src}`);
    if (one.tagName === "MJX-MERROR" || one.dataset?.mjxError) found.push(`a formula has an error: ${name(one)}`);
    if (one.matches(".math") && !one.querySelector("mjx-container")) found.push(`a formula was not set: ${name(one)}`);
    if (one.matches("h1, h2, h3") && !one.getClientRects().length) found.push(`a heading is hidden: ${name(one)}`);
    if (one.matches("math *, mjx-container *, svg *") || !one.getClientRects().length) continue;
    const edge = (one.closest("article") ?? page).getBoundingClientRect().right + 1;
    if (one.getBoundingClientRect().right > edge) found.push(`too wide: ${name(one)}`);
    if (getComputedStyle(one).overflowX !== "visible" && one.scrollWidth > one.clientWidth + 1) found.push(`clipped: ${name(one)}`);
  }
  return found;
}"""


def start_chromium(playwright) -> Browser:
    """Start Chromium or Chrome, wherever it is installed.

    Raises:
        FileNotFoundError: where there is none.
    """
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, map(shutil.which, names)), None)
    place = {"executable_path": found} if found else {"channel": "chrome"}
    try:
        return playwright.chromium.launch(
            args=["--no-sandbox", "--disable-gpu"], **place
        )
    except Error as error:
        raise FileNotFoundError(
            f"Chromium did not start: install chromium or Google Chrome ({error.message.splitlines()[0]})"
        ) from None


@contextmanager
def opened(browser: Browser, folder: Path, document: str = "", **look):
    """A tab that sees the rendered pages and the document under SITE, and nothing else."""

    def answer(route: Route) -> None:
        path = unquote(urlsplit(route.request.url).path)[1:]
        if not route.request.url.startswith(SITE):
            route.abort()
        elif path == DOCUMENT:
            route.fulfill(body=document, content_type="text/html; charset=utf-8")
        elif (folder / path).is_file():
            route.fulfill(path=folder / path)
        else:
            route.fulfill(status=404)

    context = browser.new_context(color_scheme="light", reduced_motion="reduce", **look)
    context.route("**/*", answer)
    yield context.new_page()
    context.close()


# ---- Pictures of the exhibits


def use_pad(exhibit: Locator) -> None:
    exhibit.locator(".ff-draw-samples button").first.click()


def use_playground(exhibit: Locator) -> None:
    exhibit.get_by_role("button", name="Train").click()
    exhibit.page.wait_for_function(
        "/^(Epoch ([4-9]\\d|\\d{3})|Result)/.test(document.querySelector('.ff-playground [role=status]')?.innerText)",
        timeout=120_000,
    )
    pause = exhibit.get_by_role("button", name="Pause")
    if pause.is_visible():  # a lesson stops by itself
        pause.click()


USES = dict(zip(EXHIBITS, (use_pad, use_playground), strict=True))


def photograph(
    browser: Browser, folder: Path, pages: list[Page]
) -> dict[tuple[str, str], str]:
    """A picture of each live exhibit in use, as a data: address, by its page and its kind."""
    pictures = {}
    for page in pages:
        for kind, use in USES.items():
            if page.article.select_one(kind) is None:
                continue
            size = {
                "viewport": {"width": 1400, "height": 1800},
                "device_scale_factor": 2,
            }
            with opened(browser, folder, **size) as tab:
                tab.goto(f"{SITE}{page.name}.html")
                exhibit = tab.locator(kind).first
                exhibit.scroll_into_view_if_needed()
                use(exhibit)
                picture = base64.b64encode(exhibit.screenshot()).decode()
                pictures[page.name, kind] = f"data:image/png;base64,{picture}"
    return pictures


# ---- Printing


def print_tab(tab: Tab, path: Path) -> dict[str, tuple[int, float]]:
    """Print to a file; returns the page number and the height of every place that a link leads to."""
    tab.pdf(path=path, prefer_css_page_size=True, print_background=True, tagged=True)
    with pikepdf.open(path) as pdf:
        numbers = {page.objgen: number for number, page in enumerate(pdf.pages, 1)}
        return {
            name.removeprefix("/"): (numbers[page.objgen], float(top))
            for name, (page, _, _, top, _) in pdf.Root.Dests.items()
        }


def print_document(
    browser: Browser, folder: Path, document: str, path: Path
) -> dict[str, tuple[int, float]]:
    """Print the document with its page numbers filled in; returns where everything is.

    Raises:
        ValueError: where something is missing, does not fit, or moves with each print.
    """
    numbers: dict[str, int] = {}
    for _ in range(6):  # a number of another width can break a line elsewhere
        with opened(
            browser, folder, document, viewport={"width": WIDTH, "height": 1000}
        ) as tab:  # a new one each time: printing a tab twice can break pages elsewhere
            tab.emulate_media(media="print")
            tab.goto(SITE + DOCUMENT)
            tab.evaluate(READY)
            tab.evaluate(SHRINK)
            if problems := tab.evaluate(PROBLEMS):
                raise ValueError("This is not fit to print:\n" + "\n".join(problems))
            if numbers:
                tab.evaluate(
                    """(pages) => {
                      for (const link of document.querySelectorAll("a.ff-paged"))
                        link.querySelector(".ff-number").textContent = pages[decodeURIComponent(link.hash.slice(1))] ?? "?";
                    }""",
                    numbers,
                )
            places = print_tab(tab, path)
        found = {name: number for name, (number, _) in places.items()}
        if found == numbers:
            return places
        numbers = found
    raise ValueError(
        "The page numbers move what they count: give .ff-number a fixed width"
    )


def finish(
    draft: Path, target: Path, entries: list[Entry], places: dict, config: dict
) -> None:
    """Write a printed PDF with an outline and its title, and as small as it can be."""
    with pikepdf.open(draft) as pdf:
        with pdf.open_outline() as outline:
            lists = [outline.root]
            for level, title, key in entries:
                number, top = places[key]
                item = pikepdf.OutlineItem(title, number - 1, "XYZ", left=0, top=top)
                item.is_closed = level > 0
                del lists[level + 1 :]
                lists[-1].append(item)
                lists += [item.children] * (level + 2 - len(lists))
        pdf.Root.PageMode = pikepdf.Name.UseOutlines
        pdf.docinfo["/Title"], pdf.docinfo["/Author"] = (
            config["title"],
            config["author"],
        )
        pdf.save(target, object_stream_mode=pikepdf.ObjectStreamMode.generate)


def make_pdf(folder: Path, root: Path = ROOT) -> Path:
    """Print the book that was rendered into a folder; returns the PDF, which lies in it."""
    config, pages = read_config(root), read_pages(folder, root)
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as scratch:
        browser = start_chromium(playwright)
        pictures = photograph(browser, folder, pages)
        document, entries = compose(pages, config, pictures)
        draft = Path(scratch) / NAME
        places = print_document(browser, folder, document, draft)
        browser.close()
        finish(draft, folder / NAME, entries, places, config)
    return folder / NAME


if __name__ == "__main__":
    target = make_pdf(
        Path(*sys.argv[1:2]) if sys.argv[1:] else ROOT / "_build" / "html"
    )
    with pikepdf.open(target) as printed:
        print(
            f"{target}: {len(printed.pages)} pages, {target.stat().st_size / 1e6:.1f} MB"
        )
