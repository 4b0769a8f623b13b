"""What a chapter's text states, held against the run that the reader has just made."""

from __future__ import annotations

import math
import os

from ffutils.tables import Table

AGREES, DIFFERS, UNSTATED = "✓", "differs", "–"


def check_claims(dataset: str, *claims: tuple) -> Table:
    """Show each claim of a chapter beside what this run measured.

    A claim is (text, measured, expected). Expected is the least and the greatest value
    for each data set, such as {"mnist": (2.6, 3.4), "digits": (3, 9)}; None for either
    end means that there is none. Of a claim that is true or false, measured is a bool
    and expected is left out.

    Args:
        dataset: the name that `load_dataset` returned.
        claims: any number of them.

    Returns:
        A table: claim, measured, expected, and whether the two agree. A data set for
        which nothing is stated has a dash.

    Raises:
        AssertionError: where a claim differs and FF_STRICT=1 is set, as the book's
            tests do. Readers, who may have edited something, only see the table.

    Source: the last cell of each chapter's text.
    """
    rows = [_row(dataset, *claim) for claim in claims]
    table = Table(["claim", "this run", "expected", "agrees"], rows)
    wrong = [row for row in rows if row[-1] == DIFFERS]
    if wrong and os.environ.get("FF_STRICT") == "1":
        raise AssertionError(
            f"{len(wrong)} of {len(rows)} claims of the text differ from this run:\n"
            f"{Table(table.head, wrong)}"
        )
    return table


def _row(dataset, text, measured, expected=True):
    """One claim as four texts."""
    if expected is True:
        verdict = AGREES if measured else DIFFERS
        return text, "yes" if measured else "no", "yes", verdict
    measured = float(measured)
    shown = _number(measured)
    if dataset not in expected:
        return text, shown, UNSTATED, UNSTATED
    low, high = expected[dataset]
    agrees = math.isfinite(measured)
    agrees &= (low is None or measured >= low) and (high is None or measured <= high)
    if low is None:
        span = f"at most {_number(high)}"
    elif high is None:
        span = f"at least {_number(low)}"
    else:
        span = f"{_number(low)} to {_number(high)}"
    return text, shown, span, AGREES if agrees else DIFFERS


def _number(value):
    """Four digits, or all that are before the point."""
    return f"{value:,.0f}" if 1000 <= abs(value) < math.inf else f"{value:.4g}"
