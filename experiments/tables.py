"""Print the tables of the README and the landing page: python -m experiments.tables

A table is made of what is stored: fewer seeds than were wanted, or a variant or a whole
experiment that was not run, make a table that says so, and no error.
"""

import sys

from experiments.catalogue import EXPERIMENTS
from ffutils.results import load_results

UNTRAINED = "control: layers 2 and 3 at their random initial weights, sum of all layers"
PLAIN_ROWS = {
    "**sum of all layers**": ("test_error", "sum of all layers"),
    "sum without layer 1": ("test_error", "sum without layer 1"),
    "layer 1 alone": ("test_error", "layer 1"),
    "layer 2 alone": ("test_error", "layer 2"),
    "layer 3 alone": ("test_error", "layer 3"),
    UNTRAINED: ("test_error_upper_layers_untrained", "sum of all layers"),
}
RIVALS = {
    "Forward-Forward": "Forward-Forward, chapter 06's recipe without jitter",
    "backpropagation": "backpropagation",
    "difference target propagation": "difference target propagation",
    "target propagation": "target propagation, as first proposed",
    "output layer alone": "control: hidden layers at their random initial weights",
}


def stored(name: str) -> dict | None:
    """The record of an experiment, or None where no run of it is stored."""
    try:
        record = load_results(name)
    except FileNotFoundError:
        return None
    return record if record["runs"] else None


def seeds_of(record: dict, variant: str) -> int:
    """How many seeds of a variant are stored."""
    return sum(run["variant"] == variant for run in record["runs"])


def count_of(seeds: int) -> str:
    return f"{seeds} seed{'s' * (seeds != 1)}"


def spread_cells(error: dict) -> str:
    """Two cells of a table: the median, and the least to the greatest."""
    least, greatest = error["least"], error["greatest"]
    return f"{error['median']:.2f} % | {least:.2f} to {greatest:.2f} %"


def plain_table() -> str:
    """Part 1's recipe, layer by layer, as a Markdown table."""
    record = stored("plain_recipe")
    if record is None:
        return "No run of `plain_recipe` is stored."
    lines = [
        "| Three layers of 500, plain recipe | Test error, median of "
        f"{count_of(seeds_of(record, 'default'))} | least to greatest |",
        "|---|---|---|",
    ]
    for row, (kind, key) in PLAIN_ROWS.items():
        error = record["summary"]["default"][kind][key]
        lines.append(f"| {row} | {spread_cells(error)} |")
    return "\n".join(lines)


def paper_table() -> str:
    """Every experiment that has a counterpart in the paper, as a Markdown table.

    Those that were not run are left out.
    """
    lines = [
        "| Experiment | Our network, epochs, seeds | Test error | Paper "
        "| Its network |",
        "|---|---|---|---|---|",
    ]
    for experiment in EXPERIMENTS.values():
        paper, record = experiment.paper, stored(experiment.name)
        if not (paper and paper.network and record and seeds_of(record, "default")):
            continue
        error = record["summary"]["default"]["test_error"][paper.judge]
        seeds = seeds_of(record, "default")
        shown = f"**{error['median']:.2f} %**"
        if seeds > 1:
            shown += f" ({error['least']:.2f} to {error['greatest']:.2f})"
        network = experiment.config.network
        if not isinstance(network, str):
            network = "-".join(map(str, network))
        cells = (
            experiment.title,
            f"{network}, {experiment.config.epochs}, {seeds}",
            shown,
            f"{paper.test_error:.2f} % (§{paper.section})",
            paper.network,
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def rivals_table() -> str:
    """Chapter 12's comparison as a Markdown table.

    A method with fewer seeds than another says how many.
    """
    record, config = stored("rivals"), EXPERIMENTS["rivals"].config
    if record is None:
        return "No run of `rivals` is stored."
    most = max(seeds_of(record, variant) for variant in RIVALS)
    lines = [
        f"| Three layers of {config.network[1]}, {config.images:,} images, "
        f"{config.epochs} epochs | Test error, median of {count_of(most)} "
        "| least to greatest |",
        "|---|---|---|",
    ]
    for variant, title in RIVALS.items():
        seeds = seeds_of(record, variant)
        if not seeds:
            continue
        errors = record["summary"][variant]["test_error"]
        error = errors.get("sum of all layers", errors.get("output layer"))
        fewer = f" ({count_of(seeds)})" * (seeds < most)
        lines.append(f"| {title}{fewer} | {spread_cells(error)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8")  # the pages', whatever the terminal's
    print(plain_table(), paper_table(), rivals_table(), sep="\n\n")
