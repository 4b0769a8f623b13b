"""Write the tables of results into the pages that show them.

python -m experiments.tables           writes each table between its two markers
python -m experiments.tables --check   writes nothing, and fails where a page is old

A table is made of what is stored: fewer seeds than were wanted, or a variant or a whole
experiment that was not run, make a table that says so, and no error.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from experiments.catalogue import EXPERIMENTS
from ffutils.results import load_results

ROOT = Path(__file__).resolve().parents[1]
PAGES = (
    "README.md", "index.md", "chapters/why_forward_forward.md", "appendix/results.md",
)  # fmt: skip
# In a page, a table stands between these, and is replaced as a whole.
BETWEEN = re.compile(r"(?s)(<!-- table: (\w+) -->\n)(?:(?!<!--).)*(<!-- end -->)")

DASH = "–"  # where a record has no such value
SUMS = {
    "sum of all layers": "Sum of all layers",
    "sum without layer 1": "Sum without layer 1",
    "all layers": "All layers",
    "all layers without layer 1": "All layers without layer 1",
}


@dataclass(frozen=True)
class Row:
    """One row of a table: which runs, and what a reader calls them."""

    title: str
    experiment: str
    variant: str = "default"
    errors: str = "test_error"


def rows_of(experiment, errors="test_error", titles=str):
    """A row for each variant of an experiment."""
    variants = EXPERIMENTS[experiment].variants
    return [Row(titles(v), experiment, v, errors) for v in variants]


# What a reader calls the methods of `milestones_fast`.
FAST = {
    "backpropagation": "backpropagation, fused Adam, bfloat16",
    "label in the image": "label in the image, gradients written out",
    "label in every layer": "label in every layer, gradients written out",
    "backpropagation, normalised": "backpropagation, normalised, fused Adam, bfloat16",
}

TABLES = {
    "supervised": [
        Row("Part 1's plain recipe", "plain_recipe"),
        Row(
            "Control: the same net with layers 2 and 3 untrained", "plain_recipe",
            errors="test_error_upper_layers_untrained",
        ),
        Row(
            "Control: three first layers, trained apart", "plain_recipe",
            "independent layers",
        ),  # fmt: skip
        Row("The algorithm on one page, as it stands", "one_page"),
        Row(
            "… with wrong labels that may be true", "one_page",
            "wrong labels that may be true",
        ),
        Row("… without normalisation", "one_page", "no normalisation"),
        Row("The paper's recipe", "paper_recipe"),
        Row("The recipe of a widely read article", "published", "the article's"),
        Row("The most copied public code", "published", "full batch"),
    ],
    "plain": [
        Row("Part 1's plain recipe", "plain_recipe", errors="validation_error"),
        Row("… nothing normalised between layers", "image_normalized",
            errors="validation_error"),
        Row("Part 1's plain recipe, five nets more", "one_pass",
            errors="validation_error"),
        Row("… the same five, asked through a softmax in one pass", "one_pass",
            errors="validation_error_one_pass"),
    ],
    "permutation": [
        Row("Forward-Forward", "permutation_invariant", "label in the image"),
        Row("Backpropagation", "permutation_invariant", "backpropagation"),
        Row("… normalised", "permutation_invariant", "backpropagation, normalised"),
    ],
    "permutation_tuning": rows_of("permutation_tuning", "validation_error"),
    "jittered": rows_of("jittered"),
    "jittered_tuning": rows_of("jittered_tuning", "validation_error"),
    "rivals": rows_of("rivals"),
    "milestones": rows_of("milestones") + rows_of("milestones_fast", titles=FAST.get),
    "affine": rows_of("affine"),
    "affine_wide": rows_of("affine_wide"),
    "affine_tuning": rows_of("affine_tuning", "validation_error"),
    "plain_fashion": rows_of("plain_fashion", titles=lambda _: "Part 1's plain recipe"),
    "affine_fashion": rows_of("affine_fashion"),
    "affine_fashion_tuning": rows_of("affine_fashion_tuning", "validation_error"),
    "unsupervised": [
        Row("Hybrid images, fully connected", "hybrids"),
        Row("… at the paper's size", "hybrids_wide"),
        Row("Hybrid images, local receptive fields", "local_fields"),
    ],
    "recurrent": [Row("Recurrent, top-down, iterations 3 to 5", "recurrent")],
    "iterations": [
        Row("Judged at one iteration, on validation images", "recurrent",
            errors="validation_error_by_iteration"),
        Row("Judged at one iteration, on test images", "recurrent",
            errors="test_error_by_iteration"),
    ],
    "cifar": rows_of("cifar"),
    "sequences": rows_of("sequences"),
    "sequences_softmax": [
        *(
            row
            for row in rows_of("sequences", "test_error_softmax")
            if not row.variant.startswith(("backpropagation", "layer 1 alone"))
        ),
        Row("untrained layers", "sequences", "teacher forcing",
            "test_error_softmax_untrained"),
    ],
    "ablation": rows_of("ablation"),
    "tuning": rows_of("rivals_tuning", "validation_error"),
    "targets_tuning": rows_of("targets_tuning", "validation_error"),
    "fast_tuning": rows_of("milestones_fast_tuning", "validation_error"),
    "depth": rows_of("depth_narrow"),
    "depth_fashion": rows_of("depth_narrow_fashion"),
    "depth_wide": rows_of("depth_wide"),
    "depth_wide_fashion": rows_of("depth_wide_fashion"),
    "depth_tuning": rows_of("depth_tuning", "validation_error"),
    "depth_wide_rates": rows_of("depth_wide_rates", "validation_error"),
}  # fmt: skip

# What the methods of chapters 07 and 10 to 12 optimise; their records name it alone.
IN_HALVES = "logistic, 10 × (goodness − 1)"
METHODS = {
    "teacher forcing": (IN_HALVES, "predicted by the net"),
    "teacher forcing, true ones too": (IN_HALVES, "predicted by the net"),
    "self-generated": (IN_HALVES, "written by the net"),
    "random next characters": (IN_HALVES, "random"),
    "Forward-Forward": ("pair", "hard, layer 1"),
    "Forward-Forward, high": ("pair", "hard, softmax on one upward pass"),
    "Forward-Forward, low": ("pair", "hard, softmax on one upward pass"),
    "label in the image": ("pair", "hard, all layers"),
    "label in the image, gradients through all layers": ("pair", "hard, all layers"),
    "label in the image, one loss on the sum, gradients through all layers": (
        "pair, on the sum",
        "hard, all layers",
    ),
    "independent layers": ("pair", "hard, each layer"),
    "label in every layer": ("pair", "hard, each layer"),
    "cross-entropy in every layer": ("cross-entropy", DASH),
    "softmax on every layer": ("cross-entropy", DASH),
    "backpropagation": ("cross-entropy", DASH),
    "backpropagation, normalised": ("cross-entropy", DASH),
    "backpropagation, tanh network": ("cross-entropy", DASH),
    "target propagation": ("targets", DASH),
    "difference target propagation": ("targets", DASH),
    "output layer alone": ("cross-entropy", DASH),
}


# ---- What is stored


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


def complete(name: str) -> bool:
    """Whether every run that the catalogue wants is stored."""
    record, experiment = stored(name), EXPERIMENTS[name]
    runs = record["runs"] if record else []
    return {(run["seed"], run["variant"]) for run in runs} >= set(experiment.runs())


def shown(error: dict | None, seeds: int) -> str:
    """A cell: the median, and with several seeds the least and the greatest."""
    if error is None:
        return DASH
    median = f"{error['median']:.2f}"
    if seeds < 2:
        return median
    return f"{median} ({error['least']:.2f}–{error['greatest']:.2f})"


# ---- What a configuration says, in words


def network_of(config):
    if "field" in config:  # maps, of which each unit sees a square
        width, field = config["units"] * config["side"] ** 2, config["field"]
        return f"{config['layers']} × {width}, fields {field}×{field}"
    network = config.get("network", DASH)
    if isinstance(network, str):
        return network.replace("x", "×")
    hidden = network[1:]
    if len(set(hidden)) == 1:
        return f"{len(hidden)} × {hidden[0]}"
    return "-".join(map(str, network))


def loss_of(config):
    loss = METHODS.get(config.get("method"), [config.get("loss", DASH)])[0]
    if loss == "pair":
        return f"pair, scale {config['scale']:g}"
    if loss == "logistic":
        scale = config["scale"] or "width"
        return f"logistic, {scale} × (goodness − {config['threshold']:g})"
    return loss.replace(" x ", " × ").replace(" - ", " − ")


def negatives_of(config):
    method = config.get("method")
    if method in METHODS and not (method == "label in the image" and "loss" in config):
        return METHODS[method][1]
    negatives = config.get("negatives", DASH)
    share = config.get("random_share", 0)
    return f"{negatives}; {100 * share:g} % random" if share else negatives


def augmentation_of(config):
    """How the images are varied in training."""
    if "dropped_pixels" not in config and "jitter" not in config:
        return DASH
    varied = []
    if config.get("dropped_pixels"):
        varied.append(f"{100 * config['dropped_pixels']:g} % of the pixels dropped")
    if config.get("degrees"):
        varied.append(
            f"turned by up to {config['degrees']:g}°, stretched and slanted by up to "
            f"{100 * config['share']:g} %, shifted by up to {config['jitter']} px"
        )
    elif config.get("jitter"):
        varied.append(f"jitter, {config['jitter']} px")
    if config.get("mirrored"):
        varied.append("half of them mirrored")
    return ", ".join(varied) or "none"


def images_of(row, config):
    """How many images a run has learnt from; of text, how many windows."""
    if EXPERIMENTS[row.experiment].dataset == "aesop":
        return f"{178 * 90:,} windows"  # of 178 strings
    if EXPERIMENTS[row.experiment].dataset == "cifar10":
        return f"{49_923 - 49_923 // 6:,}"  # the results page says what is left out
    held_out = "validation_and_test" in EXPERIMENTS[row.experiment].stages
    held_out |= row.errors.startswith("validation")
    return f"{config.get('images', 50_000 if held_out else 60_000):,}"


def kind_of(row, config):
    """How far it is from the paper; the results page explains the words."""
    loss = loss_of(config)
    if config.get("method") in METHODS and loss != IN_HALVES and loss[:4] != "pair":
        return "not FF"
    if str(config.get("method")).endswith("gradients through all layers"):
        return "not FF"
    if row.experiment == "published" or config.get("threshold") == 2:
        return "public code"
    if loss.startswith("pair"):
        return "descendant"
    negatives = negatives_of(config)
    if negatives.startswith("hybrids") or "softmax" in negatives:
        return "as published"
    return "simplified"


# ---- Tables


def order(key):
    """Layers first, then what was judged otherwise, then the sums."""
    kinds = ["layer", "output", "softmax", "iteration", *SUMS]
    return kinds.index(key if key in SUMS else key.split()[0]), key


def table(name: str) -> str:
    """A table of TABLES in Markdown: a row for each of its runs that are stored."""
    found = []
    for row in TABLES[name]:
        record = stored(row.experiment)
        if record is None or not seeds_of(record, row.variant):
            continue
        config = record["configuration"] | record["variants"].get(row.variant, {})
        found.append((row, record, config))
    if not found:
        missing = dict.fromkeys(row.experiment for row in TABLES[name])
        return f"No run of {' or '.join(f'`{m}`' for m in missing)} is stored."
    keys = set().union(
        *(record["summary"][row.variant][row.errors] for row, record, _ in found)
    )
    keys = sorted(keys, key=order)
    paper = any(paper_cell(row) for row, *_ in found)
    head = ["What was trained", *(SUMS.get(key, key.capitalize()) for key in keys)]
    head += ["The paper"] * paper + ["Seeds", "Training images", "Network"]
    head += ["Epochs", "Loss", "Negatives", "Augmentation", "Kind"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for row, record, config in found:
        seeds = seeds_of(record, row.variant)
        errors = record["summary"][row.variant][row.errors]
        cells = [
            row.title,
            *(shown(errors.get(key), seeds) for key in keys),
            *[paper_cell(row) or DASH] * paper,
            str(seeds), images_of(row, config), network_of(config),
            str(config["epochs"]), loss_of(config), negatives_of(config),
            augmentation_of(config), kind_of(row, config),
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def paper_cell(row):
    """The paper's figure, beside the runs that were made to compare with it."""
    paper = EXPERIMENTS[row.experiment].paper
    ours = row.variant in ("default", "label in the image")
    compared = ours and row.errors == "test_error"
    if not (paper and paper.test_error and compared):
        return ""
    network = "" if paper.network is None else f"; {paper.network}"
    return f"{paper.test_error:.2f} (§{paper.section}{network})"


