"""A Sphinx extension that writes llms.txt, which tells a language model what the book has and where (llmstxt.org)."""

import re
import sys
from pathlib import Path

from docutils import nodes
from sphinx import addnodes

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tools.toc import read_parts

SHORT = 60  # letters: such a first sentence does not say what a page is about


def opening(doctree: nodes.document) -> str:
    """What a page's first paragraph says: one sentence, or two where the first is short."""
    paragraphs = doctree.findall(is_prose)
    text = " ".join(text_of(next(paragraphs, nodes.paragraph())).split())
    text = re.sub(r" (?=[,.;:?!])", "", text)  # where a citation stood
    first, *others = re.split(r"(?<=[.?!])\s", text)
    return " ".join([first, *others[:1]] if len(first) < SHORT else [first])


def is_prose(node: nodes.Node) -> bool:
    """Whether a node is a paragraph of the text, and not of a table, a list or a glossary."""
    return isinstance(node, nodes.paragraph) and isinstance(
        node.parent, nodes.section | nodes.container
    )


def text_of(node: nodes.Node) -> str:
    """The words of a paragraph, without the keys of what it cites."""
    if isinstance(node, addnodes.pending_xref) and node.get("refdomain") == "cite":
        return ""
    if isinstance(node, nodes.Text):
        return node.astext()
    return "".join(map(text_of, node.children))


def list_pages(env, url: str, root: Path) -> str:
    """The text of llms.txt: title, summary, and each part's pages with a line about each."""
    landing, *parts = read_parts(root)
    (start,) = landing.pages
    lines = [
        f"# {env.titles[start].astext()}",
        "",
        f"> {opening(env.get_doctree(start))}",
    ]
    for part in parts:
        lines += ["", f"## {part.caption}", ""]
        for name in filter(
            env.found_docs.__contains__, part.pages
        ):  # Sphinx names the others
            about = opening(env.get_doctree(name))
            link = f"- [{env.titles[name].astext()}]({url}{name}.html)"
            lines.append(f"{link}: {about}" if about else link)
    return "\n".join(lines) + "\n"


def write_list(app, error):
    if error is None and app.builder.format == "html":
        text = list_pages(app.env, app.config.html_baseurl, Path(app.srcdir))
        (Path(app.outdir) / "llms.txt").write_text(text, encoding="utf-8")


def setup(app):
    app.connect("build-finished", write_list)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
