"""Experiments refuse what they do not know, and each of them can be run and resumed."""

import ast
import copy
import dataclasses
import json
import shutil
import subprocess
import sys
import typing
from pathlib import Path
from types import SimpleNamespace
from typing import Literal

import pytest
import torch
import torchvision
from tiny_experiments import few_digits, few_examples, tiny

from experiments import runner
from experiments.__main__ import overview
from experiments.catalogue import EXPERIMENTS
from experiments.checkpoint import Checkpoint, Left, code_of
from experiments.experiment import Experiment, Paper, checked
from experiments.trials.one_page import OnePageConfig
from experiments.trials.paper_recipe import PaperConfig
from experiments.trials.published import PublishedConfig
from experiments.trials.recurrent import RecurrentConfig
from experiments.trials.rivals import RivalsConfig
from experiments.trials.shared import judge, net_scores
from experiments.trials.supervised import SupervisedConfig, SupervisedTrial
from experiments.trials.unsupervised import UnsupervisedConfig
from ffutils import FFNet, layer_errors, load_digits
from ffutils.results import load_results

ROOT = Path(__file__).parent.parent


# ---- A configuration holds what its trial knows, and nothing else

CHOICE = r"Input should be 'half cosine' or 'constant' .*'half a cosin'"
NONSENSE = [
    ({"lr_schedul": "constant"}, r"lr_schedul\n  Unexpected .*'constant'"),
    ({"upper lr factor": 3}, r"upper lr factor\n  Unexpected .*3"),
    ({"lr_schedule": "half a cosin"}, r"lr_schedule\n  " + CHOICE),
    ({"loss": "logistc"}, r"loss\n .*'pair' or 'logistic' .*'logistc'"),
    ({"optimizer": "SGD, momentum 0.9"}, r"optimizer\n .*'Adam' .*'SGD, momentum"),
    ({"negatives": None}, r"negatives\n .*'hard, layer 1', .*None"),
    ({"precision": "float16"}, r"precision\n .*'float32' or 'bfloat16'"),
    ({"lr": -0.1}, r"lr\n .*greater than 0 .*-0.1"),
    ({"lr": "0.1"}, r"lr\n .*valid number .*'0.1'"),
    ({"lr": True}, r"lr\n .*valid number .*True"),
    ({"lr": float("inf")}, r"lr\n .*finite number"),
    ({"dropped_pixels": 1}, r"dropped_pixels\n .*less than 1"),
    ({"epochs": 0}, r"epochs\n .*greater than 0"),
    ({"epochs": 2.0}, r"epochs\n .*valid integer .*2.0"),
    ({"epochs": True}, r"epochs\n .*valid integer .*True"),
    ({"network": 784}, r"network\n .*valid tuple .*784"),
    ({"network": [784]}, r"network\n .*at least 2 items .*784"),
    ({"network": [784, 0]}, r"network.1\n .*greater than 0"),
    ({"frozen": [3]}, "frozen: expected some of 0 to 2"),
    ({"threshold": 2}, "a threshold other than 1 is for the logistic loss"),
    ({"scale": 0}, "a scale of 0, the width, is for the logistic loss"),
    ({"loss": "logistic", "margin": 1}, "a margin is for the loss on pairs"),
    ({"negatives": "hard, softmax", "network": [784, 9]}, "no layer above the first"),
]


@pytest.mark.parametrize("values, message", NONSENSE)
def test_nonsense_is_refused(values, message):
    """With the field, its value, and what was expected."""
    with pytest.raises(ValueError, match=message):
        SupervisedConfig(**values)
    with pytest.raises(ValueError, match=message):
        SupervisedConfig().changed(**values)


