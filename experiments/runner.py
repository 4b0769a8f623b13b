"""What all experiments share: seeds, checkpoints, errors, one file of results.

An experiment is a module of this package with

- `TITLE`, and `PAPER`: the paper's section and its test error in per cent, or None
  where it has no counterpart;
- `CONFIGURATION`: everything that was chosen, as numbers and words, "epochs" among
  them;
- `VARIANTS`: what differs from `CONFIGURATION`, by name; `{"default": {}}` where
  nothing does;
- `SEEDS` and `STAGES`: "validation" trains on 50,000 images and evaluates on the other
  10,000, where choices are made; "test" trains on all 60,000 and evaluates on the test
  set; "validation_and_test" is the first, which at its end reads the test set, too;
- `Trial(configuration, split)`: one network in training, with `net`,
  `train_epoch(epoch)`, counted from 0, which returns the epoch's mean loss or losses,
  `errors(split)`, which returns {"error": {"layer 1": per cent, …}}, `state_dict()` and
  `load_state_dict(state)`.

Several processes may run one experiment at once, say each with seeds of its own:
results are merged under a lock, and a run that another process is at is refused.
"""

from __future__ import annotations

import json
import platform
import statistics
import time
from pathlib import Path

import torch
import torchvision

from experiments.checkpoint import Checkpoint
from experiments.storage import locked, replacing
from ffutils import Split, error_rate, layer_errors, load_mnist, split_validation

RESULTS = Path(__file__).parent / "results"
CHECKPOINTS = Path(__file__).parent / "checkpoints"


def run(
    name: str,
    experiment,
    seeds: list[int] | None = None,
    epochs: int | None = None,
    device: str | torch.device = "cpu",
    results: str | Path = RESULTS,
    checkpoints: str | Path | None = None,
    splits: tuple[Split, Split] | None = None,
) -> dict:
    """Run what is missing of an experiment.

    A checkpoint is written after every epoch; a run that was interrupted goes on from
    it, to the same end as one that was not.

    Args:
        name: of the file of results, and of the checkpoints.
        experiment: a module of this package, or what has its attributes.
        seeds, epochs: instead of the experiment's own.
        device: "cpu", "cuda" or "cuda:1".
        results: the folder of NAME.json, which is written after every finished run.
        checkpoints: their folder; where results go elsewhere, a folder beside them.
        splits: the training and the test `Split`, MNIST's unless given.

    Returns:
        The record: what NAME.json holds at the end.

    Raises:
        ValueError: for results of other settings, or a file that holds none.
        BlockingIOError: where another process is at one of the runs.
        FloatingPointError: for a training that has diverged.
    """
    device, results = torch.device(device), Path(results)
    if checkpoints is None:
        own = results.resolve() == RESULTS.resolve()
        checkpoints = CHECKPOINTS if own else results / "checkpoints"
    new = new_record(name, experiment, epochs)
    path = results / f"{name}.json"
    record = read(path, new)
    train, test = load_mnist(device) if splits is None else splits
    for seed in experiment.SEEDS if seeds is None else seeds:
        for variant, changes in new["variants"].items():
            if has_run(record, seed, variant):
                continue
            configuration = new["configuration"] | changes
            checkpoint = Checkpoint(checkpoints, name, variant, seed, configuration)
            with checkpoint.owned():
                record = read(path, new)
                if has_run(record, seed, variant):  # finished elsewhere in the meantime
                    continue
                result = run_stages(experiment, configuration, train, test, checkpoint)
                entry = {"seed": seed, "variant": variant}
                record = add_run(path, new, entry | environment(device) | result)
                checkpoint.delete()
    return record


def run_stages(
    experiment, configuration: dict, train: Split, test: Split, checkpoint: Checkpoint
) -> dict:
    """Train for each stage of an experiment; returns errors, histories and seconds."""
    train_part, validation = split_validation(train)
    device, epochs = train.images.device, configuration["epochs"]
    finished = checkpoint.load().get("finished", {})
    for stage in experiment.STAGES:
        if stage in finished.get("stages", []):
            continue
        on_test = stage == "test"
        learn_from, evaluate_on = (train, test) if on_test else (train_part, validation)
        kind = "test" if on_test else "validation"
        trial, epoch, seconds, history = begin(
            experiment, configuration, learn_from, checkpoint, stage
        )
        while epoch < epochs:
            started = time.perf_counter()
            losses = trial.train_epoch(epoch)
            synchronize(device)  # else the clock stops before the GPU has finished
            epoch, seconds = epoch + 1, seconds + time.perf_counter() - started
            check_converging(trial.net, losses, f"{checkpoint.title}, epoch {epoch}")
            print(
                f"{checkpoint.title}, {stage}: epoch {epoch}/{epochs}, {seconds:.0f} s",
                flush=True,
            )
            if epoch % configuration["eval_every"] == 0 and epoch < epochs:
                error = trial.errors(evaluate_on)["error"]
                history.append([epoch, round(seconds, 1), error])
                print(f"  {error}", flush=True)
            checkpoint.save(trial, stage, epoch, seconds, history, finished, device)
        errors = prefixed(kind, trial.errors(evaluate_on))
        if stage == "validation_and_test":
            errors |= prefixed("test", trial.errors(test))
        history.append([epoch, round(seconds, 1), errors[f"{kind}_error"]])
        finished = finished | errors
        finished[f"{kind}_history"] = history
        finished[f"{kind}_seconds_to_train"] = round(seconds, 1)
        finished["stages"] = [*finished.get("stages", []), stage]
        print(f"  {errors}", flush=True)
    return {key: value for key, value in finished.items() if key != "stages"}


