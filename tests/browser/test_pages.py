"""Every page of the built book in a real browser: quiet, self-contained, accessible, and no wider than the screen."""

import re

import pytest

from .conftest import BOOK, SHIFTS, skip_or_fail


def is_written(page):
    return page and any(
        (BOOK / "_sources" / page).with_suffix(suffix).is_file()
        for suffix in (".md", ".ipynb")
    )


PAGES = sorted(
    path.relative_to(BOOK).as_posix()
    for path in BOOK.rglob("*.html")
    if "_static" not in path.parts
) or [None]
CHAPTERS = [page for page in PAGES if page and page.startswith("chapters/")]
# Pages that somebody wrote are tried in every theme and width, those that Sphinx makes (indices, source code) in two.
CASES = [
    (page, width, theme)
    for page in PAGES
    for width, theme in [(1280, "light"), (390, "dark"), (1280, "dark"), (390, "light")]
    if is_written(page) or (width, theme) in [(1280, "light"), (390, "dark")]
]
AXE = {
    "runOnly": {
        "type": "tag",
        "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"],
    },
    "resultTypes": ["violations"],
    "preload": False,
}
# Most elements of a page do nothing but colour a word of code, and axe would spend most of its time on them. One of each
# kind (its own look and that of all around it) says what all of them look like; of the others the text remains.
ONE_OF_A_KIND = """() => {
  const kind = (one) => one ? `${one.tagName}.${one.className}.${one.style.cssText} ${kind(one.parentElement)}` : "";
  const kinds = new Set();
  const words = document.querySelectorAll(".highlight span, dl.py :is(span, em, strong, code)");
  for (const word of [...words].reverse()) {
    if (word.children.length || word.id) continue;
    if (kinds.has(kind(word))) word.replaceWith(...word.childNodes); else kinds.add(kind(word));
  }
  return kinds.size;
}"""

OPENED = (390, "light")  # the look in which hidden solutions are open


@pytest.mark.parametrize(("name", "width", "theme"), CASES)
def test_page(name, width, theme, watch):
    if name is None:
        skip_or_fail("no book in _build/html: run make book first")
    watched = watch(theme, width)
    page = watched.open(name)
    assert page.evaluate("document.documentElement.dataset.theme") == theme

    if (width, theme) == OPENED:
        page.evaluate(
            "document.querySelectorAll('details').forEach((box) => (box.open = true))"
        )
    assert watched.problems == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width, (
        "the page scrolls sideways"
    )
    assert page.locator("mjx-merror, [data-mjx-error]").count() == 0, (
        "MathJax could not read a formula"
    )
    if page.locator(".math").count():
        assert page.locator("mjx-container").count() > 0, "the formulae were not set"
    headings = page.locator("h1").all_inner_texts()
    assert not any(re.match(r"\d+\.\s*\d+\.", text) for text in headings), (
        f"numbered by _toc.yml and again: {headings}"
    )
    assert page.locator("img:not([alt])").count() == 0
    assert page.locator('article img[alt=""]').count() == 0, "a figure without alt text"
    assert accessibility_violations(page) == []


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("name", ["index.html", "chapters/playground.html"])
def test_a_page_does_not_move_while_it_loads(browser, address, name, width):
    """Fonts that come last, and a theme that is not chosen yet."""
    context = browser.new_context(viewport={"width": width, "height": 800})
    page = context.new_page()
    page.add_init_script(SHIFTS)
    held = []
    page.route("**/*.woff2", lambda route: held.append(route))
    page.goto(f"{address}/{name}", wait_until="commit")
    page.wait_for_timeout(1500)  # what stands there meanwhile is painted
    assert held, "no font was asked for"
    for route in held:
        route.continue_()
    page.evaluate("document.fonts.ready")
    page.wait_for_timeout(500)
    shift = page.evaluate("window.shift")
    print(f"layout shift {shift:.4f}")
    assert shift <= 0.02
    context.close()


def test_the_page_header_does_not_cover_the_controls_of_the_playground(
    browser, address
):
    """On a phone, where both stay on top while the page is scrolled."""
    context = browser.new_context(
        viewport={"width": 390, "height": 844}, has_touch=True
    )
    page = context.new_page()
    page.goto(f"{address}/chapters/playground.html")
    button = page.locator(".ff-play-bar .ff-play-main")
    button.wait_for()
    page.evaluate("scrollTo(0, 600)")
    page.wait_for_timeout(300)
    box = button.bounding_box()
    assert 0 <= box["y"] < 100
    middle = [box["x"] + box["width"] / 2, box["y"] + 3]
    assert page.evaluate(
        "(at) => document.elementFromPoint(...at).className === 'ff-play-main'", middle
    )
    context.close()


