"""What all experiments share: seeds, epochs with checkpoints between them, errors, and one file of results.

An experiment is a module of this package with

- `TITLE`, and `PAPER`: the paper's section and its test error in per cent, or None where it has no counterpart;
- `CONFIGURATION`: everything that was chosen, as plain numbers and words, "epochs" among them;
- `VARIANTS`: what differs from `CONFIGURATION`, by name; `{"": {}}` where nothing does;
- `SEEDS` and `STAGES`: "validation" trains on 50,000 images and judges the 10,000 held out, where choices are made;
  "test" trains on all 60,000 and judges the test set; "held out" is the first, which at its end judges the test set too;
- `Trial(configuration, split)`: one network in training, with `train_epoch(epoch)`, counted from 0, `errors(split)`,
  which returns {"error": {"layer 1": per cent, …}}, `state_dict()` and `load_state_dict(state)`.
"""

import json
import os
import platform
import statistics
import sys
import time
from pathlib import Path

import torch
import torchvision

from ffutils import error_rate, hold_out, layer_goodness, load_mnist

RESULTS = Path(__file__).parent / "results"
CHECKPOINTS = Path(__file__).parent / "checkpoints"


def run(name, experiment, seeds=None, epochs=None, device="cpu", results=RESULTS, checkpoints=CHECKPOINTS, splits=None):
    """Run what is missing of an experiment and return its record, which is written after every finished run.

    splits: the training and the test `Split`, MNIST's unless given. A checkpoint is written after every epoch; a run
    that was interrupted goes on from it, to the same end as one that was not.
    """
    configuration = experiment.CONFIGURATION | ({} if epochs is None else {"epochs": epochs})
    everything, test = load_mnist(device) if splits is None else splits
    path = Path(results) / f"{name}.json"
    record = read(path, name, experiment, configuration)
    for seed in experiment.SEEDS if seeds is None else seeds:
        for variant, changes in experiment.VARIANTS.items():
            if any((r["seed"], r["variant"]) == (seed, variant) for r in record["runs"]):
                continue
            checkpoint = Checkpoint(
                Path(checkpoints) / f"{name} {variant} {seed}.pt".replace(" ", "_"), configuration | changes
            )
            record["runs"].append(
                {"seed": seed, "variant": variant, **environment(device)}
                | run_stages(experiment, configuration | changes, seed, everything, test, checkpoint)
            )
            record["summary"] = summary(record["runs"])
            write(path, record)
            checkpoint.path.unlink(missing_ok=True)
    return record


def run_stages(experiment, configuration, seed, everything, test, checkpoint):
    """Errors and seconds of one seed: trained for validation, then once more for the test set, as STAGES says."""
    fit, validation = hold_out(everything)
    finished = checkpoint.load().get("finished", {})
    for stage in experiment.STAGES:
        if stage in finished.get("stages", []):
            continue
        seen, judged = (everything, test) if stage == "test" else (fit, validation)
        kind = "test" if stage == "test" else "validation"
        torch.manual_seed(seed)
        trial = experiment.Trial(configuration, seen)
        epoch, seconds, history = checkpoint.restore(trial, stage)
        while epoch < configuration["epochs"]:
            started = time.perf_counter()
            trial.train_epoch(epoch)
            epoch, seconds = epoch + 1, seconds + time.perf_counter() - started
            print(f"seed {seed}, {stage}: epoch {epoch}/{configuration['epochs']}, {seconds:.0f} s", flush=True)
            if epoch % configuration["judge every"] == 0 and epoch < configuration["epochs"]:
                history.append([epoch, round(seconds, 1), trial.errors(judged)["error"]])
                print(f"  {history[-1][2]}", flush=True)
            checkpoint.save(trial, stage, epoch, seconds, history, finished)
        errors = {f"{kind} {key}": value for key, value in trial.errors(judged).items()}
        if stage == "held out":
            errors |= {f"test {key}": value for key, value in trial.errors(test).items()}
        history.append([epoch, round(seconds, 1), errors[f"{kind} error"]])
        finished = finished | errors | {f"{kind} history": history, f"{kind} seconds to train": round(seconds, 1)}
        finished["stages"] = [*finished.get("stages", []), stage]
        print(f"  {errors}", flush=True)
    return {key: value for key, value in finished.items() if key != "stages"}


