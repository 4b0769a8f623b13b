"""The link check passes a sound book and fails one with a broken link, image, style sheet or anchor."""

import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).resolve().parents[1] / "tools" / "check_links.py"
PAGE = '<!doctype html><html lang="en"><title>t</title><body><h1 id="top">t</h1>{}</body></html>'


def check(folder):
    return subprocess.run(
        [sys.executable, TOOL, folder], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ('<a href="sub/other.html#top">x</a>', 0),
        ('<a href="https://example.org/no-network-is-needed">x</a>', 0),
        ('<a href="/sub/other.html">from the root of the book</a>', 0),
        ('<a href="sub/missing.html">x</a>', 1),
        ('<a href="sub/other.html#missing">x</a>', 1),
        ('<a href="#missing">x</a>', 1),
        ('<img src="sub/other.html" alt="x">', 0),
        ('<img src="missing.png" alt="x">', 1),
        ('<link rel="stylesheet" href="missing.css">', 1),
    ],
)
def test_links(tmp_path, body, code):
    (tmp_path / "sub").mkdir()
    (tmp_path / "index.html").write_text(PAGE.format(body))
    back = '<a href="../index.html#top">x</a>'
    (tmp_path / "sub" / "other.html").write_text(PAGE.format(back))
    result = check(tmp_path)
    assert result.returncode == code, result.stdout + result.stderr


def test_a_broken_link_deep_in_the_book_is_named(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "index.html").write_text(PAGE.format(""))
    (tmp_path / "a" / "b" / "page.html").write_text(
        PAGE.format('<a href="no.html">x</a>')
    )
    result = check(tmp_path)
    assert result.returncode == 1
    assert "page.html" in result.stdout and "no.html" in result.stdout


def test_an_empty_folder_is_no_book(tmp_path):
    result = check(tmp_path)
    assert result.returncode == 2
    assert "make book" in result.stderr
