"""Run one experiment, or all whose results are missing: python -m experiments [NAME]"""

import argparse
import importlib
import sys

import torch

from experiments import runner

NAMES = [
    "one_page", "plain_recipe", "closing_the_gap", "ablation", "paper_recipe", "jittered", "hybrids", "local_fields",
    "recurrent", "rivals_tuning", "rivals", "milestones", "published",
]  # fmt: skip


def main():
    parser = argparse.ArgumentParser(prog="python -m experiments", description=__doc__)
    parser.add_argument("name", nargs="?", choices=NAMES, help="which one; without a name, all that are not finished")
    parser.add_argument("--epochs", type=int, help="instead of the experiment's own (goes with --results)")
    parser.add_argument("--seeds", type=int, nargs="+", help="instead of the experiment's own")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="cpu, cuda or cuda:1")
    parser.add_argument("--results", default=runner.RESULTS, metavar="FOLDER", help="where NAME.json is written")
    chosen = parser.parse_args()
    try:
        torch.empty(0, device=chosen.device)
        for name in [chosen.name] if chosen.name else NAMES:
            print(f"== {name}", flush=True)
            experiment = importlib.import_module(f"experiments.{name}")
            runner.run(name, experiment, chosen.seeds, chosen.epochs, chosen.device, chosen.results)
    except KeyboardInterrupt:
        sys.exit("\nstopped: the same command goes on from the last epoch that was finished")
    except (OSError, RuntimeError, ValueError) as error:
        parser.exit(2, f"python -m experiments: error: {error}\n")


if __name__ == "__main__":
    main()
