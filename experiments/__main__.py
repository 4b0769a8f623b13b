"""Run one experiment, or all that are not finished: python -m experiments [NAME]"""

from __future__ import annotations

import argparse
import importlib
import re
import sys
from pathlib import Path

import torch

from experiments import runner

NAMES = [
    "one_page", "plain_recipe", "closing_the_gap", "ablation", "paper_recipe",
    "jittered", "hybrids", "local_fields", "recurrent", "rivals_tuning", "rivals",
    "milestones", "published",
]  # fmt: skip


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
        "name", nargs="?", choices=NAMES,
        help="which one; without a name, all that are not finished",
    )  # fmt: skip
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
    args = parser.parse_args()
    if args.epochs is not None and args.results.resolve() == runner.RESULTS.resolve():
        parser.error("--epochs needs --results FOLDER, apart from the book's results")
    return args


def main():
    sys.stdout.reconfigure(errors="backslashreplace")  # a terminal without a θ
    sys.stderr.reconfigure(errors="backslashreplace")
    parser = argparse.ArgumentParser(prog="python -m experiments", description=__doc__)
    args = parse_arguments(parser)
    try:
        for name in [args.name] if args.name else NAMES:
            print(f"== {name}", flush=True)
            experiment = importlib.import_module(f"experiments.{name}")
            runner.run(
                name, experiment, args.seeds, args.epochs, args.device, args.results
            )
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
