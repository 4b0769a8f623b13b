"""The table of contents, `_toc.yml`, for what is made of all pages: the PDF, the figures and llms.txt."""

from pathlib import Path
from typing import NamedTuple

import yaml

ROOT = Path(__file__).resolve().parents[1]


class Part(NamedTuple):
    caption: str  # "Part 1: The algorithm"; the landing page's part has none
    pages: list[str]  # as in _toc.yml: "chapters/00_one_page"


def read_parts(root: Path = ROOT) -> list[Part]:
    """The parts of the book in reading order; the first holds the landing page alone."""
    toc = yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8"))
    parts = [Part("", [toc["root"]])]
    for part in toc.get("parts", []):
        pages = [chapter["file"] for chapter in part["chapters"]]
        parts.append(Part(part["caption"], pages))
    return parts


def read_config(root: Path = ROOT) -> dict:
    return yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))
