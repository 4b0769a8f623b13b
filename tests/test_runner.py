"""Experiments resume to the same end, lose nothing, and say clearly what is wrong."""

import ast
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from threading import Thread
from types import SimpleNamespace

import pytest
import torch
from tiny_experiments import make_splits, tiny

from experiments import runner, storage
from experiments.__main__ import main
from experiments.catalogue import EXPERIMENTS
from experiments.checkpoint import Checkpoint, Left
from experiments.experiment import Experiment
from experiments.trials.supervised import SupervisedConfig, SupervisedTrial
from ffutils import Split

ROOT = Path(__file__).parent.parent
TINY = SupervisedConfig(
    network=(784, 12, 12), epochs=4, batch_size=20, jitter=1, eval_every=2
)


@pytest.fixture
def splits():
    return make_splits()


def experiment(
    trial=SupervisedTrial,
    stages=("validation", "test"),
    config=TINY,
    variants=None,
    seeds=(0,),
    name="tiny",
):
    return Experiment(
        name=name,
        title="Tiny",
        trial=trial,
        config=config,
        variants=variants or {"default": {}, "one layer": {"network": [784, 12]}},
        seeds=seeds,
        stages=stages,
        core_hours=1,
    )


def run(folder, splits, trial=SupervisedTrial, seeds=None, fresh=False, **changes):
    return runner.run(
        experiment(trial, **changes),
        seeds,
        folder=folder / "results",
        cache=folder / "cache",
        splits=splits,
        fresh=fresh,
    )


def errors_only(record):
    return [
        {key: run[key] for key in run if "error" in key or "wrong" in key}
        for run in record["runs"]
    ]


def stopping_after(*counts):
    """A trial that is interrupted after so many epochs in all, the weights moved."""

    class Stopping(SupervisedTrial):
        calls = 0

        def train_epoch(self, epoch):
            losses = super().train_epoch(epoch)
            Stopping.calls += 1
            if Stopping.calls in counts:
                raise KeyboardInterrupt
            return losses

    return Stopping


def interrupt(folder, splits, after=3, **changes):
    with pytest.raises(KeyboardInterrupt):
        run(folder, splits, stopping_after(after), **changes)
    (path,) = (folder / "cache").glob("*.pt")
    return path


def in_a_process(code, *arguments, **environment):
    """Start Python with code that knows this file's names."""
    code = f"from test_runner import *\n{code}"
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": paths} | environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )


def ended(process):
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return output


# ---- A run that was interrupted ends as one that was not


def test_an_interrupted_run_ends_as_one_that_was_not(tmp_path, splits):
    whole = run(tmp_path / "whole", splits)
    trial = stopping_after(3, 8)  # once in each stage
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "parts", splits, trial)
    parts = run(tmp_path / "parts", splits, trial)
    assert errors_only(parts) == errors_only(whole)
    # Two variants, two stages of four epochs; two epochs were lost and repeated.
    assert trial.calls == 2 * (4 + 4) + 2
    left = {path.suffix for path in (tmp_path / "parts" / "cache").iterdir()}
    assert left == {".json"}  # what has finished, and nothing else


KILLED = """
class Killed(SupervisedTrial):
    def train_epoch(self, epoch):
        losses = super().train_epoch(epoch)
        if epoch == 2 and len(sys.argv) > 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return losses
run(Path(sys.argv[1]), make_splits(), Killed)
"""


def test_a_run_that_was_killed_goes_on(tmp_path):
    """A process of its own, killed by the system in its third epoch."""
    killed = in_a_process(KILLED, tmp_path, "kill")
    killed.communicate(timeout=120)
    assert killed.returncode == -signal.SIGKILL
    output = ended(in_a_process(KILLED, tmp_path))
    assert output.startswith("tiny, default, seed 0, validation: epoch 3/4")
    text = (tmp_path / "results" / "tiny.json").read_text(encoding="utf-8")
    ran = [entry["variant"] for entry in json.loads(text)["runs"]]
    assert ran == ["default", "one layer"]


def test_finished_runs_are_not_repeated(tmp_path, splits, capsys):
    first = run(tmp_path, splits)
    capsys.readouterr()
    assert run(tmp_path, splits)["runs"] == first["runs"]
    assert capsys.readouterr().out == ""


