"""How experiments run: seeds, checkpoints, errors, one file of results for each.

Several processes may run one experiment at once, say each with seeds of its own, in
whatever clones: results are merged under a lock, and a run that another process is at
is refused.
"""

from __future__ import annotations

import json
import platform
import re
import statistics
import time
from dataclasses import asdict
from pathlib import Path

import torch
import torchvision

from experiments.checkpoint import Checkpoint, Left, code_of
from experiments.experiment import Experiment
from experiments.storage import locked, replacing, runs_folder
from experiments.trials.cifar import load_cifar10
from experiments.trials.sequences import load_strings
from ffutils import Split, load_mnist, results, split_validation

RESULTS = Path(str(results.FOLDER))


def run(
    experiment: Experiment,
    seeds: list[int] | None = None,
    epochs: int | None = None,
    device: str | torch.device = "cpu",
    folder: str | Path = RESULTS,
    cache: str | Path | None = None,
    splits: tuple[Split, Split] | None = None,
    fresh: bool = False,
) -> dict:
    """Run what is missing of an experiment.

    A checkpoint is written after every epoch; a run that was interrupted goes on from
    it, to the same end as one that was not. A run that has finished, and is not among
    the results any more, is taken from the cache.

    Args:
        experiment: of the catalogue, or one's own.
        seeds, epochs: instead of the experiment's own.
        device: "cpu", "cuda" or "cuda:1".
        folder: that of NAME.json, which is written after every finished run.
        cache: the folder of checkpoints and finished runs, the user's unless given.
        splits: the training and the test `Split`, those of the data set unless given.
        fresh: whether to train anew what the cache holds.

    Returns:
        The record: what NAME.json holds at the end.

    Raises:
        ValueError: for results of other settings, or a file that holds none.
        BlockingIOError: where another process is at one of the runs.
        FloatingPointError: for a training that has diverged.
    """
    device, path = torch.device(device), Path(folder) / f"{experiment.name}.json"
    cache = runs_folder() if cache is None else cache
    if epochs is not None:
        experiment = experiment.with_epochs(epochs)
    code, record = code_of(experiment), read(path, experiment)
    for seed, variant in experiment.runs(seeds):
        if has_run(record, seed, variant):
            continue
        checkpoint = Checkpoint(cache, experiment, variant, seed, code)
        with checkpoint.owned():
            record = read(path, experiment)
            if has_run(record, seed, variant):  # finished elsewhere in the meantime
                continue
            if fresh:
                checkpoint.set_aside()
            entry = checkpoint.adopt()
            if entry is None:
                checkpoint.tell_of_other_code()
                splits = splits or load_splits(device, experiment.dataset)
                result = run_stages(experiment, variant, splits, checkpoint)
                entry = {"seed": seed, "variant": variant}
                entry |= environment(device) | result
                checkpoint.finish(entry)
            record = add_run(path, experiment, entry)
            checkpoint.delete()
    return record


def run_stages(
    experiment: Experiment,
    variant: str,
    splits: tuple[Split, Split],
    checkpoint: Checkpoint,
) -> dict:
    """Train for each stage of an experiment; returns errors, histories and seconds."""
    config, device = experiment.configs[variant], splits[0].images.device
    finished = checkpoint.load().get("finished", {})
    for stage in experiment.stages:
        if stage in finished.get("stages", []):
            continue
        kind = "test" if stage == "test" else "validation"
        learn_from, evaluate_on = images_of(stage, *splits)
        trial, left = start(experiment.trial, config, learn_from, checkpoint, stage)
        epoch, seconds, history = left
        while epoch < config.epochs:
            started = time.perf_counter()
            losses = trial.train_epoch(epoch)
            synchronize(device)  # else the clock stops before the GPU has finished
            epoch, seconds = epoch + 1, seconds + time.perf_counter() - started
            check_converging(trial.net, losses, f"{checkpoint.title}, epoch {epoch}")
            print(
                f"{checkpoint.title}, {stage}: epoch {epoch}/{config.epochs}, "
                f"{seconds:.0f} s",
                flush=True,
            )
            if epoch % config.eval_every == 0 and epoch < config.epochs:
                error = trial.errors(evaluate_on)["error"]
                history = [*history, [epoch, round(seconds, 1), error]]
                print(f"  {error}", flush=True)
            left = Left(epoch, seconds, history)
            checkpoint.save(trial, stage, left, finished, device)
        errors = prefixed(kind, trial.errors(evaluate_on))
        if stage == "validation_and_test":
            errors |= prefixed("test", trial.errors(splits[1]))
        history = [*history, [epoch, round(seconds, 1), errors[f"{kind}_error"]]]
        finished = finished | errors | trial.kept()
        finished[f"{kind}_history"] = history
        finished[f"{kind}_seconds_to_train"] = round(seconds, 1)
        finished["stages"] = [*finished.get("stages", []), stage]
        print(f"  {errors[f'{kind}_error']}", flush=True)
    return {key: value for key, value in finished.items() if key != "stages"}


def load_splits(device: torch.device, dataset: str) -> tuple[Split, Split]:
    """The training and the test `Split`; of Aesop's Fables they hold strings."""
    others = {"aesop": load_strings, "cifar10": load_cifar10}
    if dataset in others:
        return others[dataset](device)
    return load_mnist(device, dataset)


def images_of(stage: str, train: Split, test: Split) -> tuple[Split, Split]:
    """What a stage learns from, and what it is evaluated on."""
    return (train, test) if stage == "test" else split_validation(train)