GRIDS = ((28, 1, 28, 1, 12), (1, 12, 1, 1, 12))


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: RivalsConfig(method="backprop"), r"method\n .*'backpropagation'"),
        (lambda: RecurrentConfig(network=[784, 50, 9]), "the last size is the label's"),
        (lambda: RecurrentConfig(network=[784, 10]), "at least 3 items"),
        (lambda: RecurrentConfig(steps=4), r"steps\n .*5"),
        (lambda: PaperConfig(network=[784, 10]), "at least 3 items"),
        (lambda: PublishedConfig(batch_size="all"), "batch_size.*\n .*'all images'"),
        (
            lambda: PublishedConfig(batch_size="all images"),
            "negatives: batches of all images, so 'labels shuffled once'",
        ),
        (lambda: OnePageConfig(replaced=["a"]), "expected two pieces of code, or none"),
        (
            lambda: UnsupervisedConfig(network=[784, 500, 500], grids=GRIDS, epochs=1),
            r"network: its grids make \(784, 12, 12\)",
        ),
        (
            lambda: UnsupervisedConfig(network=[784, 12], grids=[[28, 1]], epochs=1),
            r"grids.0\n .*at least 5 items",
        ),
    ],
)
def test_every_family_refuses_what_it_does_not_know(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_configuration_cannot_be_changed_afterwards():
    with pytest.raises(dataclasses.FrozenInstanceError):
        SupervisedConfig().lr = 1.0


def test_a_configuration_is_the_same_after_a_file():
    config = SupervisedConfig(network=(784, 20), frozen=(0,), scale=30)
    stored = json.loads(json.dumps(config.as_dict()))
    assert SupervisedConfig(**stored) == config
    assert SupervisedConfig(scale=30) == SupervisedConfig(scale=30.0)


def make(**changes):
    values = {
        "name": "tiny", "title": "Tiny", "trial": SupervisedTrial,
        "config": tiny(SupervisedConfig()), "seeds": (0,), "stages": ("test",),
        "core_hours": 1,
    }  # fmt: skip
    return Experiment(**(values | changes))


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"name": "Two words"}, r"name\n .*match pattern"),
        ({"seeds": ()}, r"seeds\n .*at least 1 item"),
        ({"seeds": (1, 1)}, "seeds is .*each once"),
        ({"seeds": (-1,)}, r"seeds.0\n .*greater than or equal to 0"),
        ({"stages": ("tests",)}, r"stages.0\n .*'validation', 'test' or"),
        ({"stages": ("test", "validation_and_test")}, "stands alone"),
        ({"core_hours": 0}, r"core_hours\n .*greater than 0"),
        (
            {"dataset": "digits"},
            r"dataset\n .*'mnist', 'fashion', 'cifar10' or 'aesop'",
        ),
        ({"variants": {}}, r"variants\n .*at least 1 item"),
        ({"variants": {"a": {"los": "pair"}}}, r"tiny, 'a': .*\nlos\n"),
        ({"variants": {"a": {"loss": "pai"}}}, r"tiny, 'a': .*\nloss\n .*'pai'"),
        ({"config": {"lr": 1}}, "config\n .*Config"),
        ({"paper": {"section": "3.3"}}, "paper\n .*Paper"),
        ({"cost": 3}, r"cost\n  Unexpected"),
    ],
)
def test_an_experiment_refuses_what_it_does_not_know(changes, message):
    with pytest.raises(ValueError, match=message):
        make(**changes)


def test_the_papers_side_is_checked_too():
    with pytest.raises(ValueError, match=r"test_error\n .*'1.36'"):
        Paper(section="3.3", test_error="1.36")


# ---- A stored run stays one when its configuration gets a new field


@checked
class LaterConfig(SupervisedConfig):
    """As `SupervisedConfig` will be once somebody adds a field with a default."""

    warm_up: float = 0.0


def stored_run(folder):
    entry = {"seed": 0, "variant": "default", "test_error": {"layer 1": 1.0}}
    runner.add_run(folder / "tiny.json", make(), entry)


def later(**changes):
    return make(config=LaterConfig(**make().config.as_dict(), **changes))


def test_a_new_field_with_a_default_keeps_stored_runs(tmp_path):
    stored_run(tmp_path)
    assert runner.missing_runs(later(), tmp_path) == []
    record = runner.read(tmp_path / "tiny.json", later())
    assert record["configuration"]["warm_up"] == 0.0  # which the next write stores