# ---- The small table of the landing page and the README

PART_1 = Row("**Forward-Forward, part 1**, 3 × 500", "plain_recipe")
CHAPTER_06 = Row("Forward-Forward, chapter 06, 3 × 500", "rivals", "Forward-Forward")
BACKPROP = Row("*Backpropagation, the same terms*", "rivals", "backpropagation")
VARIED = Row(
    "**Forward-Forward, images varied**, 3 × 500", "affine",
    "label in the image, 36 epochs",
)  # fmt: skip
VARIED_BACKPROP = Row("*Backpropagation, the same terms*", "affine", "backpropagation")
HEAD = (
    "Test error on MNIST, %", "Layers 1 · 2 · 3 alone", "Sum of all layers",
    "Sum without layer 1", "Seeds",
)  # fmt: skip


def headline() -> str:
    """One sentence, the table, and how it was measured."""
    rows, configs, medians = [], {}, {}
    for row in (PART_1, CHAPTER_06, BACKPROP, VARIED, VARIED_BACKPROP):
        record = stored(row.experiment)
        seeds = seeds_of(record, row.variant) if record else 0
        if not seeds:
            continue
        errors = record["summary"][row.variant]["test_error"]
        layers = [errors[key] for key in sorted(errors) if key.startswith("layer ")]
        output = errors.get("output layer")
        whole = output or errors["sum of all layers"]
        medians[row] = f"{whole['median']:.2f} %"
        configs[row] = record["configuration"] | record["variants"].get(row.variant, {})
        cells = [
            row.title,
            " · ".join(f"{layer['median']:.2f}" for layer in layers) or DASH,
            f"output: {shown(whole, seeds)}" if output else shown(whole, seeds),
            shown(errors.get("sum without layer 1"), seeds),
            str(seeds),
        ]  # fmt: skip
        rows.append(f"| {' | '.join(cells)} |")
    lines = [f"| {' | '.join(HEAD)} |", "|---" * len(HEAD) + "|", *rows]
    if len(medians) == 5:
        sentence = (
            f"**The plain algorithm gets {medians[PART_1]} of MNIST's test images "
            "wrong. Chapter 06's recipe (a loss that compares the two passes, "
            "plausible wrong labels) with dropped pixels brings that to "
            f"{medians[CHAPTER_06]}; "
            f"backpropagation gets {medians[BACKPROP]} wrong on the same terms. "
            "Turning, stretching and shifting the training images a little brings "
            f"Forward-Forward to {medians[VARIED]} and backpropagation to "
            f"{medians[VARIED_BACKPROP]}.**"
        )
        lines = [sentence, "", *lines, "", how_measured(configs)]
    return "\n".join(lines)


