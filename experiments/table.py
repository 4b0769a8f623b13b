"""Print the tables of the README and the landing page: python -m experiments.table"""

import sys

from experiments.runner import RESULTS
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
# Where the paper's rule is followed, that leaves out layer 1; and what the paper
# trained.
PAPER_RULE = {
    "paper_recipe": "sum without layer 1",
    "hybrids": "all layers without layer 1",
    "local_fields": "all layers without layer 1",
}
PAPER_NETWORKS = {
    "closing_the_gap": "4 layers of 2000, 60 epochs",
    "paper_recipe": "the same",
    "jittered": "4 layers of 2000, 500 epochs",
    "hybrids": "4 layers of 2000, 100 epochs",
    "local_fields": "the same grid, 60 epochs",
    "recurrent": "2 or 3 layers of 2000, 60 epochs",
}
RIVALS = {
    "Forward-Forward": "Forward-Forward, chapter 06's recipe without jitter",
    "backpropagation": "backpropagation",
    "difference target propagation": "difference target propagation",
    "target propagation": "target propagation, as first proposed",
    "output layer alone": "control: hidden layers at their random initial weights",
}


def spread_cells(error):
    """Two cells of a table: the median, and the least to the greatest."""
    least, greatest = error["least"], error["greatest"]
    return f"{error['median']:.2f} % | {least:.2f} to {greatest:.2f} %"


def plain_table():
    """Part 1's recipe, layer by layer, as a Markdown table."""
    record = load_results("plain_recipe")
    lines = [
        "| Three layers of 500, plain recipe | Test error, median of "
        f"{len(record['runs'])} seeds | least to greatest |",
        "|---|---|---|",
    ]
    for row, (kind, key) in PLAIN_ROWS.items():
        error = record["summary"]["default"][kind][key]
        lines.append(f"| {row} | {spread_cells(error)} |")
    return "\n".join(lines)


def paper_table():
    """Every experiment that has a counterpart in the paper, as a Markdown table.

    Those that were not run are left out.
    """
    lines = [
        "| Experiment | Our network, epochs, seeds | Test error | Paper "
        "| Its network |",
        "|---|---|---|---|---|",
    ]
    for name, paper_network in PAPER_NETWORKS.items():
        if not (RESULTS / f"{name}.json").exists():
            continue
        record = load_results(name)
        c, paper = record["configuration"], record["paper"]
        key = PAPER_RULE.get(name, "sum of all layers")
        error = record["summary"]["default"]["test_error"][key]
        seeds = len({run["seed"] for run in record["runs"]})
        shown = f"**{error['median']:.2f} %**"
        if seeds > 1:
            shown += f" ({error['least']:.2f} to {error['greatest']:.2f})"
        network = c["network"]
        if not isinstance(network, str):
            network = "-".join(map(str, network))
        cells = (
            record["title"],
            f"{network}, {c['epochs']}, {seeds}",
            shown,
            f"{paper['test_error']:.2f} % (§{paper['section']})",
            paper_network,
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def rivals_table():
    """Chapter 12's comparison as a Markdown table."""
    record = load_results("rivals")
    c, seeds = record["configuration"], len({run["seed"] for run in record["runs"]})
    lines = [
        f"| Three layers of {c['network'][1]}, {c['images']:,} images, {c['epochs']} "
        f"epochs | Test error, median of {seeds} seeds | least to greatest |",
        "|---|---|---|",
    ]
    for variant, title in RIVALS.items():
        errors = record["summary"][variant]["test_error"]
        error = errors.get("sum of all layers", errors.get("output layer"))
        lines.append(f"| {title} | {spread_cells(error)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8")  # the pages', whatever the terminal's
    print(plain_table(), paper_table(), rivals_table(), sep="\n\n")