def test_another_value_of_it_is_another_configuration(tmp_path):
    stored_run(tmp_path)
    with pytest.raises(ValueError, match="another configuration"):
        runner.missing_runs(later(warm_up=0.1), tmp_path)


def test_a_field_that_is_gone_is_another_configuration(tmp_path):
    runner.add_run(
        tmp_path / "tiny.json", later(warm_up=0.1), {"seed": 0, "variant": "default"}
    )
    with pytest.raises(ValueError, match="another configuration"):
        runner.missing_runs(make(), tmp_path)


def test_results_of_another_data_set_are_not_mixed(tmp_path):
    stored_run(tmp_path)
    with pytest.raises(ValueError, match="another configuration"):
        runner.missing_runs(make(dataset="fashion"), tmp_path)


def test_a_variant_that_is_wanted_no_more_keeps_its_runs(tmp_path):
    both = make(variants={"default": {}, "slow": {"lr": 0.001}})
    path = tmp_path / "tiny.json"
    for variant in both.variants:
        runner.add_run(path, both, {"seed": 0, "variant": variant})
    runner.add_run(path, make(seeds=(0, 1)), {"seed": 1, "variant": "default"})
    record = runner.read(path, both)
    assert len(record["runs"]) == 3
    assert record["variants"]["slow"]["lr"] == 0.001
    assert runner.missing_runs(both, tmp_path) == []


# ---- Each of the catalogue trains, and resumes


def families():
    """Each experiment, and each of its variants that the trial tells apart."""
    for name, experiment in EXPERIMENTS.items():
        seen = set()
        for variant, config in experiment.configs.items():
            kind = tuple(v for v in config.as_dict().values() if isinstance(v, str))
            if name != "rivals_tuning" or kind not in seen:  # 52 tries of five methods
                yield pytest.param(experiment, variant, id=f"{name}: {variant}")
            seen.add(kind)


@pytest.fixture(scope="module")
def splits():
    return few_digits()


@pytest.fixture
def small_mnist(splits, monkeypatch):
    """What the notebook finds where it looks for MNIST."""

    def load(folder, train, download):
        images, labels = splits[0] if train else splits[1]
        pixels = (255 * images).round().to(torch.uint8).view(-1, 28, 28)
        return SimpleNamespace(data=pixels, targets=labels)

    monkeypatch.setattr(torchvision.datasets, "MNIST", load)
    monkeypatch.setenv("FF_DATA", str(ROOT))  # where nobody will look


@pytest.mark.parametrize("experiment, variant", list(families()))
def test_it_trains_and_resumes_to_the_same_end(
    experiment, variant, small_mnist, tmp_path
):
    train, test = few_examples(experiment.trial)
    experiment = dataclasses.replace(
        experiment, config=tiny(experiment.configs[variant]), variants={"default": {}}
    )
    config, device = experiment.config, torch.device("cpu")
    torch.manual_seed(3)
    whole = experiment.trial(config, train)
    weights = [copy.deepcopy(whole.net.state_dict())]
    whole.train_epoch(0)
    checkpoint = Checkpoint(tmp_path, experiment, "default", 3, "code")
    checkpoint.save(whole, "test", Left(1, 1.0, []), {}, device)
    before = torch.get_rng_state()
    whole.errors(test)
    assert torch.equal(torch.get_rng_state(), before)  # looking changes nothing
    weights.append(copy.deepcopy(whole.net.state_dict()))
    whole.train_epoch(config.epochs - 1)  # of the last layer, where they take turns
    weights.append(whole.net.state_dict())
    assert not same(weights[0], weights[1]) and not same(weights[1], weights[2])
    resumed, left = runner.start(experiment.trial, config, train, checkpoint, "test")
    assert left.epoch == 1
    resumed.train_epoch(config.epochs - 1)
    assert same(whole.state_dict(), resumed.state_dict())
    assert same(whole.errors(test), resumed.errors(test))