def test_one_training_can_be_evaluated_on_both_splits(tmp_path, splits):
    record = run(tmp_path, splits, stages=("validation_and_test",))
    for entry in record["runs"]:
        expected = {"validation_error", "test_error", "validation_history"}
        assert expected <= entry.keys()
        assert [epoch for epoch, _, _ in entry["validation_history"]] == [2, 4]


def test_other_epochs_hold_for_variants_that_have_their_own(tmp_path, splits):
    longer = experiment(variants={"default": {}, "longer": {"epochs": 9}})
    record = runner.run(
        longer, epochs=1, folder=tmp_path, cache=tmp_path, splits=splits
    )
    assert record["configuration"]["epochs"] == 1
    assert record["variants"]["longer"] == {"epochs": 1}
    assert {entry["test_history"][-1][0] for entry in record["runs"]} == {1}


# ---- Results are never lost


@pytest.mark.parametrize(
    "changes",
    [
        {"config": TINY.changed(lr=0.1)},
        {"variants": {"default": {}, "one layer": {"network": [784, 11]}}},
    ],
)
def test_results_of_another_configuration_are_not_touched(tmp_path, splits, changes):
    run(tmp_path, splits)
    path = tmp_path / "results" / "tiny.json"
    before = path.read_bytes()
    with pytest.raises(ValueError, match="another configuration: move it away"):
        run(tmp_path, splits, **changes)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "{}", '{"runs": 3}', '{"runs": [{}], "variants": {}}']
)
def test_a_file_that_holds_no_results_is_named_and_kept(tmp_path, splits, content):
    path = tmp_path / "results" / "tiny.json"
    path.parent.mkdir()
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=r"tiny\.json holds no results .*move it away"):
        run(tmp_path, splits)
    assert path.read_text(encoding="utf-8") == content


def test_two_processes_keep_each_others_runs(tmp_path):
    code = "run(Path(sys.argv[1]), make_splits(), seeds=[int(sys.argv[2])])"
    for process in [in_a_process(code, tmp_path, seed) for seed in (0, 1)]:
        ended(process)
    record = run(tmp_path, make_splits())  # which has nothing left to do
    ran = sorted((entry["seed"], entry["variant"]) for entry in record["runs"])
    assert ran == [(seed, v) for seed in (0, 1) for v in ("default", "one layer")]
    assert record["summary"] == runner.summary(record["runs"])


def add_runs(path, seeds):
    for seed in seeds:
        entry = {"seed": seed, "variant": "default", "test_error": {"layer 1": 1.0}}
        runner.add_run(path, experiment(), entry)


