"""Print the tables that the README and the landing page show: python -m experiments.table"""

from experiments.runner import RESULTS
from ffutils.results import load_results

PLAIN_ROWS = {
    "**sum of all layers**": ("test error", "all layers"),
    "layers 2 + 3, without the first": ("test error", "all but the first"),
    "layer 1 alone": ("test error", "layer 1"),
    "layer 2 alone": ("test error", "layer 2"),
    "layer 3 alone": ("test error", "layer 3"),
    "control: layers 2 and 3 left random, sum of all": ("test error, upper layers random", "all layers"),
}
# Where the paper's way of judging is repeated, and that leaves out the first layer; and what the paper trained.
OWN = dict.fromkeys(("paper_recipe", "hybrids", "local_fields"), "all but the first")
PAPERS_SIZE = {
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
    "scores alone": "control: hidden layers left as they were drawn",
}


def plain_table():
    """Part 1's recipe, layer by layer, as a Markdown table."""
    record = load_results("plain_recipe")
    lines = [
        f"| Three layers of 500, plain recipe | Test error, median of {len(record['runs'])} seeds | least to greatest |",
        "|---|---|---|",
    ]
    for row, (kind, key) in PLAIN_ROWS.items():
        error = record["summary"][""][kind][key]
        lines.append(f"| {row} | {error['median']:.2f} % | {error['least']:.2f} to {error['greatest']:.2f} % |")
    return "\n".join(lines)


def paper_table():
    """Every experiment that has a counterpart in the paper, as a Markdown table; those that were not run are left out."""
    lines = ["| Experiment | Our network, epochs, seeds | Test error | Paper | Its network |", "|---|---|---|---|---|"]
    for name, size in PAPERS_SIZE.items():
        if not (RESULTS / f"{name}.json").exists():
            continue
        record = load_results(name)
        c, error = record["configuration"], record["summary"][""]["test error"][OWN.get(name, "all layers")]
        seeds = len({run["seed"] for run in record["runs"]})
        shown = f"**{error['median']:.2f} %**"
        if seeds > 1:
            shown += f" ({error['least']:.2f} to {error['greatest']:.2f})"
        network = c["network"] if isinstance(c["network"], str) else "-".join(map(str, c["network"]))
        cells = (
            f"{record['title']} | {network}, {c['epochs']}, {seeds} | {shown}"
            f" | {record['paper']['test error']:.2f} % (§{record['paper']['section']}) | {size}"
        )
        lines.append(f"| {cells} |")
    return "\n".join(lines)


def rivals_table():
    """Chapter 12's comparison as a Markdown table."""
    record = load_results("rivals")
    c, seeds = record["configuration"], len({run["seed"] for run in record["runs"]})
    lines = [
        f"| Three layers of {c['network'][1]}, {c['images']:,} images, {c['epochs']} epochs | Test error, median of {seeds} seeds"
        " | least to greatest |",
        "|---|---|---|",
    ]
    for variant, title in RIVALS.items():
        errors = record["summary"][variant]["test error"]
        error = errors.get("all layers", errors.get("scores"))
        lines.append(f"| {title} | {error['median']:.2f} % | {error['least']:.2f} to {error['greatest']:.2f} % |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(plain_table(), paper_table(), rivals_table(), sep="\n\n")
