"""A zip of all figures, for whoever teaches with them: python tools/figures.py [_build/html]

It holds the drawings as SVG, the plots of the rendered chapters as PNG, a list with the text that describes each, and the
licence. The same pages give the same file.
"""

import base64
import sys
import xml.etree.ElementTree as ET
import zipfile
from pathlib import Path
from typing import NamedTuple

from bs4 import BeautifulSoup

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tools.toc import ROOT, read_config, read_parts

NAME = "forward-forward-figures.zip"
PNG = "data:image/png;base64,"
SVG = "{http://www.w3.org/2000/svg}"


class Figure(NamedTuple):
    name: str  # its place in the zip
    content: bytes
    text: str  # what it shows, for whoever cannot see it
    source: str  # where it is used, or what it was drawn for


def drawings(root: Path) -> list[Figure]:
    """The SVGs of ffutils/pictures, which describe themselves."""
    found = []
    for path in sorted((root / "ffutils" / "pictures").glob("*.svg")):
        tree = ET.parse(path).getroot()
        title, text = (
            tree.findtext(f"{SVG}{tag}", "").strip() for tag in ("title", "desc")
        )
        found.append(Figure(f"drawings/{path.name}", path.read_bytes(), text, title))
    return found


def plots(folder: Path, root: Path, url: str) -> list[Figure]:
    """The PNGs of the rendered pages, in their order; a flipbook gives all of its frames."""
    found = []
    for name in (page for part in read_parts(root) for page in part.pages):
        page = folder / f"{name}.html"
        soup = BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser")
        shown = [
            image
            for image in soup.select("article.bd-article img")
            if is_png(image["src"])
        ]
        for number, image in enumerate(shown, 1):
            if image["src"].startswith(PNG):
                content = base64.b64decode(image["src"].removeprefix(PNG))
            else:
                content = (page.parent / image["src"]).read_bytes()
            place = f"plots/{Path(name).name}/{number:02}.png"
            found.append(
                Figure(place, content, image.get("alt", ""), f"{url}{name}.html")
            )
    return found


def is_png(address: str) -> bool:
    return address.startswith(PNG) or address.endswith(".png")


def describe(figures: list[Figure], config: dict) -> str:
    """The list of the figures, as Markdown."""
    head = (
        f"# Figures of {config['title']}\n\n"
        f"From {config['html']['baseurl']}. Licence: CC BY 4.0 (LICENSE-TEXT): use and change them, and name the book.\n"
    )
    entries = [f"\n## {one.name}\n\n{one.source}\n\n{one.text}\n" for one in figures]
    return head + "".join(entries)


def make_zip(folder: Path, root: Path = ROOT) -> Path:
    """Pack the figures of a rendered book; returns the zip, which lies in its folder.

    Raises:
        ValueError: where nothing describes a figure.
    """
    config = read_config(root)
    figures = drawings(root) + plots(folder, root, config["html"]["baseurl"])
    silent = [one.name for one in figures if not one.text]
    if silent:
        raise ValueError(
            f"{', '.join(silent)}: expected a text that describes the figure"
        )
    files = {one.name: one.content for one in figures}
    files["figures.md"] = describe(figures, config).encode()
    files["LICENSE-TEXT"] = (root / "LICENSE-TEXT").read_bytes()
    with zipfile.ZipFile(folder / NAME, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in files.items():
            # Without a date: the time of the build says nothing.
            packed.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return folder / NAME


if __name__ == "__main__":
    target = make_zip(Path(sys.argv[1]) if sys.argv[1:] else ROOT / "_build" / "html")
    print(f"{target}: {target.stat().st_size / 1e6:.1f} MB")