def how_measured(configs):
    """The note below the small table."""
    part_1, fair, varied = (configs[row] for row in (PART_1, CHAPTER_06, VARIED))
    tries = [
        sum(name.startswith("backpropagation:") for name in EXPERIMENTS[key].variants)
        for key in ("rivals_tuning", "affine_tuning")
    ]
    return (
        "Medians; in brackets the least and the greatest. The label is the one with "
        "the largest goodness: in one layer, in the sum of all layers, or in the sum "
        "without layer 1, which is the paper's rule. "
        f"Part 1: {images_of(PART_1, part_1)} images, {part_1['epochs']} epochs. "
        f"Chapter 06: {images_of(CHAPTER_06, fair)} images, {fair['epochs']} epochs, "
        f"{augmentation_of(fair)}, each method at the best of {tries[0]} settings. "
        f"Varied: {images_of(VARIED, varied)} images, {varied['epochs']} epochs, "
        f"{augmentation_of(varied)}, each method at the best of {tries[1]} settings, "
        "which Forward-Forward chose at half the epochs. "
        "Part 1 has the paper's logistic loss and random wrong labels. The other rows "
        "of Forward-Forward have a loss that compares the two passes, as in SymBa, and "
        "wrong labels that the net finds plausible: they are descendants of the "
        "published algorithm. Apart from these variations, no network is told which "
        "pixels are neighbours."
    )


