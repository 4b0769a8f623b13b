"""A Sphinx extension: the three things about this book that no setting can say."""

import posixpath
import re

from docutils import nodes
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


def visit_citation(self, node):
    """Give an entry of the bibliography the role that has replaced the deprecated one."""
    HTML5Translator.visit_citation(self, node)
    self.body[-1] = self.body[-1].replace('role="doc-biblioentry"', 'role="listitem"')


def keep_within_the_book(app, doctree):
    """Make links to the published book relative: a notebook that stands alone needs them whole, its page does not."""
    for link in doctree.findall(nodes.reference):
        target = link.get("refuri", "")
        if target.startswith(app.config.html_baseurl):
            page = target.removeprefix(app.config.html_baseurl)
            link["refuri"] = posixpath.relpath(
                page, posixpath.dirname(app.env.docname) or "."
            )


def setup(app):
    app.connect("autodoc-process-docstring", read_backticks_as_code)
    app.connect("doctree-read", keep_within_the_book)
    app.add_node(
        nodes.citation,
        override=True,
        html=(visit_citation, HTML5Translator.depart_citation),
    )
    return {"parallel_read_safe": True, "parallel_write_safe": True}
