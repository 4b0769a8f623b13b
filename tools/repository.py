"""Write the repository's address wherever it is needed: python tools/repository.py [--check] [URL]

`_config.yml` (repository.url) is the source. With a URL, that is written there first. Then every place that follows from it is
brought into line: links and bootstrap of each chapter, badges, launch links, citation, project metadata. Outputs and their
fingerprints stay as they are. With --check nothing is written, and the exit code is 1 where something is out of line; with a URL
as well, also where that URL is still the placeholder, so that no book is published without an address.
"""

import argparse
import json
import os
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ONE_PAGE = "00_one_page.ipynb"  # it imports nothing of the book, so it has no bootstrap
PLACEHOLDER = "your-organization/"
SLUG = r"[\w.-]+/[\w.-]+?"
SOURCE = re.compile(
    rf"^(  url: https://github\.com/)({SLUG})(?=/?\s*(?:#.*)?$)", re.MULTILINE
)
# Addresses that can only mean this book, whatever they say now.
OURS = [
    re.compile(rf"(git\+https://github\.com/)({SLUG})(?=@main)"),
    re.compile(
        rf"(repository-code: \"?https://github\.com/)({SLUG})(?=\"?$)", re.MULTILINE
    ),
    re.compile(rf"(^Repository = \"https://github\.com/)({SLUG})(?=\"$)", re.MULTILINE),
]
KINDS = {".md", ".yml", ".yaml", ".toml", ".cff", ".txt", ".html", ".bib"}
LEFT_ALONE = {
    ".git",
    ".venv",
    ".venv-book",
    "venv",
    "_build",
    "_extra",
    "node_modules",
    "tests",
    "tools",
}

# Where a file of the book can be opened and run, by the name of the place.
LAUNCH = {
    "Colab": "https://colab.research.google.com/github/{slug}/blob/main/{path}",
    "Binder": "https://mybinder.org/v2/gh/{slug}/main?urlpath=lab/tree/{path}",
}


def launch_link(place, slug, path):
    return LAUNCH[place].format(slug=slug, path=path)


def as_pattern(template):
    """What finds the links that a template of LAUNCH makes, with their address and path."""
    pattern = re.escape(template).replace(r"\{slug\}", f"(?P<slug>{SLUG})")
    return re.compile(pattern.replace(r"\{path\}", r"(?P<path>[\w./-]*[\w/-])"))


LAUNCHED = {place: as_pattern(template) for place, template in LAUNCH.items()}
# A chapter's row in the README's table, whose last cell has its links.
ROW = re.compile(
    r"^(\| \[[^\]|]*\]\((chapters/[\w.-]+\.ipynb)\) \|.*\| )[^|]*( \|)$", re.MULTILINE
)


def launch_links(slug, path, words=""):
    """Markdown links to every place where a chapter can be run."""
    return " · ".join(
        f"[{words}{place}]({launch_link(place, slug, path)})" for place in LAUNCH
    )


# The module and what it needs, wherever that is missing; PyTorch is never touched.
BOOTSTRAP = """\
from importlib.util import find_spec

if not find_spec("ffutils"):  # on Colab, on Kaggle, in an editor
    needs = "torch torchvision matplotlib sklearn ipywidgets cloudpickle".split()
    missing = " ".join(name for name in needs if not find_spec(name))
    missing = missing.replace("sklearn", "scikit-learn")
    if "torch" in missing:
        raise ModuleNotFoundError(f"run %pip install {{missing}}, then this cell again")
    if missing:
        %pip install -q {{missing}}
    book = "git+https://github.com/{slug}@main"
    %pip install -q --no-deps {{book}}"""
# A copy of the book that nobody has given an address can only say so.
ADDRESSLESS = """\
from importlib.util import find_spec

if not find_spec("ffutils"):
    raise ModuleNotFoundError(
        "ffutils is missing: run %pip install --no-deps BOOK, where BOOK is the folder "
        "or the git+https address of the book"
    )"""


def bootstrap(slug):
    return ADDRESSLESS if slug.startswith(PLACEHOLDER) else BOOTSTRAP.format(slug=slug)


def read_slug(root):
    """The owner/name that _config.yml gives."""
    found = SOURCE.search((root / "_config.yml").read_text(encoding="utf-8"))
    if found is None:
        raise ValueError(
            "_config.yml has no line '  url: https://github.com/owner/name' under repository"
        )
    return found[2]


def parse_url(url):
    found = re.fullmatch(rf"https://github\.com/({SLUG})(?:\.git)?/?", url)
    if found is None:
        raise ValueError(
            f"the address must look like https://github.com/owner/name, got {url!r}"
        )
    return found[1]


