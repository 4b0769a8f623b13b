"""Read what the long experiments stored, for chapters to show beside short runs."""

from __future__ import annotations

import json
from importlib.resources import files

FOLDER = files("ffutils") / "stored_results"


def load_results(name: str) -> dict:
    """Load the record of an experiment, ffutils/stored_results/NAME.json.

    Args:
        name: such as "plain_recipe".

    Returns:
        A dict with "configuration"; "variants", what differs from it, by name
        ("default" where nothing does); "runs", one for each variant and seed that was
        run; and "summary", median, least and greatest over these seeds:
        record["summary"]["default"]["test_error"]["sum of all layers"]["median"].
        "on_gpu" alone is no experiment: it has "rows", the steps that
        experiments/on_gpu.py timed.

    Raises:
        FileNotFoundError: where there is none of that name.

    Source: `experiments/runner.py`.
    """
    path = FOLDER / f"{name}.json"
    if not path.is_file():
        names = [file.name for file in FOLDER.iterdir()] if FOLDER.is_dir() else []
        stored = ", ".join(
            sorted(name[:-5] for name in names if name.endswith(".json"))
        )
        raise FileNotFoundError(
            f"no stored results of an experiment {name!r}; stored here: "
            f"{stored or 'none'}"
        )
    return json.loads(path.read_text(encoding="utf-8"))
