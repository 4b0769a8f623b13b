"""The experiments on a pretended GPU: every trial, on from the CPU and back, and the benchmark."""

import itertools
from dataclasses import replace

import pytest
import torch
from pretend_cuda import pretended_cuda
from tiny_experiments import few_digits, few_examples, tiny

from experiments import benchmark, runner
from experiments.catalogue import EXPERIMENTS
from experiments.checkpoint import Checkpoint
from ffutils import Split


def kind_of(experiment, config):
    """Configurations that differ in numbers alone, other than 0, put tensors to the same places."""
    words = {
        key: value if isinstance(value, str) else bool(value)
        for key, value in config.as_dict().items()
    }
    return experiment.trial, *words.items()


TRIALS = {}  # for each kind, the first
for experiment in EXPERIMENTS.values():
    for variant, config in experiment.configs.items():
        TRIALS.setdefault(
            kind_of(experiment, config),
            (f"{experiment.name}, {variant}", experiment.trial, config),
        )
TRIALS = {name: rest for name, *rest in TRIALS.values()}


def on(device, splits):
    return [Split(*(part.to(device) for part in split)) for split in splits]


def trained(trial, config, split, state=None, epoch=0):
    torch.manual_seed(0)
    made = trial(config, split)
    if state is not None:
        made.load_state_dict(state)
    made.train_epoch(epoch)
    return made


def places(value):
    """The devices of all tensors in a state."""
    if torch.is_tensor(value):
        return {value.device.type}
    parts = (
        value.values()
        if isinstance(value, dict)
        else value
        if isinstance(value, list | tuple)
        else ()
    )
    return set().union(*map(places, parts))


def kept(state, path):
    """A state as a checkpoint keeps it: written where it is, read on the CPU."""
    torch.save(state, path)
    return torch.load(path, map_location="cpu", weights_only=True)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", TRIALS)
def test_a_trial_goes_on_from_the_cpu_to_a_gpu_and_back(name, mnist_of, tmp_path):
    trial, config = TRIALS[name]
    mnist_of(60)
    config, splits = tiny(config), few_examples(trial, 60, 30)
    begun = trained(trial, config, splits[0]).state_dict()
    with pretended_cuda():
        split, test = on("cuda", splits)
        new = trained(trial, config, split)
        assert "cuda" in places(new.state_dict()) and new.errors(test)["error"]
        here = trained(trial, config, split, kept(begun, tmp_path / "begun"), 1)
        assert here.errors(test)["error"]
        left = kept(here.state_dict(), tmp_path / "left")
    assert places(left) <= {"cpu"}
    assert trained(trial, config, splits[0], left, 2).errors(splits[1])["error"]


@pytest.mark.parametrize(
    "trial, config",
    {trial: (trial, config) for trial, config in TRIALS.values()}.values(),
)
def test_a_trial_stays_on_the_cpu_where_there_is_a_gpu(trial, config, mnist_of):
    mnist_of(60)
    with pretended_cuda():
        assert places(
            trained(trial, tiny(config), few_examples(trial, 60, 30)[0]).state_dict()
        ) == {"cpu"}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", ["hybrids", "plain_recipe"])
def test_a_run_that_is_cut_off_goes_on_on_the_other_device(name, tmp_path, monkeypatch):
    experiment = EXPERIMENTS[name]
    experiment = replace(
        experiment, config=tiny(experiment.config), variants={"default": {}}, seeds=(0,)
    )
    save, devices = Checkpoint.save, []

    def save_and_stop(*args):
        save(*args)
        devices.append(args[-1].type)
        raise KeyboardInterrupt

    monkeypatch.setattr(Checkpoint, "save", save_and_stop)
    with pretended_cuda():
        for device in itertools.cycle(["cpu", "cuda"]):
            try:
                record = runner.run(
                    experiment, device=device, folder=tmp_path, cache=tmp_path / "cache",
                    splits=tuple(on(device, few_digits(60, 30))),
                )  # fmt: skip
                break
            except KeyboardInterrupt:
                continue
    assert len(record["runs"]) == 1 and {"cpu", "cuda"} == set(devices)
    assert len(devices) == 3 * len(experiment.stages)  # epochs: none was trained twice


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_benchmark(monkeypatch):
    def tiny_trial(timed, split):
        experiment = EXPERIMENTS[timed["experiment"]]
        config = experiment.configs[timed["variant"]]
        config = tiny(config, config.epochs)
        return experiment.trial(config, split), config

    monkeypatch.setattr(benchmark, "trial_of", tiny_trial)
    with pretended_cuda():
        split, test = on("cuda", few_digits(60, 30))
        sizes = {"widths": (12,), "rounds": 4, "batch_size": 20, "images": 20}
        record = benchmark.measure(split, test, repeats=1, size=16, **sizes)
    assert record["machine"]["device"] == "a pretended GPU" and len(
        record["rows"]
    ) == len(benchmark.METHODS)
