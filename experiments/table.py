"""Print the table of results that the README and the landing page show: python -m experiments.table"""

import json
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
ROWS = {
    "**sum of all layers**": ("test error", "all layers"),
    "layers 2 + 3, without the first": ("test error", "layers 2 + 3"),
    "layer 1 alone": ("test error", "layer 1"),
    "layer 2 alone": ("test error", "layer 2"),
    "layer 3 alone": ("test error", "layer 3"),
    "control: layers 2 and 3 left random, sum of all": ("test error, upper layers random", "all layers"),
}


def table(record):
    """The results of plain_recipe.json as a Markdown table."""
    seeds = len(record["runs"])
    lines = [
        f"| Three layers of 500, plain recipe | Test error, median of {seeds} seeds | least to greatest |",
        "|---|---|---|",
    ]
    for row, (kind, key) in ROWS.items():
        error = record["summary"][kind][key]
        lines.append(f"| {row} | {error['median']:.2f} % | {error['least']:.2f} to {error['greatest']:.2f} % |")
    return "\n".join(lines)


def load():
    return json.loads((RESULTS / "plain_recipe.json").read_text())


if __name__ == "__main__":
    print(table(load()))