def begin(experiment, configuration, split, checkpoint, stage):
    """A new trial, put where its checkpoint left it, if there is one that fits.

    Returns (trial, epochs done, seconds so far, history).
    """
    while True:
        torch.manual_seed(checkpoint.seed)
        trial = experiment.Trial(configuration, split)
        left = checkpoint.restore(trial, stage, split.images.device)
        if left is not None:
            return trial, *left


def prefixed(kind: str, errors: dict) -> dict:
    return {f"{kind}_{key}": value for key, value in errors.items()}


def check_converging(net, losses, where: str) -> None:
    """Raise FloatingPointError unless an epoch's losses and all weights are finite."""
    values = [*net.parameters()] + ([] if losses is None else [torch.as_tensor(losses)])
    if not all(value.isfinite().all() for value in values):
        raise FloatingPointError(
            f"{where}: a loss or a weight is not finite, the training has diverged; "
            "lower lr. The checkpoint of the epoch before is kept"
        )


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def autocast_bf16(device: torch.device, enabled: bool = True) -> torch.autocast:
    """Matrix products in bfloat16, inside a `with` block.

    Without the cache, which would hold the weights of the first step for the epoch.
    """
    return torch.autocast(device.type, torch.bfloat16, enabled, cache_enabled=False)


class NetTrial:
    """What trials of an `FFNet` share.

    A subclass sets `net` and `optimizers`, a list, and has `train_epoch`.
    """

    def errors(self, split):
        return {"error": net_errors(self.net, split)}

    def state_dict(self):
        optimizers = [optimizer.state_dict() for optimizer in self.optimizers]
        return {"net": self.net.state_dict(), "optimizers": optimizers}

    def load_state_dict(self, state):
        self.net.load_state_dict(state["net"])
        pairs = zip(self.optimizers, state["optimizers"], strict=True)
        for optimizer, held in pairs:
            optimizer.load_state_dict(held)


def net_errors(net, split: Split) -> dict[str, float]:
    """`layer_errors` of an `FFNet`, rounded."""
    return {key: round(error, 2) for key, error in layer_errors(net, split).items()}


def score_errors(scores: dict[str, torch.Tensor], labels: torch.Tensor) -> dict:
    """Error in per cent, rounded, of the labels with the largest scores.

    scores: tensors (B, n_classes) by name; labels: (B,).
    """
    return {
        key: round(error_rate(score.argmax(dim=1), labels), 2)
        for key, score in scores.items()
    }


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


def new_record(name: str, experiment, epochs: int | None = None) -> dict:
    """The record of an experiment before its first run; epochs: instead of its own."""
    other = {} if epochs is None else {"epochs": epochs}
    record = {
        "name": name,
        "title": experiment.TITLE,
        "paper": experiment.PAPER,
        "dataset": "mnist",
        "configuration": experiment.CONFIGURATION | other,
        "variants": {
            variant: changes | (other if "epochs" in changes else {})
            for variant, changes in experiment.VARIANTS.items()
        },
        "runs": [],
    }
    return json.loads(json.dumps(record))  # tuples become lists, as in the file


def has_run(record: dict, seed: int, variant: str) -> bool:
    return any((r["seed"], r["variant"]) == (seed, variant) for r in record["runs"])


def add_run(path: Path, new: dict, entry: dict) -> dict:
    """Add a run to the record at path, whatever others have added in the meantime."""
    with locked(path):
        record = read(path, new)
        if not has_run(record, entry["seed"], entry["variant"]):
            record["runs"].append(entry)
        record["summary"] = summary(record["runs"])
        text = json.dumps(record, indent=1, ensure_ascii=False) + "\n"
        with replacing(path) as unfinished:
            unfinished.write_text(text, encoding="utf-8")
    return record


def read(path: Path, new: dict) -> dict:
    """The record at path, or the new one where there is none.

    Raises:
        ValueError: for results of other settings, or a file that holds none.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        runs, variants = record["runs"], record["variants"]
        ran = {run["variant"]: variants[run["variant"]] for run in runs}
    except FileNotFoundError:
        return new | {"runs": []}
    except (ValueError, LookupError, TypeError) as error:
        problem = f"holds no results ({type(error).__name__})"
    else:
        same = record["configuration"] == new["configuration"] and all(
            changes == new["variants"].get(variant, changes)
            for variant, changes in ran.items()
        )
        if same:
            return record | {"variants": new["variants"]}
        problem = "holds results of another configuration"
    raise ValueError(f"{path} {problem}: move it away, or say --results FOLDER")
