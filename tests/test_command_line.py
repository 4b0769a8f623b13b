"""`python -m ffutils`: what it prints and saves, and one line with the exit code 2 for bad input."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from ffutils.__main__ import main
from ffutils.data import load_digits
from ffutils.layers import FFNet
from ffutils.prediction import error_rate, predict

ROOT = Path(__file__).resolve().parents[1]
SMALL = ["--dataset", "digits", "--hidden", "12", "10", "8", "--device", "cpu"]


@pytest.fixture(autouse=True)
def no_settings(monkeypatch, tmp_path):
    monkeypatch.delenv("FF_DATA", raising=False)
    monkeypatch.delenv("FF_DATASET", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def start(*arguments, **environment):
    """Start the command as a person does, in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-u", "-m", "ffutils", *arguments],
        cwd=ROOT, env=os.environ | environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def errors(output):
    """The printed test errors by name."""
    return {name: float(value) for name, value in re.findall(r"^  (\S.*?) +([\d.]+) %$", output, re.MULTILINE)}


def fails(capsys, *arguments):
    """Run the command, which must end with one line and the exit code 2; returns that line."""
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
    main([*SMALL, "--epochs", "2", "--seed", "3", "--save", str(file)])
    output = capsys.readouterr().out
    printed = errors(output)
    names = ["layer 1 alone", "layer 2 alone", "layer 3 alone", "sum of all layers", "sum without the first"]
    assert list(printed) == names
    for said in ("1,500 training and 297 test images", "784-12-10-8", "seed 3", "device  cpu", "epoch  2/2"):
        assert said in output

    saved = torch.load(file, weights_only=True)
    net = FFNet(*saved["widths"])
    net.load_state_dict(saved["state_dict"])
    _, test = load_digits()
    for name, layers in zip(names, ([0], [1], [2], [0, 1, 2], [1, 2]), strict=True):
        error = error_rate(predict(net, test.images, layers), test.labels)
        assert saved["test_error"][name] == pytest.approx(error, abs=1e-4)
        assert printed[name] == pytest.approx(error, abs=0.005)


def test_the_same_seed_gives_the_same_net(tmp_path, capsys):
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        main([*SMALL, "--epochs", "1", "--seed", seed, "--save", str(tmp_path / name)])
    a, b, c = (torch.load(tmp_path / name, weights_only=True)["state_dict"] for name in "abc")
    assert all(torch.equal(a[key], b[key]) for key in a)
    assert not torch.equal(a["layers.0.weight"], c["layers.0.weight"])


def test_a_net_of_one_layer_has_no_sum_without_the_first(capsys):
    main(["--dataset", "digits", "--hidden", "8", "--epochs", "1", "--device", "cpu"])
    assert list(errors(capsys.readouterr().out)) == ["layer 1 alone", "sum of all layers"]


def test_without_a_network_it_says_so_in_one_line_and_takes_the_digits(monkeypatch, capsys):
    def refuse(*_):
        raise ConnectionError("MNIST could not be downloaded.")

    monkeypatch.setattr("ffutils.data.load_mnist", refuse)
    main(["--hidden", "8", "--epochs", "1", "--device", "cpu"])
    output = capsys.readouterr()
    assert output.err == "warning: MNIST could not be downloaded. Using scikit-learn's digits instead.\n"
    assert "data    digits" in output.out


@pytest.fixture
def listening_to_ctrl_c():
    """Commands that are started here heed Ctrl-C, even where a shell in the background told pytest to ignore it."""
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
    assert process.returncode == 0
    assert complaints == ""
    assert "Stopped: the net keeps what it has learnt so far." in output
    assert "of 100000 epochs" in output
    assert errors(output)["sum of all layers"] == pytest.approx(
        torch.load(file, weights_only=True)["test_error"]["sum of all layers"], abs=0.005
    )


def test_ctrl_c_before_the_training_ends_without_a_traceback(monkeypatch, capsys):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("ffutils.__main__.load_dataset", interrupt)
    with pytest.raises(SystemExit) as end:
        main(SMALL)
    assert end.value.code == 130
    assert capsys.readouterr().err == "\nstopped\n"


# Bad input


def test_cuda_without_a_gpu_as_a_person_sees_it():
    with start("--device", "cuda", CUDA_VISIBLE_DEVICES="") as process:
        output, complaints = process.communicate(timeout=60)
    assert process.returncode == 2
    assert output == ""
    assert complaints.startswith("python -m ffutils: error: device 'cuda' is not available here: expected one of cpu")
    assert complaints.count("\n") == 1


@pytest.mark.parametrize("device", ["toaster", "CPU", "", "cpu:x", "meta", "cuda:99"])
def test_a_device_that_is_not_there(capsys, device):
    assert f"device {device!r} is not available here: expected one of cpu" in fails(capsys, *SMALL, "--device", device)


def test_an_unknown_data_set(capsys, monkeypatch):
    expected = "unknown data set 'cifar': expected 'auto', 'mnist' or 'digits'"
    assert expected in fails(capsys, "--dataset", "cifar")
    monkeypatch.setenv("FF_DATASET", "cifar")
    assert expected in fails(capsys)


@pytest.mark.parametrize("width", ["0", "-5"])
def test_widths_below_1(capsys, width):
    assert f"whole numbers of at least 1, such as FFNet(784, 500, 500), got (784, 500, {width})" in fails(
        capsys, "--dataset", "digits", "--hidden", "500", width
    )


@pytest.mark.parametrize("width", ["many", "2.5"])
def test_widths_that_are_no_whole_numbers(capsys, width):
    assert f"argument --hidden: invalid int value: '{width}'" in fails(capsys, "--hidden", width)


def test_no_epochs(capsys):
    assert "epochs must be a whole number of at least 1, got 0" in fails(capsys, *SMALL, "--epochs", "0")


def test_a_seed_beyond_what_torch_takes(capsys):
    assert "verflow" in fails(capsys, *SMALL, "--seed", str(2**70))


@pytest.mark.parametrize("target", ["", "missing/net.pt", "."])
def test_a_file_that_cannot_be_written_is_refused_before_the_training(tmp_path, monkeypatch, capsys, target):
    monkeypatch.chdir(tmp_path)
    line = fails(capsys, *SMALL, "--save", target)
    assert f"--save {target!r} cannot be written" in line
    assert "choose a file in a folder that exists" in line
    assert not list(tmp_path.iterdir())


def test_a_run_that_fails_leaves_no_empty_file_and_harms_no_old_one(tmp_path, capsys):
    old, new = tmp_path / "old.pt", tmp_path / "new.pt"
    old.write_text("an older net")
    for file in (old, new):
        fails(capsys, *SMALL, "--epochs", "0", "--save", str(file))
    assert old.read_text() == "an older net"
    assert not new.exists()


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


def test_an_unknown_option(capsys):
    assert "unrecognized arguments: --epoch5" in fails(capsys, "--epoch5")