def test_many_quick_writers_lose_nothing(tmp_path):
    path = tmp_path / "tiny.json"
    threads = [Thread(target=add_runs, args=(path, range(k, 60, 4))) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    record = json.loads(path.read_text(encoding="utf-8"))
    assert sorted(entry["seed"] for entry in record["runs"]) == list(range(60))
    assert list(tmp_path.iterdir()) == [path]


def test_a_run_that_another_process_has_finished_is_not_repeated(tmp_path, splits):
    """Between the look at the results and the lock of the checkpoint."""
    original, trained = Checkpoint.owned, []

    class Noting(SupervisedTrial):
        def train_epoch(self, epoch):
            trained.append(self.net.layers)
            return super().train_epoch(epoch)

    def owned(checkpoint):
        Checkpoint.owned = original
        run(tmp_path, splits)  # the other process is quicker
        return original(checkpoint)

    try:
        Checkpoint.owned = owned
        record = run(tmp_path, splits, Noting)
    finally:
        Checkpoint.owned = original
    assert len(record["runs"]) == 2 and not trained


def test_a_record_holds_what_a_trial_keeps_of_its_net(tmp_path, splits):
    class Keeping(SupervisedTrial):
        def kept(self):
            return {"fields": self.net.layers[0].weight[:2].tolist()}

    record = run(tmp_path, splits, Keeping, variants={"default": {}})
    (entry,) = record["runs"]
    assert len(entry["fields"]) == 2 and len(entry["fields"][0]) == 784
    assert "fields" not in record["summary"]["default"]


HOLD = """
class Waiting(SupervisedTrial):
    def train_epoch(self, epoch):
        print("training", flush=True)
        sys.stdin.read()
run(Path(sys.argv[1]), make_splits(), Waiting)
"""


def test_a_second_owner_of_a_run_is_refused(tmp_path, splits):
    owner = in_a_process(HOLD, tmp_path)
    try:
        assert owner.stdout.readline() == "training\n"
        with pytest.raises(BlockingIOError) as refused:
            run(tmp_path, splits)
        assert "tiny, default, seed 0 is being trained by another" in str(refused.value)
        assert "wait for it, or choose other --seeds" in str(refused.value)
        assert len(run(tmp_path, splits, seeds=[1])["runs"]) == 2  # others may run
    finally:
        owner.kill()
        owner.communicate()
    assert len(run(tmp_path, splits)["runs"]) == 4  # a dead owner is none


def test_a_failed_write_leaves_the_old_file_whole(tmp_path, splits, monkeypatch):
    run(tmp_path, splits)
    path = tmp_path / "results" / "tiny.json"
    before = path.read_bytes()

    def full(self, *args, **kwargs):
        self.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space left"):
        run(tmp_path, splits, seeds=[1])
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == ["tiny.json"]


def test_two_writers_of_a_file_have_two_unfinished_files(tmp_path):
    path = tmp_path / "results.json"
    with storage.replacing(path) as first, storage.replacing(path) as second:
        assert first != second
        first.write_text("first", encoding="utf-8")
        second.write_text("second", encoding="utf-8")
    assert path.read_text(encoding="utf-8") == "first"  # the last to end
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_a_link(tmp_path):
    target, link = tmp_path / "target.json", tmp_path / "link.json"
    link.symlink_to(target)
    with storage.replacing(link) as unfinished:
        unfinished.write_text("content", encoding="utf-8")
    assert link.is_symlink() and target.read_text(encoding="utf-8") == "content"


# ---- Checkpoints are never lost


def test_a_shorter_run_leaves_the_checkpoint_of_a_longer_one(tmp_path, splits):
    held = interrupt(tmp_path, splits)
    before = held.read_bytes()
    shorter = experiment(config=TINY.changed(epochs=1))
    runner.run(
        shorter, folder=tmp_path / "other", cache=tmp_path / "cache", splits=splits
    )
    assert held.read_bytes() == before
    trial = stopping_after()
    run(tmp_path, splits, trial)
    assert trial.calls == 16 - 2  # it went on from there


def name_of(folder, variant="default", seed=0, code="code", **changes):
    variants = {variant: {}}
    return Checkpoint(
        folder, experiment(variants=variants, **changes), variant, seed, code
    ).path.name


def test_a_checkpoints_name_says_which_run_it_is(tmp_path):
    names = [
        name_of(tmp_path),
        name_of(tmp_path, "one θ: a/b"),
        name_of(tmp_path, "one _ a b"),
        name_of(tmp_path, seed=1),
        name_of(tmp_path, config=TINY.changed(epochs=5)),
        name_of(tmp_path, "0", name="tiny_default"),
        name_of(tmp_path, code="other"),
    ]
    assert len(set(names)) == len(names)
    for name in names:
        assert name.isascii() and not set(name) & set('<>:"/\\|?* ')
        assert name.startswith("tiny_") and len(name) < 100
    assert name_of(tmp_path, stages=("test",)) == name_of(tmp_path)


def truncated(path):
    path.write_bytes(path.read_bytes()[:2000])


def with_changes(**changes):
    def change(path):
        held = torch.load(path, weights_only=True)
        torch.save({**held, **changes}, path)

    return change


def with_flipped_bytes(path):
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    for k in range(middle, middle + 5):
        content[k] ^= 255
    path.write_bytes(content)


def cut_short(path):
    path.write_bytes(path.read_bytes()[:5000])


def without_the_optimizers(path):
    held = torch.load(path, weights_only=True)
    del held["trial"]["optimizers"]
    torch.save(held, path)


SPOILT = {
    "half a file": lambda path: path.write_bytes(b"half a file"),
    "empty": lambda path: path.write_bytes(b""),
    "truncated": truncated,
    "cut short": cut_short,
    "with flipped bytes": with_flipped_bytes,
    "a net alone": lambda path: torch.save({"net": 1}, path),
    "a list": lambda path: torch.save([1, 2], path),
    "an object": lambda path: torch.save(SimpleNamespace(a=1), path),
    "of another configuration": with_changes(configuration={"lr": 1.0}),
    "with other weights": with_changes(trial={"net": {}, "optimizers": []}),
    "with bad random numbers": with_changes(rng=torch.zeros(3)),
    "without optimisers": without_the_optimizers,
}


@pytest.mark.parametrize("kind", SPOILT)
def test_a_checkpoint_that_cannot_be_used_is_moved_aside(
    tmp_path, splits, capsys, kind
):
    held = interrupt(tmp_path, splits)
    SPOILT[kind](held)
    spoilt = held.read_bytes()
    record = run(tmp_path, splits)
    message = capsys.readouterr().err
    assert str(held) in message and "starts anew" in message
    assert message.count("\n") == 1
    (aside,) = (tmp_path / "cache").glob("*.unreadable-*")
    assert aside.read_bytes() == spoilt and aside.name in message
    assert errors_only(record) == errors_only(run(tmp_path / "other", splits))


def test_two_spoilt_checkpoints_do_not_overwrite_each_other(tmp_path, splits):
    for content in (b"first", b"second"):
        interrupt(tmp_path, splits).write_bytes(content)
    run(tmp_path, splits)
    aside = (tmp_path / "cache").glob("*.unreadable-*")
    assert {path.read_bytes() for path in aside} == {b"first", b"second"}


def test_a_file_that_may_not_be_read_is_no_damaged_file(tmp_path, splits, monkeypatch):
    held = interrupt(tmp_path, splits)

    def forbidden(*args, **kwargs):
        raise PermissionError(13, "Permission denied", str(held))

    monkeypatch.setattr(torch, "load", forbidden)
    with pytest.raises(PermissionError):
        run(tmp_path, splits)
    assert held.exists()


def test_a_checkpoint_of_a_gpu_goes_on_without_one(tmp_path, splits, monkeypatch):
    whole = run(tmp_path / "whole", splits)
    tag = torch.serialization.location_tag
    monkeypatch.setattr(
        torch.serialization, "location_tag",
        lambda storage: "cuda:0" if storage.device.type == "cpu" else tag(storage),
    )  # fmt: skip
    held = interrupt(tmp_path, splits)
    monkeypatch.undo()
    if not torch.cuda.is_available():
        with pytest.raises(RuntimeError, match="deserialize object on a CUDA device"):
            torch.load(held, weights_only=True)
    trial = stopping_after()
    assert errors_only(run(tmp_path, splits, trial)) == errors_only(whole)
    assert trial.calls == 16 - 2


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("there, back", [("cpu", "cuda"), ("cuda", "cpu")])
def test_a_run_goes_on_on_another_device(tmp_path, splits, there, back):
    hybrids = EXPERIMENTS["hybrids"]
    config = tiny(hybrids.config)
    split = Split(*(tensor.to(there) for tensor in splits[0]))
    trial = hybrids.trial(config, split)
    trial.train_epoch(0)
    of_hybrids = experiment(hybrids.trial, config=config, variants={"default": {}})
    checkpoint = Checkpoint(tmp_path, of_hybrids, "default", 0, "code")
    checkpoint.save(trial, "test", Left(1, 1.0, []), {}, torch.device(there))
    trial = hybrids.trial(config, Split(*(tensor.to(back) for tensor in splits[0])))
    assert checkpoint.restore(trial, "test", torch.device(back)).epoch == 1
    assert {mean.device.type for mean in trial.running_means} == {back}
    trial.train_epoch(1)


# ---- Runs go on in another clone


def test_results_elsewhere_go_on_from_the_same_checkpoint(tmp_path, splits):
    interrupt(tmp_path, splits)
    trial = stopping_after()
    runner.run(
        experiment(trial), folder=tmp_path / "other", cache=tmp_path / "cache",
        splits=splits,
    )  # fmt: skip
    assert trial.calls == 16 - 2


def lose_the_results(folder):
    (folder / "results" / "tiny.json").unlink()


def test_a_finished_run_is_not_lost_with_its_results(tmp_path, splits, capsys):
    before = run(tmp_path, splits)
    lose_the_results(tmp_path)
    capsys.readouterr()
    trial = stopping_after()
    assert run(tmp_path, splits, trial) == before
    assert trial.calls == 0
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 2 and "unless you say --fresh" in printed[0]
    assert printed[0].startswith("tiny, default, seed 0: finished on 20")


def test_fresh_trains_anew_and_keeps_what_there_was(tmp_path, splits):
    before = run(tmp_path, splits)
    lose_the_results(tmp_path)
    trial = stopping_after()
    assert errors_only(run(tmp_path, splits, trial, fresh=True)) == errors_only(before)
    assert trial.calls == 16
    assert len(list((tmp_path / "cache").glob("*.before-fresh-1"))) == 2


def test_fresh_leaves_no_checkpoint_in_use(tmp_path, splits):
    held = interrupt(tmp_path, splits)
    before = held.read_bytes()
    trial = stopping_after()
    run(tmp_path, splits, trial, fresh=True)
    assert trial.calls == 16
    (aside,) = (tmp_path / "cache").glob("*.before-fresh-1")
    assert aside.read_bytes() == before


def test_a_finished_run_with_other_stages_is_another(tmp_path, splits):
    run(tmp_path, splits, stages=("validation",))
    lose_the_results(tmp_path)
    record = run(tmp_path, splits)
    assert all("test_error" in entry for entry in record["runs"])


@pytest.mark.parametrize("content", ["", "{", "[]", '{"entry": 1}'])
def test_a_finished_run_that_cannot_be_read_is_moved_aside(
    tmp_path, splits, capsys, content
):
    before = run(tmp_path, splits)
    lose_the_results(tmp_path)
    damaged, _ = sorted((tmp_path / "cache").glob("*.json"))
    damaged.write_text(content, encoding="utf-8")
    capsys.readouterr()
    assert errors_only(run(tmp_path, splits)) == errors_only(before)
    assert f"{damaged} cannot be used" in capsys.readouterr().err


def test_other_code_neither_goes_on_nor_is_overwritten(
    tmp_path, splits, capsys, monkeypatch
):
    held = interrupt(tmp_path, splits)
    before = held.read_bytes()
    monkeypatch.setattr(runner, "code_of", lambda experiment: "0123456789abcdef")
    trial = stopping_after()
    run(tmp_path, splits, trial)
    assert trial.calls == 16 and held.read_bytes() == before
    message = capsys.readouterr().err
    assert "tiny, default, seed 0 was begun with other code on 20" in message
    assert str(held) in message and message.count("\n") == 1
    monkeypatch.undo()
    lose_the_results(tmp_path)
    trial = stopping_after()
    run(tmp_path, splits, trial)  # the old code goes on
    assert trial.calls == 16 - 2
    assert "has finished with other code" in capsys.readouterr().err


def test_the_cache_is_the_users(monkeypatch, tmp_path):
    monkeypatch.delenv("FF_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert storage.runs_folder() == tmp_path / "ffutils" / "experiments"
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    expected = tmp_path / "home" / ".cache" / "ffutils" / "experiments"
    assert storage.runs_folder() == expected
    monkeypatch.setenv("FF_CACHE", str(tmp_path / "own"))
    assert storage.runs_folder() == tmp_path / "own" / "experiments"
    monkeypatch.setenv("FF_CACHE", "own")
    with pytest.raises(ValueError, match="FF_CACHE must be an absolute path"):
        storage.runs_folder()


def test_a_run_uses_the_users_cache(tmp_path, splits, monkeypatch):
    monkeypatch.setenv("FF_CACHE", str(tmp_path / "own"))
    runner.run(experiment(), folder=tmp_path, splits=splits)
    assert len(list((tmp_path / "own" / "experiments").glob("tiny_*.json"))) == 2


# ---- A training that diverges is noticed


DIVERGING = [
    ("plain_recipe", "default", {"lr": 1e20}),
    ("paper_recipe", "default", {"lr": 1e20}),
    ("recurrent", "default", {"lr": 1e20}),
    ("hybrids", "default", {"lr": 1e20}),
    ("published", "the article's", {"lr": 1e30}),
    # tanh saturates
    *(("rivals", method, {"lr": 3e37}) for method in EXPERIMENTS["rivals"].variants),
]


@pytest.mark.parametrize("name, variant, changes", DIVERGING)
def test_every_experiment_notices_that_it_diverges(
    tmp_path, splits, name, variant, changes
):
    diverging = EXPERIMENTS[name]
    config = tiny(diverging.configs[variant], 20).changed(**changes)
    with pytest.raises(FloatingPointError, match=r"tiny, default, seed 0, epoch \d+: "):
        run(
            tmp_path, splits, diverging.trial, stages=("test",), config=config,
            variants={"default": {}},
        )  # fmt: skip
    assert not (tmp_path / "results" / "tiny.json").exists()


NEGATIVES = "random", "fixed", "hard, layer 1", "hard, all layers", "hard, softmax"


@pytest.mark.parametrize("loss", ["pair", "logistic"])
@pytest.mark.parametrize("negatives", NEGATIVES)
def test_every_kind_of_negatives_lets_divergence_be_noticed(
    tmp_path, splits, negatives, loss
):
    config = TINY.changed(lr=1e20, negatives=negatives, loss=loss)
    with pytest.raises(FloatingPointError):
        run(tmp_path, splits, config=config, variants={"default": {}})


# ---- What the supervised trials do


def supervised(splits, **changes):
    return SupervisedTrial(TINY.changed(**changes), splits[0])


@pytest.mark.parametrize("negatives", NEGATIVES)
def test_negatives_are_never_true(splits, negatives):
    torch.manual_seed(0)
    trial = supervised(splits, negatives=negatives)
    x, y = splits[0]
    for _ in range(5):
        assert (trial.negative_labels(trial.net, x, y) != y).all()


def test_fixed_negatives_stay(splits):
    trial = supervised(splits, negatives="fixed")
    x, y = splits[0]
    order = torch.randperm(len(y))
    wrong = trial.negative_labels(None, x, y)
    assert torch.equal(wrong[order], trial.negative_labels(None, x[order], y[order]))


def test_frozen_layers_do_not_move(splits):
    torch.manual_seed(0)
    trial = supervised(splits, frozen=[1])
    before = [layer.weight.detach().clone() for layer in trial.net.layers]
    trial.train_epoch(0)
    assert not torch.equal(before[0], trial.net.layers[0].weight)
    assert torch.equal(before[1], trial.net.layers[1].weight)


def test_the_input_may_have_a_length_of_one(splits):
    trial = supervised(splits, normalization="length 1")
    for layer in trial.net.layers:
        x = layer.normalize(7 * torch.rand(5, layer.in_features))
        torch.testing.assert_close(x.norm(dim=1), torch.ones(5))


def test_the_labels_strength_is_the_nets(splits):
    trial = supervised(splits, label_strength=3)
    assert trial.net.write_label(*splits[0])[:, :10].amax() == 3


def test_margin_spares_the_upper_layer_what_the_lower_has_settled(splits):
    trial = supervised(splits, margin=1)
    good, bad = torch.full((4, 12), 2.0), torch.zeros(4, 12)
    goodness = trial.net.goodness
    trial.negative_labels(trial.net, *splits[0])
    trial.loss_fn(good, bad, goodness)  # the first layer is sure of it
    loss = trial.loss_fn(bad, bad, goodness)
    assert loss < 1e-6  # so the second has nothing to do
    trial.negative_labels(trial.net, *splits[0])
    assert abs(trial.loss_fn(bad, bad, goodness) - 0.6931) < 1e-3


# ---- What a person types


def refuse(monkeypatch, capsys, *arguments):
    """The error message, and that nothing ran."""
    monkeypatch.setattr(runner, "run", lambda *args, **kwargs: pytest.fail("it ran"))
    monkeypatch.setattr(sys, "argv", ["experiments", *arguments])
    with pytest.raises(SystemExit) as exit:
        main()
    assert exit.value.code == 2
    *_, message = capsys.readouterr().err.splitlines()
    assert message.startswith("python -m experiments: error: ")
    return message


@pytest.mark.parametrize("device", ["gpu", "meta", "cpu:x", "", "cuda:-1", "mps:7"])
def test_what_is_no_device(monkeypatch, capsys, device):
    message = refuse(monkeypatch, capsys, "ablation", "--device", device)
    assert f"expected cpu, cuda or cuda:1, got {device!r}" in message


@pytest.mark.parametrize("device", ["cuda", "cuda:0", "cuda:99"])
def test_a_device_that_is_not_there(monkeypatch, capsys, device):
    if torch.cuda.is_available() and device != "cuda:99":
        pytest.skip("there is one")
    message = refuse(monkeypatch, capsys, "ablation", "--device", device)
    assert f"{device!r} cannot be used here: " in message and "try cpu" in message


@pytest.mark.parametrize("seed", ["-1", "1.5", "x", "9" * 23, str(2**63), "", "²"])
def test_seeds_that_pytorch_does_not_take(monkeypatch, capsys, seed):
    message = refuse(monkeypatch, capsys, "ablation", "--seeds", "0", seed)
    assert "expected a whole number, 0 or more, below 2**63" in message


@pytest.mark.parametrize("epochs", ["0", "-3", "two", "1e3"])
def test_epochs_that_are_no_number_of_epochs(monkeypatch, capsys, epochs):
    message = refuse(monkeypatch, capsys, "--results", "x", "--epochs", epochs)
    assert "expected a whole number, 1 or more" in message


def test_other_epochs_do_not_go_into_the_books_results(monkeypatch, capsys):
    message = refuse(monkeypatch, capsys, "ablation", "--epochs", "1")
    assert "--epochs needs --results FOLDER" in message


def test_an_unknown_experiment(monkeypatch, capsys):
    assert "invalid choice" in refuse(monkeypatch, capsys, "ablatoin")


@pytest.mark.parametrize(
    "error, code",
    [
        (KeyboardInterrupt(), 130),
        (FloatingPointError("the training has diverged"), 2),
        (OSError(28, "No space left on device"), 2),
        (BlockingIOError("is being trained by another process"), 2),
        (RuntimeError("CUDA error: out of memory\nCompile with …"), 2),
        (ValueError(), 2),
        (UserWarning("layer 1 is dead"), 2),  # as with python -W error
    ],
)
def test_what_goes_wrong_is_said_in_one_line(monkeypatch, capsys, error, code):
    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr(runner, "run", fail)
    monkeypatch.setattr(sys, "argv", ["experiments", "ablation"])
    with pytest.raises(SystemExit) as exit:
        main()
    assert exit.value.code == code
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


# ---- Whatever the system's encoding is

WITHOUT_GREEK = """
EXPERIMENTS["ablation"] = experiment(variants={chr(0x3B8) + " = 1": {}})
os.environ["FF_CACHE"] = sys.argv[1]
runner.load_mnist = lambda device, name: make_splits()
sys.argv = ["experiments", "ablation", "--results", sys.argv[1]]
main()
print("again")
main()
"""


def test_results_are_utf_8_whatever_the_terminal_is(tmp_path):
    settings = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"}
    output = ended(in_a_process(WITHOUT_GREEK, tmp_path, **settings))
    first, again = output.split("again\n")
    assert "epoch 4/4" in first and "epoch" not in again  # it was recognised
    text = (tmp_path / "tiny.json").read_text(encoding="utf-8")
    assert '"θ = 1"' in text


def opens_text_without_encoding(node):
    """Whether a call opens a text file in whatever encoding the system has."""
    name = getattr(node.func, "attr", getattr(node.func, "id", ""))
    keywords = {keyword.arg for keyword in node.keywords}
    if name in ("read_text", "write_text"):
        return "encoding" not in keywords
    if name not in ("open", "fdopen", "NamedTemporaryFile", "TextIOWrapper"):
        return False
    modes = [arg.value for arg in node.args if isinstance(arg, ast.Constant)]
    binary = any(isinstance(mode, str) and "b" in mode for mode in modes)
    return not binary and "encoding" not in keywords


@pytest.mark.parametrize("folder", ["experiments", "ffutils"])
def test_every_text_file_is_opened_as_utf_8(folder):
    calls = [
        f"{path.name}:{node.lineno}"
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and opens_text_without_encoding(node)
    ]
    assert not calls, calls