def same(a, b):
    """Whether two states hold the same to the last bit, clocks apart."""
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(
            key == "cpu_seconds" or same(a[key], b[key]) for key in a
        )
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return torch.equal(a, b) if torch.is_tensor(a) else a == b


# ---- Errors, and which images they were made on


def test_errors_are_those_of_layer_errors():
    train, test = load_digits()
    torch.manual_seed(0)
    for sizes in ([784, 30, 30, 30], [784, 30]):
        net = FFNet(*sizes)
        found = judge(net_scores(net, test.images), test.labels)
        expected = layer_errors(net, test)
        assert found["error"] == {key: round(e, 2) for key, e in expected.items()}


def test_wrong_images_are_told_by_number():
    labels = torch.arange(10)
    scores = torch.eye(10)
    scores[[2, 7]] = scores[[7, 2]]
    found = judge({"layer 1": scores}, labels)
    assert found == {"error": {"layer 1": 20.0}, "wrong": {"layer 1": [2, 7]}}


def test_wrong_images_are_stored_of_the_test_set_alone(splits, tmp_path):
    experiment = make(stages=("validation_and_test",))
    record = runner.run(experiment, folder=tmp_path, cache=tmp_path, splits=splits)
    (entry,) = record["runs"]
    assert "validation_wrong" not in entry
    for name, error in entry["test_error"].items():
        wrong = entry["test_wrong"][name]
        assert error == pytest.approx(100 * len(wrong) / len(splits[1].labels))
    assert "test_wrong" not in record["summary"]["default"]
    text = (tmp_path / "tiny.json").read_text(encoding="utf-8")
    assert json.loads(text) == record
    assert any(line.count(",") > 5 for line in text.splitlines())  # on one line each


def test_the_data_set_is_the_experiments(splits, tmp_path, monkeypatch):
    asked = []

    def load(device, name):
        asked.append(name)
        return splits

    monkeypatch.setattr(runner, "load_mnist", load)
    fashion = make(dataset="fashion")
    record = runner.run(fashion, folder=tmp_path, cache=tmp_path / "cache")
    assert asked == ["fashion"] == [record["dataset"]]
    (path,) = (tmp_path / "cache").iterdir()
    assert json.loads(path.read_text("utf-8"))["configuration"]["dataset"] == "fashion"
    mnist = Checkpoint(tmp_path, make(), "default", 0, "code").path
    assert mnist != Checkpoint(tmp_path, fashion, "default", 0, "code").path


# ---- The code behind a run

OLD_CODE = """
import sys
from experiments.catalogue import EXPERIMENTS
from experiments.checkpoint import code_of
print(*(code_of(EXPERIMENTS[name]) for name in sys.argv[1:]))
"""
BOTH = "ablation", "hybrids"
FOLLOWED = [
    ("experiments/trials/supervised.py", "* c.upper_lr_factor", "", "ablation"),
    ("experiments/trials/shared.py", "momentum=0.9", "momentum=0.8", "hybrids"),
    ("experiments/runner.py", "torch.manual_seed(checkpoint.seed)", "torch.manual_seed(1)", "both"),
    ("ffutils/layers.py", "+ 1e-8", "+ 1e-7", "both"),
    ("ffutils/hybrids.py", "0.5", "0.6", "hybrids"),
    ("experiments/trials/supervised.py", "core_hours=1.1", "core_hours=9", "none"),
    ("experiments/trials/supervised.py", 'title="Ablation', 'title="An ablation', "none"),
    ("experiments/trials/supervised.py", "As the paper's text", "as it", "none"),
    ("experiments/trials/unsupervised.py", '"""One step', '"""A step', "none"),
    ("experiments/runner.py", "a loss or a weight is", "a weight is", "none"),
]  # fmt: skip


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clone")
    for name in ("experiments", "ffutils", "tools"):
        shutil.copytree(ROOT / name, folder / name)
    (folder / "chapters").mkdir()
    shutil.copy(ROOT / "chapters" / "00_one_page.ipynb", folder / "chapters")
    return folder


