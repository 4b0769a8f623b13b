"""Run one experiment, or all that are not finished: python -m experiments [NAME]"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

import torch

from experiments import runner
from experiments.catalogue import EXPERIMENTS
from experiments.experiment import Experiment


def usable_device(text: str) -> torch.device:
    """The device of that name; raises ArgumentTypeError where there is none here."""
    if not re.fullmatch(r"cpu|cuda(:[0-9]{1,2})?", text):
        message = f"expected cpu, cuda or cuda:1, got {text!r}"
        raise argparse.ArgumentTypeError(message)
    try:
        torch.zeros(1, device=text).item()
    except (AssertionError, RuntimeError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise argparse.ArgumentTypeError(
            f"{text!r} cannot be used here: {reason}; try cpu"
        ) from error
    return torch.device(text)


def whole_number(least: int):
    """A type for argparse: whole numbers from least on that PyTorch takes as seeds."""

    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,19}", text) or not least <= int(text) < 2**63:
            raise argparse.ArgumentTypeError(
                f"expected a whole number, {least} or more, below 2**63, got {text!r}"
            )
        return int(text)

    return parse


def parse_arguments(parser: argparse.ArgumentParser) -> argparse.Namespace:
    parser.add_argument(
        "name", nargs="?", choices=EXPERIMENTS,
        help="which one; without a name, all that are not finished",
    )  # fmt: skip
    parser.add_argument(
        "--list", action="store_true", help="say what is stored and what is left to do"
    )
    parser.add_argument(
        "--epochs", type=whole_number(1), help="instead of its own; needs --results"
    )
    parser.add_argument(
        "--seeds", type=whole_number(0), nargs="+", help="instead of its own"
    )
    parser.add_argument(
        "--device", type=usable_device, help="cpu, cuda or cuda:1",
        default="cuda" if torch.cuda.is_available() else "cpu",
    )  # fmt: skip
    parser.add_argument(
        "--results", type=Path, default=runner.RESULTS, metavar="FOLDER",
        help="where NAME.json is written",
    )  # fmt: skip
    parser.add_argument(
        "--fresh", action="store_true",
        help="train anew what was begun or finished in another folder",
    )  # fmt: skip
    args = parser.parse_args()
    if args.epochs is not None and args.results.resolve() == runner.RESULTS.resolve():
        parser.error("--epochs needs --results FOLDER, apart from the book's results")
    return args


# ---- What it will cost

ON_ONE_CORE = (
    "Core-hours: on one core of the machine that the stored runs name, with "
    "OMP_NUM_THREADS=1. Give two cores two commands, with a name or --seeds for each."
)


def overview(experiments: list[Experiment], folder: Path) -> str:
    """What is stored of each experiment, and what is left: a table."""
    rows, total = [("name", "what it is", "seeds", "core-hours left")], 0.0
    for experiment in experiments:
        missing = runner.missing_runs(experiment, folder)
        wanted, lacking = len(experiment.seeds), len({seed for seed, _ in missing})
        left = experiment.hours_of(missing)
        total += left
        seeds = f"{wanted - lacking} / {wanted}"
        rows.append((experiment.name, experiment.title, seeds, f"{left:.2f}"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        f"{name:<{widths[0]}}  {title:<{widths[1]}}  {seeds:>{widths[2]}}  {left:>15}"
        for name, title, seeds, left in rows
    ]
    return "\n".join([*lines, f"In all: {total:.1f} core-hours. {ON_ONE_CORE}"])


def announce(experiments: list[Experiment], args: argparse.Namespace) -> None:
    """Say how many runs there are to train, and what they will cost."""
    count, hours = 0, 0.0
    for experiment in experiments:
        if args.epochs is not None:
            experiment = experiment.with_epochs(args.epochs)
        missing = runner.missing_runs(experiment, args.results, args.seeds)
        count, hours = count + len(missing), hours + experiment.hours_of(missing)
    print(f"{count} runs to train, about {hours:.1f} core-hours.", flush=True)
    if count:
        print(ON_ONE_CORE, flush=True)


def main():
    sys.stdout.reconfigure(errors="backslashreplace")  # a terminal without a θ
    sys.stderr.reconfigure(errors="backslashreplace")
    parser = argparse.ArgumentParser(prog="python -m experiments", description=__doc__)
    args = parse_arguments(parser)
    chosen = [EXPERIMENTS[args.name]] if args.name else list(EXPERIMENTS.values())
    try:
        if args.list:
            print(overview(chosen, args.results))
            return
        announce(chosen, args)
        for experiment in chosen:
            print(f"== {experiment.name}", flush=True)
            runner.run(
                experiment, args.seeds, args.epochs, args.device, args.results,
                fresh=args.fresh,
            )  # fmt: skip
    except KeyboardInterrupt:
        print(
            "\nstopped: the same command goes on from its last epoch", file=sys.stderr
        )
        sys.exit(130)
    except (ArithmeticError, OSError, RuntimeError, ValueError, Warning) as error:
        message = " ".join(str(error).split()) or type(error).__name__
        parser.exit(2, f"python -m experiments: error: {message}\n")


if __name__ == "__main__":
    main()