def accessibility_violations(page):
    """What axe finds, as sentences. The page has fewer elements afterwards."""
    from axe_playwright_python.sync_playwright import Axe

    page.evaluate(ONE_OF_A_KIND)
    found = Axe().run(page, options=AXE).response["violations"]
    return [
        f"{rule['id']}: {node['html'][:200]} {node.get('failureSummary')}"
        for rule in found
        for node in rule["nodes"]
    ]


DIM = "color: #aaa; background: #fff"


@pytest.mark.parametrize(
    ("html", "spans", "rules"),
    [
        ('<span class="k">one</span> <span class="k">two</span>', 1, set()),
        (f'<span class="k">one</span> <span class="c" style="{DIM}">two</span>', 2, {"color-contrast"}),
        (f'<span class="k" style="{DIM}">one</span> <span class="k">two</span>', 2, {"color-contrast"}),
        (f'<b style="{DIM}"><span class="k">one</span></b> <span class="k">two</span>', 2, {"color-contrast"}),
        ('two <img src="data:,">', 0, {"image-alt"}),
    ],
)  # fmt: skip
def test_axe_sees_one_of_each_kind(watch, html, spans, rules):
    page = watch().page
    page.set_content(
        f'<html lang="en"><title>t</title><main class="highlight"><h1>t</h1>{html}</main></html>'
    )
    found = accessibility_violations(page)
    assert {line.split(":")[0] for line in found} == rules
    assert page.locator("span").count() == spans
    assert "two" in page.inner_text("main")


def test_a_request_to_another_host_is_caught(watch, address):
    watched = watch()
    page = watched.open("index.html")
    page.evaluate("() => fetch('https://example.org/').catch(() => 0)")
    assert any("another host" in problem for problem in watched.problems)


def test_the_theme_switch_changes_the_theme_and_is_remembered(browser, address):
    page = browser.new_page(color_scheme="light")
    page.goto(f"{address}/index.html")
    seen = set()
    for _ in range(3):
        page.locator(".theme-switch-button:visible").click()
        seen.add(page.evaluate("document.documentElement.dataset.mode"))
    assert seen == {"light", "dark", "auto"}
    while page.evaluate("document.documentElement.dataset.mode") != "dark":
        page.locator(".theme-switch-button:visible").click()
    page.reload()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.close()


@pytest.mark.parametrize("width", [1280, 390])
def test_search_finds_the_goodness(watch, width):
    watched = watch(width=width)
    page = watched.open("index.html")
    page.locator(".search-button-field:visible, .search-button:visible").first.click()
    page.locator("#pst-search-dialog input[type=search]").fill("goodness")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"search\.html"))
    page.locator("#search-results li a").first.wait_for()
    assert watched.problems == []


def test_the_menu_opens_on_a_phone(watch):
    watched = watch(width=390)
    page = watched.open("index.html")
    link = (
        page.locator("#pst-primary-sidebar-modal a, .bd-sidebar-primary a")
        .filter(has_text="Bibliography")
        .first
    )
    assert not link.is_visible()
    page.locator(".primary-toggle:visible").click()
    link.wait_for(state="visible")
    assert accessibility_violations(page) == []
    link.click()
    page.wait_for_url(re.compile(r"bibliography\.html"))
    assert watched.problems == []


def test_a_flipbook_turns_with_the_keyboard(watch):
    watched = watch()
    names = [
        name for name in CHAPTERS if "ff-flipbook" in (BOOK / name).read_text("utf-8")
    ]
    assert names or not CHAPTERS, "no chapter has a flipbook"
    for name in names:
        page = watched.open(name)
        for book in page.locator("figure.ff-flipbook").all():
            slider, frames = book.locator("input[type=range]"), book.locator("img")
            slider.focus()
            page.keyboard.press("Home")
            assert frames.nth(0).is_visible() and not frames.nth(1).is_visible()
            page.keyboard.press("ArrowRight")
            assert frames.nth(1).is_visible() and not frames.nth(0).is_visible()
            assert slider.bounding_box()["height"] >= 24
    assert watched.problems == []


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844)])
def test_the_first_screen_has_the_sentence_the_pad_and_three_links(
    width, height, watch
):
    watched = watch("light", width)
    page = watched.open("index.html")
    page.locator(".ff-draw-pad").wait_for()
    ends = {
        name: page.locator(name).first.bounding_box()
        for name in ("article h1", ".ff-lead", ".ff-links", ".ff-draw-pad")
    }
    assert all(box["y"] + box["height"] <= height for box in ends.values()), ends
    links = page.locator(".ff-links a").all_inner_texts()
    assert links == ["The algorithm on one page", "Read", "Run"]
