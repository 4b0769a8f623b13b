"""Read what the long experiments stored, which the chapters show beside their own short runs."""

import json
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "experiments" / "results"


def load_results(name):
    """The record of a finished experiment, such as "plain_recipe": the content of experiments/results/NAME.json.

    Returns a dict with "configuration", "runs", one per seed, and "summary"; see `experiments/runner.py`.
    Raises FileNotFoundError where there is none of that name.
    """
    path = FOLDER / f"{name}.json"
    if not path.is_file():
        stored = ", ".join(sorted(file.stem for file in FOLDER.glob("*.json"))) or "none"
        raise FileNotFoundError(f"no stored results of an experiment {name!r}; stored here: {stored}")
    return json.loads(path.read_text(encoding="utf-8"))