def start(trial_class, config, split, checkpoint, stage):
    """A new trial, put where its checkpoint left it, if there is one that fits."""
    while True:
        torch.manual_seed(checkpoint.seed)
        trial = trial_class(config, split)
        left = checkpoint.restore(trial, stage, split.images.device)
        if left is not None:
            return trial, left


def prefixed(kind: str, found: dict) -> dict:
    """What `errors` returned, by split; which images were wrong, of the test set alone.

    With these, two methods can be compared image by image (McNemar 1947).
    """
    return {
        f"{kind}_{key}": value
        for key, value in found.items()
        if key != "wrong" or kind == "test"
    }


def check_converging(net, losses, where: str) -> None:
    """Raise FloatingPointError unless an epoch's losses and all weights are finite."""
    finite = [torch.stack([p.isfinite().all() for p in net.parameters()]).all()]
    if losses is not None:
        finite.append(torch.as_tensor(losses).isfinite().all())
    if not all(finite):
        raise FloatingPointError(
            f"{where}: a loss or a weight is not finite, the training has diverged; "
            "lower lr. The checkpoint of the epoch before is kept"
        )


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def environment(device: torch.device) -> dict:
    """The device's name, and the versions of what computes."""
    cpu = f"CPU ({processor()}), threads: {torch.get_num_threads()}"
    on_gpu = device.type == "cuda"
    return {
        "device": torch.cuda.get_device_name(device) if on_gpu else cpu,
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "torchvision": torchvision.__version__,
        },
    }


def processor() -> str:
    """The CPU's own name where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        name = next(line for line in lines if line.startswith("model name"))
        return name.split(":")[1].strip().replace("/", " ")
    except (OSError, StopIteration):
        return platform.machine()


# ---- The record: what NAME.json holds


def summary(runs: list[dict]) -> dict:
    """For each variant and kind of error, median, least and greatest over the seeds."""
    result = {}
    for variant in dict.fromkeys(run["variant"] for run in runs):
        same = [run for run in runs if run["variant"] == variant]
        kinds = [key for key in same[0] if "error" in key]
        result[variant] = {
            kind: {
                key: spread([run[kind][key] for run in same]) for key in same[0][kind]
            }
            for kind in kinds
        }
    return result


def spread(values):
    median = round(statistics.median(values), 2)
    return {"median": median, "least": min(values), "greatest": max(values)}


def new_record(experiment: Experiment) -> dict:
    """The record of an experiment before its first run."""
    record = {
        "name": experiment.name,
        "title": experiment.title,
        "paper": experiment.paper and asdict(experiment.paper),
        "dataset": experiment.dataset,
        "configuration": experiment.config.as_dict(),
        "variants": experiment.variants,
        "runs": [],
    }
    return json.loads(json.dumps(record))  # tuples become lists, as in the file


def has_run(record: dict, seed: int, variant: str) -> bool:
    return (seed, variant) in runs_of(record)


def runs_of(record: dict) -> list[tuple[int, str]]:
    return [(run["seed"], run["variant"]) for run in record["runs"]]


def missing_runs(
    experiment: Experiment,
    folder: str | Path = RESULTS,
    seeds: list[int] | None = None,
) -> list[tuple[int, str]]:
    """(seed, variant) of the runs that are wanted and not among the results."""
    stored = runs_of(read(Path(folder) / f"{experiment.name}.json", experiment))
    return [run for run in experiment.runs(seeds) if run not in stored]


def add_run(path: Path, experiment: Experiment, entry: dict) -> dict:
    """Add a run to the record at path, whatever others have added in the meantime."""
    with locked(path):
        record = read(path, experiment)
        if not has_run(record, entry["seed"], entry["variant"]):
            record["runs"].append(entry)
        record["summary"] = summary(record["runs"])
        with replacing(path) as unfinished:
            unfinished.write_text(as_text(record), encoding="utf-8")
    return record


def as_text(record: dict) -> str:
    """JSON with a field on each line, and a list of numbers on one."""
    text = json.dumps(record, indent=1, ensure_ascii=False)
    return re.sub(r"\[\n\s*([-+\d.,e\s]*?)\n\s*\]", on_one_line, text) + "\n"


def on_one_line(found: re.Match) -> str:
    return f"[{' '.join(found[1].split())}]"


def read(path: Path, experiment: Experiment) -> dict:
    """The record at path, or a new one where there is none.

    What a stored configuration does not have, a field that is newer than the run, is
    taken to be its default.

    Raises:
        ValueError: for results of other settings, or a file that holds none.
    """
    new = new_record(experiment)
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        configuration, variants = record["configuration"], record["variants"]
        ran = {
            variant: configuration | variants[variant] for _, variant in runs_of(record)
        }
        dataset = record["dataset"]
        summary(record["runs"])  # which reads every error
    except FileNotFoundError:
        return new
    except (ValueError, LookupError, TypeError) as error:
        problem = f"holds no results ({type(error).__name__})"
    else:
        if dataset == experiment.dataset and all(
            same_config(experiment, variant, values) for variant, values in ran.items()
        ):
            kept = {key: record[key] for key in ("runs", "summary") if key in record}
            # A variant that is wanted no more keeps its runs, and says all of itself.
            return new | kept | {"variants": ran | new["variants"]}
        problem = "holds results of another configuration"
    raise ValueError(f"{path} {problem}: move it away, or say --results FOLDER")


def same_config(experiment: Experiment, variant: str, values: dict) -> bool:
    """Whether a stored configuration is that of a variant; true for variants of old."""
    try:
        stored = type(experiment.config)(**values)
    except (TypeError, ValueError):
        return False
    return stored == experiment.configs.get(variant, stored)
