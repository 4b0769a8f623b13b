"""llms.txt: every page of the table of contents, with its title and first sentence."""

import re
import subprocess

import pytest

from tests.browser.conftest import skip_or_fail
from tools.chapters import ROOT
from tools.toc import read_config, read_parts

PYTHON = ROOT / ".venv-book" / "bin" / "python"
WHOLE = ROOT / "_build" / "html" / "llms.txt"
SETTINGS = f"""import sys
sys.path.insert(0, {str(ROOT / "tools")!r})
extensions = ["myst_parser", "llms"]
html_baseurl = "https://example.org/tiny/"
"""
PAGES = {
    "index": "# A Tiny Book\n\nLearn by *guessing*, not by `reading`. And more.\n\n```{toctree}\nfirst\nsecond\n```\n",
    "first": "# First\n\n| In | a table |\n|---|---|\n| no | text |\n\n[A link](https://example.com) is 2.83 % of this.\nThat is all: a page. Nothing else.\n",
    "second": "# Second\n\n## Only headings\n",
}
EXPECTED = """# A Tiny Book

> Learn by guessing, not by reading. And more.

## Part 1: Beginnings

- [First](https://example.org/tiny/first.html): A link is 2.83 % of this. That is all: a page.
- [Second](https://example.org/tiny/second.html)
"""


@pytest.mark.skipif(not PYTHON.exists(), reason="no .venv-book: make book sets it up")
def test_a_tiny_book_is_listed(tmp_path):
    (tmp_path / "conf.py").write_text(SETTINGS)
    (tmp_path / "_toc.yml").write_text("root: index\nparts: [{caption: 'Part 1: Beginnings', chapters: [{file: first}, {file: second}]}]\n")  # fmt: skip
    for name, text in PAGES.items():
        (tmp_path / f"{name}.md").write_text(text)
    for builder in ("html", "text"):
        command = [PYTHON, "-m", "sphinx", "-q", "-b", builder, ".", builder]
        ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "html" / "llms.txt").read_text(encoding="utf-8") == EXPECTED
    assert not (tmp_path / "text" / "llms.txt").exists()


def test_the_whole_book_is_listed():
    if not WHOLE.is_file():
        skip_or_fail("no llms.txt in _build/html: run make book first")
    text = WHOLE.read_text(encoding="utf-8")
    lines = re.findall(r"^- \[(.+)\]\((\S+)\): (.+)$", text, re.MULTILINE)
    url = read_config()["html"]["baseurl"]
    wanted = [f"{url}{name}.html" for part in read_parts()[1:] for name in part.pages]
    assert [address for _, address, _ in lines] == wanted
    assert text.startswith("# The Forward-Forward Book\n\n> ")
