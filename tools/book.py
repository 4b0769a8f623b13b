"""A Sphinx extension: what no setting can say about this book."""

import inspect
import posixpath
import re
import sys
from pathlib import Path

from docutils import nodes
from sphinx.ext import autodoc
from sphinx.writers.html5 import HTML5Translator


def read_backticks_as_code(app, what, name, obj, options, lines):
    """Turn the `Split`s of a docstring into ``Split``\\ s, which is how reStructuredText wants it."""
    lines[:] = [
        re.sub(
            r"(?<!`)`([^`]+)`(?!`)(\w?)",
            lambda m: f"``{m[1]}``" + (f"\\ {m[2]}" if m[2] else ""),
            line,
        )
        for line in lines
    ]


def show_types_as_written(app, what, name, obj, options, signature, returns):
    """Show the types of the source, `Tensor | None`, for which nothing needs to be imported."""
    function = obj.__init__ if inspect.isclass(obj) else inspect.unwrap(obj)
    shown = app.env.temp_data.get("annotations", {}).get(name, {})
    shown.update(getattr(function, "__annotations__", {}))


def visit_citation(self, node):
    """Give an entry of the bibliography the role that has replaced the deprecated one."""
    HTML5Translator.visit_citation(self, node)
    self.body[-1] = self.body[-1].replace('role="doc-biblioentry"', 'role="listitem"')


def keep_within_the_book(app, doctree):
    """Make links to the published book relative: a notebook that stands alone needs them whole, its page does not."""
    for link in doctree.findall(nodes.reference):
        target = link.get("refuri", "")
        # What is made of the pages, such as the PDF, need not be there when they are read on one's own machine.
        made_later = target.endswith((".pdf", ".zip"))
        if target.startswith(app.config.html_baseurl) and not made_later:
            page = target.removeprefix(app.config.html_baseurl)
            link["refuri"] = posixpath.relpath(
                page, posixpath.dirname(app.env.docname) or "."
            )


def setup(app):
    # The API page is about the ffutils of this folder, which need not be installed.
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    # Stand-ins for PyTorch's classes have a __new__; what derives from them has the arguments of its own __init__.
    autodoc._CLASS_NEW_BLACKLIST.append("sphinx.ext.autodoc.mock._MockObject.__new__")
    # 600: after autodoc, which has 500, has looked the types up.
    app.connect("autodoc-process-signature", show_types_as_written, priority=600)
    app.connect("autodoc-process-docstring", read_backticks_as_code)
    app.connect("doctree-read", keep_within_the_book)
    app.add_node(
        nodes.citation,
        override=True,
        html=(visit_citation, HTML5Translator.depart_citation),
    )
    return {"parallel_read_safe": True, "parallel_write_safe": True}