def codes(folder):
    found = subprocess.run(
        [sys.executable, "-c", OLD_CODE, *BOTH], cwd=folder, text=True,
        capture_output=True,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    return dict(zip(BOTH, found.stdout.split(), strict=True))


def test_a_clone_has_the_same_code(clone):
    assert codes(clone) == {name: code_of(EXPERIMENTS[name]) for name in BOTH}


@pytest.mark.parametrize("file, before, after, whose", FOLLOWED)
def test_a_runs_code_is_what_can_change_its_numbers(clone, file, before, after, whose):
    path = clone / file
    text = path.read_text(encoding="utf-8")
    ours = {name: code_of(EXPERIMENTS[name]) for name in BOTH}
    try:
        path.write_text(text.replace(before, after), encoding="utf-8")
        found = codes(clone)
    finally:
        path.write_text(text, encoding="utf-8")
    changed = {name for name in BOTH if found[name] != ours[name]}
    assert changed == {"both": set(BOTH), "none": set()}.get(whose, {whose})


def test_the_code_of_the_one_page_is_the_notebooks(monkeypatch):
    one_page = EXPERIMENTS["one_page"]
    before = code_of(one_page)
    cells = one_page.trial.sources()
    edited = [cell.replace("1e-8", "1e-7") for cell in cells]
    assert edited != cells
    monkeypatch.setattr(one_page.trial, "sources", staticmethod(lambda: edited))
    assert code_of(one_page) != before


# ---- What an experiment costs


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_core_hours_agree_with_what_stored_runs_took(name):
    """Within a factor of three: stages without a clock, evaluations, other machines."""
    experiment = EXPERIMENTS[name]
    try:
        runs = load_results(name)["runs"]
    except FileNotFoundError:
        runs = []
    runs = [run for run in runs if run["device"].endswith("threads: 1")]
    if not runs:
        pytest.skip("no run on one thread is stored")
    declared = experiment.hours_of((run["seed"], run["variant"]) for run in runs)
    seconds = sum(
        value
        for run in runs
        for key, value in run.items()
        if key.endswith("_seconds_to_train")
    )
    assert 1 / 3 < declared / (seconds / 3600) < 3


def test_what_is_left_goes_by_epochs():
    experiment = make(
        variants={"short": {"epochs": 10}, "long": {"epochs": 30}}, seeds=(0, 1),
        core_hours=8,
    )  # fmt: skip
    assert experiment.hours_of(experiment.runs()) == 8
    assert experiment.hours_of([(0, "short")]) == 1
    assert experiment.hours_of([(0, "long")]) == 3
    assert experiment.with_epochs(10).core_hours == 4


def test_the_list_says_what_is_stored_and_what_is_left(tmp_path):
    stored_run(tmp_path)
    lines = overview([make(seeds=(0, 1)), make(name="other")], tmp_path).splitlines()
    assert lines[0].split() == [
        "name",
        "what",
        "it",
        "is",
        "seeds",
        "core-hours",
        "left",
    ]
    assert lines[1].split() == ["tiny", "Tiny", "1", "/", "2", "0.50"]
    assert lines[2].split() == ["other", "Tiny", "0", "/", "1", "1.00"]
    assert lines[3].startswith("In all: 1.5 core-hours.")


def choices(kind):
    """How many values a field can have; 1 for words that say the only thing there is."""
    return len(typing.get_args(kind)) if typing.get_origin(kind) is Literal else 2


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_choice_is_read(name):
    """A field that could be set otherwise, and that nothing reads, would be a lie."""
    kind = type(EXPERIMENTS[name].config)
    modules = {k.__module__ for k in kind.__mro__ if k.__module__ != "builtins"}
    files = [*(sys.modules[name].__file__ for name in modules), runner.__file__]
    text = "".join(Path(file).read_text(encoding="utf-8") for file in files)
    read = {
        node.attr
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Attribute)
    }
    hints = typing.get_type_hints(kind)
    for field in (field.name for field in dataclasses.fields(kind)):
        told = field in ("label", "negatives") and name == "published"  # by batch_size
        assert field in read or choices(hints[field]) == 1 or told, field
