"""`python -m ffutils`: what it prints and keeps, and one line for bad input."""

import errno
import os
import re
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch

import ffutils.__main__ as command
from ffutils.__main__ import FOR_DIGITS, SETTINGS, errors_of, main
from ffutils.data import batches, load_digits, split_validation
from ffutils.depth import BroadcastNet, broadcast_goodness_per_layer
from ffutils.layers import FFNet
from ffutils.prediction import error_rate, predict
from ffutils.rivals import MLP
from ffutils.saving import load_net, save_net

ROOT = Path(__file__).resolve().parents[1]
SMALL = ["--dataset", "digits", "--hidden", "60", "50", "40", "--device", "cpu"]
NAMES = [
    "layer 1", "layer 2", "layer 3", "sum without layer 1", "sum of all layers",
]  # fmt: skip


@pytest.fixture(autouse=True)
def no_settings(monkeypatch, tmp_path):
    monkeypatch.delenv("FF_DATA", raising=False)
    monkeypatch.delenv("FF_DATASET", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def start(*arguments, options=(), **environment):
    """Start the command as a person does, in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-u", *options, "-m", "ffutils", *arguments], cwd=ROOT,
        env=os.environ | environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip


def errors(output):
    """The printed errors by name."""
    lines = re.findall(r"^  (\S.*?) +([\d.]+) %$", output, re.MULTILINE)
    return {name: float(value) for name, value in lines}


def fails(capsys, *arguments):
    """Run the command, which must end with one line and the exit code 2.

    Returns that line.
    """
    with pytest.raises(SystemExit) as end:
        main(list(arguments))
    line = capsys.readouterr().err
    assert end.value.code == 2
    assert line.startswith("python -m ffutils: error: ")
    assert line.count("\n") == 1
    assert line.endswith("\n")
    return line


# What it does


def test_it_trains_prints_every_error_and_saves_a_net_that_has_them(tmp_path, capsys):
    file = tmp_path / "net.pt"
    assert main([*SMALL, "--epochs", "2", "--seed", "3", "--save", str(file)]) == 0
    output = capsys.readouterr().out
    printed = errors(output)
    assert list(printed) == NAMES
    for text in (
        "1,500 training and 297 test images", "784-60-50-40", "seed 3", "device  cpu",
        "epoch  2/2", f"saved to {file}",
    ):  # fmt: skip
        assert text in output

    net, facts = load_net(file, with_facts=True)
    assert {k: v for k, v in facts.items() if k != "test_error"} == {
        "dataset": "digits", "seed": 3, "epochs": 2, "augment": "affine",
        "labels": "image", "validate": False,
    }  # fmt: skip
    _, test = load_digits()
    sums = [[0], [1], [2], [1, 2], [0, 1, 2]]
    for name, layers in zip(NAMES, sums, strict=True):
        error = error_rate(predict(net, test.images, layers), test.labels)
        assert facts["test_error"][name] == pytest.approx(error, abs=1e-4)
        assert printed[name] == pytest.approx(error, abs=0.005)


@pytest.mark.parametrize("labels", ["image", "every"])
def test_a_saved_net_is_tested_without_training(tmp_path, capsys, labels):
    file = tmp_path / "net.pt"
    main([*SMALL, "--epochs", "2", "--seed", "3", "--labels", labels,
          "--save", str(file)])  # fmt: skip
    expected = errors(capsys.readouterr().out)
    content = file.read_bytes()
    assert main(["--load", str(file), "--device", "cpu"]) == 0
    output = capsys.readouterr().out
    assert errors(output) == expected
    assert "epochs 2" in output and "297 test images" in output
    assert "epoch  1" not in output
    assert file.read_bytes() == content


def test_labels_every_trains_the_net_in_which_every_layer_is_told(tmp_path, capsys):
    file = tmp_path / "net.pt"
    main([*SMALL, "--labels", "every", "--epochs", "9", "--save", str(file)])
    output = capsys.readouterr().out
    assert "784-60-50-40, label in every layer" in output
    printed = errors(output)
    assert list(printed) == NAMES
    net, facts = load_net(file, with_facts=True)
    assert type(net) is BroadcastNet and facts["labels"] == "every"
    assert [layer.out_features for layer in net.layers] == [60, 50, 40]
    _, test = load_digits()
    scores = broadcast_goodness_per_layer(net, test.images)
    sums = [[0], [1], [2], [1, 2], [0, 1, 2]]
    for name, layers in zip(NAMES, sums, strict=True):
        error = error_rate(scores[:, :, layers].sum(dim=2).argmax(dim=1), test.labels)
        assert printed[name] == pytest.approx(error, abs=0.005)
        assert error < 40  # chance is 90


def test_labels_image_is_the_default(tmp_path, capsys):
    for name, options in (("a", []), ("b", ["--labels", "image"])):
        file = str(tmp_path / name)
        main([*SMALL, "--epochs", "1", *options, "--save", file])
        assert "label in the image" in capsys.readouterr().out
    a, b = (load_net(tmp_path / name) for name in "ab")
    assert type(a) is type(b) is FFNet
    assert torch.equal(a.layers[2].weight, b.layers[2].weight)


class Unread:
    """A test set that complains as soon as it is touched."""

    def __getattribute__(self, name):
        raise AssertionError(f"the test set was asked for its {name}")

    __iter__ = __getitem__ = __len__ = __getattribute__


@pytest.mark.parametrize("labels", ["image", "every"])
def test_validate_judges_on_images_set_aside_and_never_reads_the_test_set(
    tmp_path, monkeypatch, capsys, labels
):
    training, _ = load_digits()
    monkeypatch.setattr(
        "ffutils.__main__.load_dataset", lambda *_: ("digits", training, Unread())
    )
    trained_on = []
    monkeypatch.setattr(
        "ffutils.fast.batches",
        lambda data, *rest, **more: trained_on.append(data) or batches(data, *rest),
    )
    file = tmp_path / "net.pt"
    options = ["--labels", labels, "--validate", "--epochs", "2"]
    assert main([*SMALL, *options, "--save", str(file)]) == 0
    output = capsys.readouterr().out
    assert "1,250 training and 250 validation images" in output
    assert "validation error:" in output and "test error" not in output
    part, validation = split_validation(training)
    assert len(trained_on) == 2
    assert all(torch.equal(data.images, part.images) for data in trained_on)
    net, facts = load_net(file, with_facts=True)
    assert facts["validate"] is True and "test_error" not in facts
    assert facts["validation_error"] == pytest.approx(errors_of(net, validation))
    expected = errors(output)
    assert list(expected) == NAMES

    assert main(["--load", str(file), "--validate", "--device", "cpu"]) == 0
    output = capsys.readouterr().out
    assert errors(output) == expected and "250 validation images" in output


def test_without_validate_all_training_images_are_trained_on(monkeypatch, capsys):
    trained_on = []
    monkeypatch.setattr(
        "ffutils.fast.batches",
        lambda data, *rest, **more: trained_on.append(data) or batches(data, *rest),
    )
    main([*SMALL, "--epochs", "1"])
    assert [len(data.labels) for data in trained_on] == [1500]
    assert "test error:" in capsys.readouterr().out


def test_a_net_that_may_know_the_validation_images_is_not_validated(tmp_path, capsys):
    file = tmp_path / "net.pt"
    main([*SMALL, "--epochs", "1", "--save", str(file)])
    assert "may know the validation images; leave --validate out" in fails(
        capsys, "--load", str(file), "--validate"
    )


def test_a_file_of_the_first_edition_loads(tmp_path, capsys):
    """Files that were written before there were labels or validation errors in them."""
    file = tmp_path / "net.pt"
    save_net(FFNet(784, 8, 6), file, dataset="digits", seed=0, epochs=10,
             augment="jitter", test_error={"layer 1": 1.0})  # fmt: skip
    assert main(["--load", str(file), "--device", "cpu"]) == 0
    output = capsys.readouterr().out
    assert "dataset digits, seed 0, epochs 10, augment jitter\n" in output
    assert "test error:" in output and len(errors(output)) == 4


def test_help_says_every_default(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert end.value.code == 0
    for labels in SETTINGS:
        epochs = SETTINGS[labels]["epochs"], FOR_DIGITS[labels]["epochs"]
        assert f"{epochs[0]} with --labels {labels}, on the digits {epochs[1]}" in text


def test_digits_have_settings_of_their_own(monkeypatch, capsys):
    given = []

    def note(net, data, **settings):
        given.append(settings["epochs"])
        return torch.zeros(settings["epochs"], 3)

    training, test = load_digits()
    monkeypatch.setattr("ffutils.__main__.fast_train", note)
    for name in ("digits", "mnist"):
        monkeypatch.setattr(
            "ffutils.__main__.load_dataset", lambda *_, n=name: (n, training, test)
        )
        for labels in SETTINGS:
            main([*SMALL, "--labels", labels])
    settings = (FOR_DIGITS, SETTINGS)
    assert given == [each[labels]["epochs"] for each in settings for labels in each]


def test_the_same_seed_gives_the_same_net(tmp_path, capsys):
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        main([*SMALL, "--epochs", "1", "--seed", seed, "--save", str(tmp_path / name)])
    a, b, c = (load_net(tmp_path / name).state_dict() for name in "abc")
    assert all(torch.equal(a[key], b[key]) for key in a)
    assert not torch.equal(a["layers.0.weight"], c["layers.0.weight"])


def test_a_net_of_one_layer_has_one_error(capsys):
    main(["--dataset", "digits", "--hidden", "8", "--epochs", "1", "--device", "cpu"])
    assert list(errors(capsys.readouterr().out)) == ["layer 1"]


@pytest.mark.parametrize("augment", ["affine", "jitter", "drop", "none"])
def test_every_augment_runs(capsys, augment):
    main([*SMALL, "--epochs", "1", "--augment", augment])
    assert f"augment {augment}" in capsys.readouterr().out


def refuse(*_):
    raise ConnectionError("MNIST could not be downloaded.")


def test_without_a_network_it_says_so_in_one_line_and_takes_the_digits(
    monkeypatch, capsys
):
    monkeypatch.setattr("ffutils.data.load_mnist", refuse)
    main(["--hidden", "60", "--epochs", "1", "--device", "cpu"])
    output = capsys.readouterr()
    line = (
        "warning: MNIST could not be downloaded. Using scikit-learn's digits instead."
    )
    assert output.err == f"{line}\n"
    assert "data    digits" in output.out


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("load", [False, True])
def test_a_warning_is_no_error_even_where_python_was_told_so(
    monkeypatch, tmp_path, capsys, load
):
    """python -W error."""
    monkeypatch.setattr("ffutils.data.load_mnist", refuse)
    arguments = ["--hidden", "60", "--epochs", "1", "--device", "cpu"]
    if load:
        save_net(FFNet(784, 8), tmp_path / "net.pt")
        arguments = ["--load", str(tmp_path / "net.pt"), "--device", "cpu"]
    assert main(arguments) == 0
    assert capsys.readouterr().err.startswith("warning: MNIST could not be downloaded.")


@pytest.mark.filterwarnings("error")
def test_a_dead_net_is_warned_of_in_a_line(tmp_path, capsys):
    net = FFNet(784, 8, 6)
    net.layers[1].bias.data.fill_(-100)
    save_net(net, tmp_path / "net.pt", dataset="digits")
    assert main(["--load", str(tmp_path / "net.pt"), "--device", "cpu"]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("warning: layer 2 is dead: 100 %")


# Beside another program


def test_one_thread_computes_where_two_are_slower(monkeypatch):
    """Or the training takes ten times as long beside a busy program."""
    clock, now = {1: 1.0, 2: 3.0}, [0.0]

    def multiply(a, b, half):
        now[0] += clock[torch.get_num_threads()]
        return torch.zeros(1)

    before = torch.get_num_threads()
    monkeypatch.setattr(command, "THREADS", 2)
    monkeypatch.setattr(command, "product", multiply)
    monkeypatch.setattr(command.time, "perf_counter", lambda: now[0])
    try:
        command.share_cores()
        assert torch.get_num_threads() == 1
        clock[2] = 0.5  # the other program has ended
        command.share_cores()
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


# Ctrl-C


@pytest.fixture
def listening_to_ctrl_c():
    """Commands that are started here heed Ctrl-C.

    Even where a shell in the background told pytest to ignore it.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_in_the_training_still_prints_and_saves(tmp_path, listening_to_ctrl_c):
    file = tmp_path / "net.pt"
    with start(*SMALL, "--epochs", "100000", "--save", str(file)) as process:
        try:
            next(line for line in process.stdout if line.startswith("epoch"))
            process.send_signal(signal.SIGINT)
            output, complaints = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130
    assert complaints == ""
    assert "Stopped: the net keeps what it has learnt so far." in output
    assert "of 100000 epochs" in output
    _, facts = load_net(file, with_facts=True)
    assert 1 <= facts["epochs"] < 100_000
    assert errors(output)["sum of all layers"] == pytest.approx(
        facts["test_error"]["sum of all layers"], abs=0.005
    )


def interrupt(*_, **__):
    raise KeyboardInterrupt


@pytest.mark.parametrize("there_is_an_old_one", [False, True])
def test_ctrl_c_before_an_epoch_is_over_saves_nothing(
    tmp_path, monkeypatch, capsys, there_is_an_old_one
):
    file = tmp_path / "net.pt"
    if there_is_an_old_one:
        save_net(FFNet(784, 8), file)
    before = file.read_bytes() if there_is_an_old_one else None
    monkeypatch.setattr("ffutils.fast.ff_gradients", interrupt)
    assert main([*SMALL, "--save", str(file)]) == 130
    assert f"nothing was saved to {file}: no epoch" in capsys.readouterr().out
    assert (file.read_bytes() if file.exists() else None) == before
    assert os.listdir(tmp_path) == ["net.pt"] * there_is_an_old_one


def test_ctrl_c_in_the_judging_leaves_the_net_that_was_trained(
    tmp_path, monkeypatch, capsys
):
    file = tmp_path / "net.pt"
    monkeypatch.setattr("ffutils.__main__.layer_errors", interrupt)
    with pytest.raises(SystemExit):
        main([*SMALL, "--epochs", "1", "--save", str(file)])
    net, facts = load_net(file, with_facts=True)
    assert facts["epochs"] == 1 and "test_error" not in facts
    assert [layer.out_features for layer in net.layers] == [60, 50, 40]


@pytest.mark.parametrize("place", ["load_dataset", "save_net"])
def test_ctrl_c_elsewhere_ends_without_a_traceback(
    tmp_path, monkeypatch, capsys, place
):
    file = tmp_path / "net.pt"
    save_net(FFNet(784, 8), file)
    before = file.read_bytes()
    monkeypatch.setattr(f"ffutils.__main__.{place}", interrupt)
    with pytest.raises(SystemExit) as end:
        main([*SMALL, "--epochs", "1", "--save", str(file)])
    assert end.value.code == 130
    assert capsys.readouterr().err == "\nstopped\n"
    assert file.read_bytes() == before and os.listdir(tmp_path) == ["net.pt"]


# A file that cannot be written


@pytest.mark.parametrize("target", ["", "missing/net.pt", ".", "/dev/null", "loop"])
def test_a_file_that_cannot_be_written_is_refused_before_the_training(
    tmp_path, monkeypatch, capsys, target
):
    monkeypatch.chdir(tmp_path)
    if target == "loop":
        (tmp_path / "loop").symlink_to("loop")
    line = fails(capsys, *SMALL, "--save", target)
    assert f"--save {target!r} cannot be written" in line
    assert "choose a file in a folder that exists" in line
    assert os.listdir(tmp_path) == ["loop"] * (target == "loop")


def test_a_file_that_is_protected_is_refused_before_the_training(tmp_path, capsys):
    file = tmp_path / "net.pt"
    file.write_text("an older net")
    file.chmod(0o444)
    assert "may not be written to" in fails(capsys, *SMALL, "--save", str(file))
    assert file.read_text() == "an older net"


def test_a_file_of_another_kind_is_not_replaced(tmp_path, capsys):
    text, document = tmp_path / "thesis.txt", tmp_path / "thesis.docx"
    text.write_text("years of work")
    with zipfile.ZipFile(document, "w") as file:  # as a word processor makes it
        file.writestr("word/document.xml", "years of work")
    for file in (text, document):
        before = file.read_bytes()
        line = fails(capsys, *SMALL, "--save", str(file))
        assert "holds something that save_net did not write" in line
        assert file.read_bytes() == before


def test_a_terminal_without_accents_is_no_error(tmp_path, monkeypatch):
    file = tmp_path / "nét β.pt"
    save_net(FFNet(784, 8), file, dataset="digits")
    with start("--load", str(file), PYTHONIOENCODING="ascii") as process:
        output, complaints = process.communicate(timeout=120)
    assert process.returncode == 0 and "n\\xe9t \\u03b2.pt" in output, complaints


def test_a_run_that_fails_leaves_no_empty_file_and_harms_no_old_one(tmp_path, capsys):
    old, new = tmp_path / "old.pt", tmp_path / "new.pt"
    old.write_text("an older net")
    for file in (old, new):
        fails(capsys, *SMALL, "--epochs", "0", "--save", str(file))
    assert old.read_text() == "an older net"
    assert not new.exists()


def test_a_full_disk_is_one_line_and_leaves_the_old_file(tmp_path, monkeypatch, capsys):
    file = tmp_path / "net.pt"
    main([*SMALL, "--epochs", "1", "--save", str(file)])
    before = file.read_bytes()
    capsys.readouterr()

    def full(content, file):
        file.write(b"x")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("torch.save", full)
    monkeypatch.setattr("ffutils.saving.check_facts", lambda facts: None)
    line = fails(capsys, *SMALL, "--epochs", "1", "--save", str(file))
    assert f"{file} could not be written" in line and "No space left" in line
    assert file.read_bytes() == before and os.listdir(tmp_path) == ["net.pt"]


FULL = """
import resource, signal, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
from ffutils.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


def test_a_real_limit_on_the_disk_is_one_line_and_leaves_the_old_file(tmp_path):
    pytest.importorskip("resource")
    file = tmp_path / "net.pt"
    save_net(FFNet(784, 8), file)
    before = file.read_bytes()
    arguments = [*SMALL[:2], "--hidden", "300", "--epochs", "1", "--device", "cpu"]
    run = subprocess.run(
        [sys.executable, "-c", FULL, *arguments, "--save", str(file)], cwd=ROOT,
        capture_output=True, text=True,
    )  # fmt: skip
    assert run.returncode == 2
    assert run.stderr.startswith(
        f"python -m ffutils: error: {file} could not be written"
    )
    assert run.stderr.count("\n") == 1
    assert file.read_bytes() == before and os.listdir(tmp_path) == ["net.pt"]


def test_a_dangling_link_gets_the_file_that_it_points_to(tmp_path, capsys):
    link = tmp_path / "link.pt"
    link.symlink_to("net.pt")
    main([*SMALL, "--epochs", "1", "--save", str(link)])
    assert link.is_symlink()
    assert load_net(tmp_path / "net.pt", with_facts=True)[1]["epochs"] == 1


# Bad input


def test_cuda_without_a_gpu_as_a_person_sees_it():
    with start("--device", "cuda", CUDA_VISIBLE_DEVICES="") as process:
        output, complaints = process.communicate(timeout=60)
    assert process.returncode == 2
    assert output == ""
    line = "python -m ffutils: error: device 'cuda' is not available here: expected one"
    assert complaints.startswith(line)
    assert complaints.count("\n") == 1


@pytest.mark.parametrize(
    "device",
    ["toaster", "CPU", "", "cpu:x", "meta", "cuda:99", "cuda:-1", ":", "cuda:"],
)
def test_a_device_that_is_not_there(capsys, device):
    line = fails(capsys, *SMALL, "--device", device)
    assert f"device {device!r} is not available here: expected one of cpu" in line


def test_an_unknown_data_set(capsys, monkeypatch):
    expected = (
        "unknown data set 'cifar': expected 'auto', 'mnist', 'fashion' or 'digits'"
    )
    assert expected in fails(capsys, "--dataset", "cifar")
    monkeypatch.setenv("FF_DATASET", "cifar")
    assert expected in fails(capsys)


RANGES = {
    "hidden 0": (["--hidden", "500", "0"], "width of --hidden must be a whole number"),
    "hidden -5": (["--hidden", "-5"], "width of --hidden must be a whole number"),
    "hidden many": (
        ["--hidden", "many"],
        "argument --hidden: invalid int value: 'many'",
    ),
    "hidden 2.5": (["--hidden", "2.5"], "argument --hidden: invalid int value: '2.5'"),
    "hidden 1e11": (["--hidden", "100000000000"], "--hidden 100000000000 is too wide"),
    "hidden 1e40": (
        ["--hidden", "5", str(10**40)],
        "is too wide: 1,000,000 at the most",
    ),
    "no hidden": (["--hidden"], "argument --hidden: expected at least one argument"),
    "seed -1": (
        ["--seed", "-1"],
        "--seed must be a whole number of at least 0, got -1",
    ),
    "seed 1e23": (["--seed", "9" * 23], "--seed must be less than 2**63, got 9999"),
    "seed 2**63": (["--seed", str(2**63)], "--seed must be less than 2**63"),
    "seed -2**70": (["--seed", str(-(2**70))], "--seed must be a whole number of at"),
    "seed x": (["--seed", "x"], "argument --seed: invalid int value: 'x'"),
    "epochs 0": (["--epochs", "0"], "--epochs must be a whole number of at least 1"),
    "epochs -1": (["--epochs", "-1"], "--epochs must be a whole number of at least 1"),
    "epochs 1e30": (["--epochs", str(10**30)], "are too many: 1,000,000 at most"),
    "epochs 1e9": (["--epochs", str(10**9)], "are too many: 1,000,000 at most"),
    "epochs 1.5": (["--epochs", "1.5"], "argument --epochs: invalid int value: '1.5'"),
    "augment": (["--augment", "flip"], "argument --augment: invalid choice: 'flip'"),
    "an option": (["--epoch5"], "unrecognized arguments: --epoch5"),
    "a word": (["train"], "unrecognized arguments: train"),
    "load and save": (["--load", "a", "--save", "b"], "leave --save out"),
    "load and train": (
        ["--load", "a", "--epochs", "5", "--seed", "4"],
        "leave --epochs, --seed out",
    ),
    "load and labels": (["--load", "a", "--labels", "every"], "leave --labels out"),
    "load and a default": (
        ["--load", "a", "--labels", "image", "--seed", "0"],
        "leave --labels, --seed out",
    ),
    "labels": (["--labels", "some"], "argument --labels: invalid choice: 'some'"),
    "load nothing": (["--load", ""], "there is no file"),
}


@pytest.mark.parametrize(("arguments", "message"), RANGES.values(), ids=RANGES)
def test_numbers_out_of_range_are_one_line(capsys, monkeypatch, arguments, message):
    monkeypatch.setenv("FF_DATASET", "digits")
    assert message in fails(capsys, *arguments)


def test_the_largest_seed_is_one(capsys):
    assert main([*SMALL, "--epochs", "1", "--seed", str(2**63 - 1)]) == 0


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("out of memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate\nmemory"),
        torch.OutOfMemoryError("CUDA out of memory"),
        FloatingPointError("diverged"),
        OverflowError("too large"),
        OSError(errno.EIO, "Input/output error"),
        PermissionError(errno.EACCES, "Permission denied"),
        UnicodeDecodeError("utf-8", b"x", 0, 1, "invalid"),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize(
    "place", ["load_dataset", "FFNet", "fast_train", "layer_errors"]
)
def test_what_goes_wrong_later_is_one_line_too(capsys, monkeypatch, error, place):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(f"ffutils.__main__.{place}", fail)
    fails(capsys, *SMALL, "--epochs", "1")


def test_divergence_is_one_line_and_saves_nothing(tmp_path, capsys, monkeypatch):
    from ffutils import __main__

    monkeypatch.setitem(__main__.FOR_DIGITS, "image", {"epochs": 2, "lr": 1e30})
    line = fails(capsys, *SMALL, "--epochs", "2", "--save", str(tmp_path / "net.pt"))
    assert "the training has diverged; lower lr" in line
    assert not os.listdir(tmp_path)


def test_a_damaged_file_of_mnist(tmp_path, monkeypatch, capsys):
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    (raw / "train-images-idx3-ubyte").write_bytes(b"not an IDX file")
    monkeypatch.setenv("FF_DATA", str(tmp_path))
    assert "train-images-idx3-ubyte is damaged: 15 bytes" in fails(capsys)


def test_a_wrong_and_a_relative_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("FF_DATA", str(tmp_path))
    assert "train-images-idx3-ubyte is missing" in fails(capsys)
    monkeypatch.setenv("FF_DATA", "data")
    assert "FF_DATA must be an absolute path, got 'data'" in fails(capsys)


# A saved net


def test_what_cannot_be_loaded_is_one_line(tmp_path, capsys):
    file = tmp_path / "net.pt"
    assert f"there is no file {file}" in fails(capsys, "--load", str(file))
    file.write_bytes(b"text")
    assert "is not a file of save_net, or is damaged" in fails(
        capsys, "--load", str(file)
    )
    save_net(MLP(784, 8), file)
    assert f"{file} holds a MLP, not an FFNet or a" in fails(
        capsys, "--load", str(file)
    )
    save_net(FFNet(784, 8, goodness=lambda h: h.sum(dim=1)), file)
    line = fails(capsys, "--load", str(file))
    assert "this net was trained with a goodness of its own" in line


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (
            lambda: FFNet(3072, 8),
            "images must have the shape (batch, 3072), got (297, 784)",
        ),
        (lambda: FFNet(784, 8, n_classes=3), "labels must be in 0..2, got 9"),
    ],
)
def test_a_net_for_other_data_is_one_line(tmp_path, capsys, net, message):
    save_net(net(), tmp_path / "net.pt")
    line = fails(capsys, "--dataset", "digits", "--load", str(tmp_path / "net.pt"))
    assert message in line


def test_a_net_of_more_classes_than_the_data_is_tested(tmp_path, capsys):
    save_net(FFNet(784, 8, 6, n_classes=26), tmp_path / "net.pt")
    assert main(["--dataset", "digits", "--load", str(tmp_path / "net.pt")]) == 0
    assert list(errors(capsys.readouterr().out))[0] == "layer 1"
