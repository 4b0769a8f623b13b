"""One Chromium for all browser tests, a local server for the built book, and a context per colour theme and width.

With `pytest -n 2` each of the two workers has its own of all that. What measures time is marked `alone`: nothing else may
run beside it. A test that fails leaves pictures of its pages in _build/screenshots.
"""

import functools
import http.server
import os
import re
import shutil
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BOOK = ROOT / "_build" / "html"
# How far what is in sight has moved by itself, summed up in window.shift.
SHIFTS = """window.shift = 0;
new PerformanceObserver((list) => list.getEntries().forEach((one) => { if (!one.hadRecentInput) window.shift += one.value; }))
  .observe({ type: "layout-shift", buffered: true });"""
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))),
    None,
)


FAILED = pytest.StashKey()


def pytest_configure(config):
    config.addinivalue_line(
        "markers", "alone: it measures time, so nothing may run beside it"
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    item.stash[FAILED] = item.stash.get(FAILED, False) or report.failed
    return report


def skip_or_fail(reason):
    """Skip where a browser or the book is missing, unless FF_REQUIRE_BROWSER=1 forbids it."""
    if os.environ.get("FF_REQUIRE_BROWSER") == "1":
        pytest.fail(f"{reason} (FF_REQUIRE_BROWSER=1 forbids the skip)", pytrace=False)
    pytest.skip(reason)


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@contextmanager
def served(folder):
    """The address of a folder, on a port of this machine."""
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=folder)
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def looks(bare, name, widths_and_themes):
    """(page, width, theme) for an exhibit: its bare page, which has none of the book's dark colours, and where it is used.

    Pages are named from the root of the repository; name: the exhibit's class in HTML.
    """
    embedded = sorted(
        path.relative_to(ROOT).as_posix()
        for path in BOOK.rglob("*.html")
        if "_static" not in path.parts
        and f'class="{name}"' in path.read_text(encoding="utf-8")
    )
    return [
        (bare, 390, "light"),
        *((page, *look) for page in embedded for look in widths_and_themes),
    ]


@pytest.fixture(scope="session")
def address():
    """The built book."""
    if not (BOOK / "index.html").is_file():
        skip_or_fail("no book in _build/html: run make book first")
    with served(BOOK) as found:
        yield found


@pytest.fixture(scope="session")
def repository():
    """The whole repository: an exhibit's bare page, and the book where it has been built."""
    with served(ROOT) as found:
        yield found


@pytest.fixture(scope="session")
def browser():
    if CHROMIUM is None:
        skip_or_fail("no Chromium found: install chromium to run the browser tests")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        skip_or_fail(
            "playwright is not installed: pip install playwright axe-playwright-python"
        )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser
        browser.close()


class Watched:
    """A page, and all that went wrong on it."""

    def __init__(self, page, address):
        self.page, self.address, self.problems = page, address, []
        page.on(
            "console",
            lambda message: (
                message.type == "error"
                and self.problems.append(f"console: {message.text}")
            ),
        )
        page.on("pageerror", lambda error: self.problems.append(f"script: {error}"))
        page.on(
            "response",
            lambda answer: (
                answer.status >= 400
                and self.problems.append(f"{answer.status}: {answer.url}")
            ),
        )
        page.route("**/*", self.allow)

    def allow(self, route):
        if route.request.url.startswith(f"{self.address}/"):
            route.continue_()
        else:
            self.problems.append(f"asked another host: {route.request.url}")
            route.abort()

    def open(self, name):
        self.page.goto(f"{self.address}/{name}")
        self.page.evaluate(
            "async () => { await document.fonts.ready; await window.MathJax?.startup?.promise }"
        )
        return self.page


@pytest.fixture(scope="session")
def contexts(browser):
    """Make, and keep, a context per colour theme and width; the theme is stored as the book's own switch stores it."""
    made = {}

    def context(theme, width):
        if (theme, width) not in made:
            viewport = {"width": width, "height": 844 if width < 600 else 900}
            new = browser.new_context(
                viewport=viewport,
                color_scheme=theme,
                has_touch=width < 600,
                reduced_motion="reduce",
            )
            new.add_init_script(
                f"for (const key of ['mode', 'theme']) localStorage.getItem(key) ?? localStorage.setItem(key, '{theme}')"
            )
            made[theme, width] = new
        return made[theme, width]

    yield context
    for context_ in made.values():
        context_.close()


@pytest.fixture
def watch(contexts, address, request):
    """watch(theme, width) opens an empty page whose errors and requests are recorded."""
    opened = []

    def open_page(theme="light", width=1280):
        watched = Watched(contexts(theme, width).new_page(), address)
        opened.append(watched)
        return watched

    yield open_page
    failed = request.node.stash.get(FAILED, False)
    for number, watched in enumerate(opened):
        if failed:
            name = re.sub(r"[^\w.-]+", "-", f"{request.node.name}-{number}")
            watched.page.screenshot(
                path=BOOK.parent / "screenshots" / f"{name}.png", full_page=True
            )
        watched.page.close()