class Checkpoint:
    """One file that holds a run between two epochs: network, optimisers, random numbers, and what is finished."""

    def __init__(self, path, configuration):
        self.path, self.configuration = path, configuration

    def load(self):
        """What the file holds, or {} where there is none, or none that can be read, or one of another configuration."""
        try:
            held = torch.load(self.path, weights_only=True)
        except FileNotFoundError:
            return {}
        except Exception as error:
            print(f"{self.path.name} cannot be read ({type(error).__name__}): this run starts anew", file=sys.stderr)
            return {}
        return held if held["configuration"] == self.configuration else {}

    def restore(self, trial, stage):
        """Put the trial where it was left: returns (epochs done, seconds so far, history)."""
        held = self.load()
        if held.get("stage") != stage:
            return 0, 0.0, []
        trial.load_state_dict(held["trial"])
        torch.set_rng_state(held["rng"])
        if held["cuda rng"] is not None and torch.cuda.is_available():
            torch.cuda.set_rng_state(held["cuda rng"])
        return held["epoch"], held["seconds"], held["history"]

    def save(self, trial, stage, epoch, seconds, history, finished):
        self.path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = self.path.with_suffix(".tmp")
        torch.save(
            {
                "configuration": self.configuration,
                "stage": stage,
                "epoch": epoch,
                "seconds": seconds,
                "history": history,
                "finished": finished,
                "trial": trial.state_dict(),
                "rng": torch.get_rng_state(),
                "cuda rng": torch.cuda.get_rng_state() if torch.cuda.is_available() else None,
            },
            unfinished,
        )
        os.replace(unfinished, self.path)


def half_precision(device, enabled=True):
    """Matrix products in bfloat16. Without the cache, which would hold the weights of the first step for the epoch."""
    return torch.autocast(torch.device(device).type, torch.bfloat16, enabled, cache_enabled=False)


class NetTrial:
    """What trials of an `FFNet` share. A subclass sets `net` and `optimizers`, a list, and has `train_epoch`."""

    def errors(self, split):
        return {"error": net_errors(self.net, split)}

    def state_dict(self):
        return {"net": self.net.state_dict(), "optimizers": [optimizer.state_dict() for optimizer in self.optimizers]}

    def load_state_dict(self, state):
        self.net.load_state_dict(state["net"])
        for optimizer, held in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(held)


def net_errors(net, split):
    """What `goodness_errors` says of an `FFNet` on the images of a split."""
    return goodness_errors(layer_goodness(net, split.images), split.labels)


def goodness_errors(per_layer, labels):
    """Error in per cent of each layer's goodness (B, 10, L), of the sum, and of the sum without the first layer."""
    count = per_layer.shape[2]
    sums = {f"layer {k + 1}": [k] for k in range(count)}
    if count > 1:
        sums |= {"all but the first": list(range(1, count)), "all layers": list(range(count))}
    return {
        key: round(error_rate(per_layer[:, :, layers].sum(dim=2).argmax(dim=1), labels), 2)
        for key, layers in sums.items()
    }


def environment(device):
    on_gpu = str(device).startswith("cuda")
    return {
        "device": torch.cuda.get_device_name()
        if on_gpu
        else f"CPU ({processor()}), threads: {torch.get_num_threads()}",
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "torchvision": torchvision.__version__,
        },
    }


def processor():
    """The CPU's own name where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name")).replace("/", " ")
    except (OSError, StopIteration):
        return platform.machine()


def summary(runs):
    """For each variant and kind of error, the median, the least and the greatest over the seeds."""
    told = {}
    for variant in dict.fromkeys(run["variant"] for run in runs):
        mine = [run for run in runs if run["variant"] == variant]
        kinds = [key for key in mine[0] if "error" in key]
        told[variant] = {
            kind: {key: spread([run[kind][key] for run in mine]) for key in mine[0][kind]} for kind in kinds
        }
    return told


def spread(values):
    return {"median": round(statistics.median(values), 2), "least": min(values), "greatest": max(values)}


def read(path, name, experiment, configuration):
    """The record at path, or a new one. Exits where path holds results of another configuration."""
    if not path.exists():
        return {
            "name": name,
            "title": experiment.TITLE,
            "paper": experiment.PAPER,
            "dataset": "mnist",
            "configuration": configuration,
            "variants": experiment.VARIANTS,
            "runs": [],
        }
    record = json.loads(path.read_text())
    if record["configuration"] != configuration:
        sys.exit(f"{path.name} holds results of another configuration: move it away, or say --results FOLDER")
    record["variants"] = experiment.VARIANTS
    return record


def write(path, record):
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".tmp")
    unfinished.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(unfinished, path)
