"""Results as a rendered table: HTML in a notebook, aligned text elsewhere."""

from __future__ import annotations

import html
from collections.abc import Sequence


class Table:
    """A small table that a notebook renders and `print` aligns.

    Args:
        head: the titles of the columns.
        rows: for each row one text per column; the first names the row.
        caption: a line below.

    Raises:
        ValueError: for a row that has more or fewer columns than the head.

    Source: used by chapters 02 to 15.
    """

    def __init__(self, head: Sequence, rows: Sequence[Sequence], caption: str = ""):
        self.head = [str(cell) for cell in head]
        self.rows = [[str(cell) for cell in row] for row in rows]
        self.caption = caption
        for row in self.rows:
            if len(row) != len(self.head):
                raise ValueError(f"expected {len(self.head)} columns, got {row}")

    def __repr__(self):
        rows = [self.head, *self.rows]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(
                cell.ljust(width) if k == 0 else cell.rjust(width)
                for k, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in rows
        ]
        return "\n".join([*lines, *([self.caption] if self.caption else [])])

    def _repr_html_(self):
        def line(cells, tag):
            first, *rest = (html.escape(cell) for cell in cells)
            rest = "".join(f'<{tag} style="text-align:right">{c}</{tag}>' for c in rest)
            return f'<tr><th style="text-align:left">{first}</th>{rest}</tr>'

        body = "".join(line(row, "td") for row in self.rows)
        caption = f"<caption>{html.escape(self.caption)}</caption>" * bool(self.caption)
        head = f"<thead>{line(self.head, 'th')}</thead>"
        return f"<table>{caption}{head}<tbody>{body}</tbody></table>"