def benchmarked(kind) -> str:
    """What the benchmark stored, as one of its tables."""
    from experiments import benchmark, step_times  # here, since they import this module

    text = (ROOT / "experiments" / "benchmark.json").read_text(encoding="utf-8")
    record = json.loads(text)
    if kind in ("headline", "table"):
        return getattr(benchmark, kind)(record)
    return getattr(step_times, kind)(record["in_turn"])


def make(name: str) -> str:
    """The table of this name."""
    match name:
        case "headline":
            return headline()
        case "ratios":
            return benchmarked("headline")
        case "benchmark":
            return benchmarked("table")
        case "step_times":
            return benchmarked("step_table")
        case "prediction_times":
            return benchmarked("prediction_table")
        case "times_to_error":
            return benchmarked("error_table")
    return table(name)


def renewed(text: str) -> str:
    """A page's text with each of its tables as it is made today."""
    return BETWEEN.sub(lambda old: f"{old[1]}\n{make(old[2])}\n\n{old[3]}", text)


def main():
    parser = argparse.ArgumentParser(
        prog="python -m experiments.tables", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--check", action="store_true", help="write nothing")
    check = parser.parse_args().check
    old = False
    for page in PAGES:
        path = ROOT / page
        before = path.read_text(encoding="utf-8")
        after = renewed(before)
        if before == after:
            continue
        old = True
        print(f"{'old' if check else 'written'}: {page}")
        if not check:
            path.write_text(after, encoding="utf-8")
    if not old:
        print("every table is as stored")
    return int(old and check)


if __name__ == "__main__":
    sys.exit(main())
