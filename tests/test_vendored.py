"""What the book serves of other people's work is what they published, whole and with its licence."""

import hashlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
VENDORED = ["_extra/mathjax", "_static/fonts"]


@pytest.mark.parametrize("folder", VENDORED)
def test_vendored_files_have_the_listed_hashes(folder):
    folder = ROOT / folder
    listed = dict(
        reversed(line.split("  ", 1))
        for line in (folder / "SHA256SUMS").read_text().splitlines()
    )
    present = {
        path.relative_to(folder).as_posix(): hashlib.sha256(
            path.read_bytes()
        ).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "SHA256SUMS"
    }
    assert present == listed
    assert "LICENSE" in present


def test_no_script_or_font_lies_outside_those_folders():
    found = [path for path in (ROOT / "_extra").rglob("*") if path.is_file()]
    found += [
        path
        for path in (ROOT / "_static").rglob("*")
        if path.suffix in {".woff", ".woff2"} or path.name.endswith(".min.js")
    ]
    assert found
    assert all(
        any(path.is_relative_to(ROOT / folder) for folder in VENDORED) for path in found
    ), found