def site(slug):
    """Where GitHub Pages shows the book; a repository called owner.github.io has the root."""
    owner, name = slug.split("/")
    root = f"{owner}.github.io"
    return root if name.lower() == root.lower() else f"{root}/{name}"


def in_line(text, old, new):
    """A text with the address `old`, and every address that can only be the book's, replaced by `new`."""
    for place, pattern in LAUNCHED.items():
        text = pattern.sub(
            lambda found, place=place: launch_link(place, new, found["path"]), text
        )
    for pattern in OURS:
        text = pattern.sub(rf"\g<1>{new}", text)
    # In one pass, since the one may contain the other.
    addresses = {old: new, site(old): site(new)}
    either = "|".join(map(re.escape, addresses))
    return re.sub(
        rf"(?<![\w.-])(?:{either})(?![\w-])",
        lambda found: addresses[found[0]],
        text,
    )


def chapter_in_line(path, old, new):
    """A notebook's text with its links, its bootstrap and its prose brought into line; no other code cell, no output."""
    before = path.read_text(encoding="utf-8")
    notebook = json.loads(before)
    links = launch_links(new, f"chapters/{path.name}", "Open in ")
    bootstrap_cell = bootstrap(new)
    found = {"links": 0, "bootstrap": 0}
    for cell in notebook["cells"]:
        tags, text = cell["metadata"].get("tags", []), "".join(cell["source"])
        wanted = text
        if "colab-bootstrap" in tags:
            wanted, found["bootstrap"] = bootstrap_cell, found["bootstrap"] + 1
        elif cell["cell_type"] == "markdown" and "remove-cell" in tags:
            wanted, found["links"] = links, found["links"] + 1
        elif cell["cell_type"] == "markdown":
            wanted = in_line(text, old, new)
        if wanted != text:
            cell["source"] = wanted.splitlines(keepends=True)
    expected = {"links": 1, "bootstrap": int(path.name != ONE_PAGE)}
    if found != expected:
        raise ValueError(
            f"{path.name} must have one markdown cell tagged remove-cell, for the links, and {expected['bootstrap']} code "
            f"cells tagged colab-bootstrap; it has {found['links']} and {found['bootstrap']}"
        )
    return (
        before
        if notebook == json.loads(before)
        else json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
    )


def text_files(root):
    for folder, folders, files in os.walk(root):
        folders[:] = [
            name
            for name in folders
            if name not in LEFT_ALONE and not name.endswith(".egg-info")
        ]
        yield from (
            Path(folder) / name for name in sorted(files) if Path(name).suffix in KINDS
        )


def changes(root, new):
    """What `new` as the address of the repository changes: {path: new text}, _config.yml last."""
    old, found = read_slug(root), {}
    for path in text_files(root):
        if path != root / "_config.yml":
            found[path] = in_line(path.read_text(encoding="utf-8"), old, new)
    readme = root / "README.md"
    found[readme] = ROW.sub(
        lambda row: row[1] + launch_links(new, row[2]) + row[3], found[readme]
    )
    for path in sorted((root / "chapters").glob("*.ipynb")):
        found[path] = chapter_in_line(path, old, new)
    config = (
        root / "_config.yml"
    )  # last, so that a run that was cut short can be repeated
    found[config] = in_line(
        SOURCE.sub(rf"\g<1>{new}", config.read_text(encoding="utf-8")), old, new
    )
    return {
        path: text
        for path, text in found.items()
        if text != path.read_text(encoding="utf-8")
    }


def main(arguments=None, root=ROOT):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--check",
        action="store_true",
        help="write nothing; fail where something is out of line",
    )
    parser.add_argument(
        "url",
        nargs="?",
        help="https://github.com/owner/name; without it, what _config.yml says",
    )
    chosen = parser.parse_args(arguments)
    try:
        slug = parse_url(chosen.url) if chosen.url else read_slug(root)
        todo = changes(root, slug)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if chosen.check and chosen.url and slug.startswith(PLACEHOLDER):
        advice = "run make repository URL=https://github.com/owner/name first"
        print(f"error: {slug} is a placeholder: {advice}", file=sys.stderr)
        return 1
    for path, text in todo.items():
        print(
            f"{'out of line' if chosen.check else 'written'}: {path.relative_to(root)}"
        )
        if not chosen.check:
            path.write_text(text, encoding="utf-8")
    if not chosen.check:
        print(
            f"the book lives at https://github.com/{slug} ({len(todo)} files changed)"
        )
    if chosen.check and todo:
        command = f"make repository URL=https://github.com/{slug}"
        print(f"error: run {command}, and commit what it writes", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
