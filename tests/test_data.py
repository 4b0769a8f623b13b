"""Chapter 01's module: the splits, the files of MNIST, and what happens without them or without a network."""

import hashlib
import os
from urllib.error import URLError

import pytest
import torch
from torchvision import datasets

from ffutils.checks import MNIST_FILES
from ffutils.data import Split, batches, hold_out, load_dataset, load_digits, load_mnist

REAL_MNIST = os.environ.get("FF_DATA")  # before the tests take it away


@pytest.fixture(autouse=True)
def attempts(monkeypatch, tmp_path):
    """A machine with an empty cache, no settings and no network; returns the addresses that it was asked for."""
    asked = []

    def refuse(request, *_, **__):
        asked.append(request.full_url)
        raise URLError("no network in this test")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    monkeypatch.delenv("FF_DATA", raising=False)
    monkeypatch.delenv("FF_DATASET", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return asked


def write_idx(file, values):
    """Write a uint8 tensor in MNIST's own format: two zeros, the type, the number of dimensions, each size, the bytes."""
    sizes = b"".join(size.to_bytes(4, "big") for size in values.shape)
    file.write_bytes(bytes([0, 0, 8, values.dim()]) + sizes + bytes(values.flatten().tolist()))


def write_tiny_mnist(root):
    """Six training and two test images in the four files of MNIST; the pixels of image k are k, and its label too."""
    raw = root / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for prefix, first, count in (("train", 0, 6), ("t10k", 6, 2)):
        labels = torch.arange(first, first + count, dtype=torch.uint8)
        write_idx(raw / f"{prefix}-images-idx3-ubyte", labels[:, None, None].expand(-1, 28, 28))
        write_idx(raw / f"{prefix}-labels-idx1-ubyte", labels)
    return raw


@pytest.fixture
def tiny_mnist(tmp_path, monkeypatch):
    """The folder MNIST/raw with a tiny data set, whose MD5 sums count as the right ones, and FF_DATA set to it."""
    raw = write_tiny_mnist(tmp_path / "data")
    for name in MNIST_FILES:
        monkeypatch.setitem(MNIST_FILES, name, hashlib.md5((raw / name).read_bytes()).hexdigest())
    monkeypatch.setenv("FF_DATA", str(tmp_path / "data"))
    return raw


# The digits


def test_digits_have_the_shape_of_mnist():
    train, test = load_digits()
    assert train.images.shape == (1500, 784)
    assert test.images.shape == (297, 784)
    for images, labels in (train, test):
        assert images.dtype == torch.float32
        assert labels.dtype == torch.int64
        assert images.min() == 0
        assert 0.9 < images.max() <= 1
        assert labels.unique().tolist() == list(range(10))


def test_digits_have_a_blank_border_for_the_label():
    for images, _ in load_digits():
        images = images.view(-1, 28, 28).clone()
        images[:, 4:24, 4:24] = 0
        assert not images.any()


def test_digits_are_the_same_on_each_call_and_leave_the_generator_alone():
    first, state = load_digits(), torch.get_rng_state()
    torch.manual_seed(99)
    second = load_digits()
    torch.set_rng_state(state)
    for a, b in zip(first, second, strict=True):
        assert torch.equal(a.images, b.images)
        assert torch.equal(a.labels, b.labels)


def test_no_digit_is_in_both_splits():
    train, test = load_digits()
    known = {image.numpy().tobytes() for image in train.images}
    assert not any(image.numpy().tobytes() in known for image in test.images)


# Splits and batches


def test_hold_out_sets_a_sixth_aside_and_loses_no_row():
    rows = torch.arange(60_000)
    fit, validation = hold_out(Split(rows[:, None].float(), rows % 10))
    assert (len(fit.labels), len(validation.labels)) == (50_000, 10_000)
    assert torch.equal(torch.cat([fit.images, validation.images]).flatten().sort().values, rows.float())
    for images, labels in (fit, validation):
        assert torch.equal(images.flatten().long() % 10, labels)
    assert validation.labels.bincount().min() > 900  # drawn at random, not cut off at the end


def test_hold_out_is_the_same_on_each_call_and_leaves_the_generator_alone():
    split = Split(torch.rand(30, 12), torch.arange(30) % 10)
    first, state = hold_out(split), torch.get_rng_state()
    second = hold_out(split)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(a.images, b.images) for a, b in zip(first, second, strict=True))
    assert [len(part.labels) for part in first] == [25, 5]


def test_batches_cover_each_row_once_with_its_label():
    split = Split(torch.arange(10.0)[:, None], torch.arange(10))
    parts = list(batches(split, 4))
    assert [len(y) for _, y in parts] == [4, 4, 2]
    labels = torch.cat([y for _, y in parts])
    assert labels.sort().values.tolist() == list(range(10))
    assert labels.tolist() != list(range(10))
    assert torch.equal(torch.cat([x for x, _ in parts]).flatten().long(), labels)


def test_batches_keep_the_order_where_shuffle_is_off():
    split = Split(torch.arange(10.0)[:, None], torch.arange(10))
    assert [y.tolist() for _, y in batches(split, 4, shuffle=False)] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_batches_follow_the_seed():
    split = Split(torch.arange(50.0)[:, None], torch.arange(50))
    orders = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        orders.append(torch.cat([y for _, y in batches(split, 8)]).tolist())
    assert orders[0] == orders[1] != orders[2]


@pytest.mark.parametrize("size", [0, -1])
def test_batches_need_a_size_of_at_least_1(size):
    with pytest.raises(ValueError, match=f"batch_size must be a whole number of at least 1, got {size}"):
        next(batches(Split(torch.rand(3, 12), torch.arange(3)), size))


# The files of MNIST


def test_mnist_is_read_and_scaled(tiny_mnist, attempts):
    train, test = load_mnist()
    assert torch.equal(train.images, (torch.arange(6)[:, None] / 255).expand(-1, 784))
    assert train.images.dtype == torch.float32
    assert torch.equal(train.labels, torch.arange(6))
    assert torch.equal(test.labels, torch.tensor([6, 7]))
    assert load_dataset()[0] == load_dataset("mnist")[0] == "mnist"
    assert not attempts


def test_a_truncated_file_is_an_error_that_says_what_to_do(tiny_mnist):
    file = tiny_mnist / "train-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(OSError, match=f"{file} is damaged: 1,000 bytes with MD5 .* copy the files there"):
        load_dataset()


def test_a_single_wrong_byte_is_found(tiny_mnist):
    file = tiny_mnist / "t10k-labels-idx1-ubyte"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(OSError, match="t10k-labels-idx1-ubyte is damaged"):
        load_dataset()


def test_a_missing_file_is_an_error_although_a_download_could_bring_it(tiny_mnist, attempts):
    (tiny_mnist / "t10k-images-idx3-ubyte").unlink()
    with pytest.raises(FileNotFoundError, match="t10k-images-idx3-ubyte is missing: expected the four .* set FF_DATA"):
        load_dataset()
    assert not attempts


def test_a_damaged_file_in_the_cache_is_to_be_deleted(tiny_mnist, monkeypatch):
    (tiny_mnist / "t10k-labels-idx1-ubyte").unlink()
    monkeypatch.setattr("ffutils.data.data_folder", lambda: tiny_mnist.parents[1])
    monkeypatch.delenv("FF_DATA")
    with pytest.raises(FileNotFoundError, match=f"Delete the folder {tiny_mnist} and load again"):
        load_dataset()


def test_a_wrong_folder_is_an_error_and_is_left_as_it_was(tmp_path, monkeypatch, attempts):
    monkeypatch.setenv("FF_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="train-images-idx3-ubyte is missing"):
        load_dataset()
    assert not attempts
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("folder", ["data", "./data", ""])
def test_a_relative_folder_is_an_error_that_says_what_to_type(monkeypatch, folder):
    monkeypatch.setenv("FF_DATA", folder)
    with pytest.raises(ValueError, match="FF_DATA must be an absolute path, got .*; try export FF_DATA="):
        load_dataset()


def test_the_digits_need_no_valid_folder(monkeypatch):
    monkeypatch.setenv("FF_DATA", "nonsense")
    assert load_dataset("digits")[0] == "digits"


@pytest.mark.skipif(REAL_MNIST is None, reason="FF_DATA does not say where MNIST lies")
def test_real_mnist(monkeypatch):
    monkeypatch.setenv("FF_DATA", REAL_MNIST)
    name, train, test = load_dataset()
    assert name == "mnist"
    assert train.images.shape == (60_000, 784)
    assert test.images.shape == (10_000, 784)
    assert train.labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert train.labels.bincount().tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert train.images.min() == 0
    assert train.images.max() == 1
    assert train.images.mean().item() == pytest.approx(0.1307, abs=1e-4)
    fit, validation = hold_out(train)
    assert (len(fit.labels), len(validation.labels)) == (50_000, 10_000)


# Without a network


def test_auto_without_a_network_warns_once_and_takes_the_digits(attempts, tmp_path):
    with pytest.warns(UserWarning) as warned:
        name, train, test = load_dataset()
    assert name == "digits"
    assert (len(train.labels), len(test.labels)) == (1500, 297)
    assert len(warned) == 1
    assert "check the network, or set FF_DATA" in str(warned[0].message)
    assert "Using scikit-learn's digits instead" in str(warned[0].message)
    assert attempts
    assert not list((tmp_path / "cache" / "ffutils").iterdir())


@pytest.mark.parametrize("how", ["argument", "FF_DATASET"])
def test_mnist_without_a_network_is_an_error(monkeypatch, how):
    monkeypatch.setenv("FF_DATASET", "mnist" if how == "FF_DATASET" else "auto")
    with pytest.raises(ConnectionError, match="could not be downloaded: check the network, .* set FF_DATASET=digits"):
        load_dataset("mnist" if how == "argument" else None)


def test_digits_ask_no_network(attempts, monkeypatch):
    monkeypatch.setenv("FF_DATASET", "digits")
    assert load_dataset()[0] == "digits"
    assert not attempts


def test_auto_takes_the_digits_where_the_cache_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.warns(UserWarning, match="could not be downloaded"):
        assert load_dataset()[0] == "digits"


@pytest.mark.parametrize("how", ["argument", "FF_DATASET"])
def test_an_unknown_data_set_is_an_error(monkeypatch, attempts, how):
    monkeypatch.setenv("FF_DATASET", "cifar" if how == "FF_DATASET" else "auto")
    with pytest.raises(ValueError, match="unknown data set 'cifar': expected 'auto', 'mnist' or 'digits'"):
        load_dataset("cifar" if how == "argument" else None)
    assert not attempts


@pytest.fixture
def network(tiny_mnist, monkeypatch):
    """A network that brings the tiny data set after whatever accident stands in the list that is returned."""
    monkeypatch.delenv("FF_DATA")
    accidents, real = [], datasets.MNIST

    def mnist(root, train=True, download=False):
        if download:
            raw = os.path.join(root, "MNIST", "raw")
            os.makedirs(raw)
            for name in MNIST_FILES:
                content = (tiny_mnist / name).read_bytes()
                if accidents and name.startswith("t10k"):
                    accident = accidents.pop()
                    if isinstance(accident, BaseException):
                        raise accident
                    content = content[:-1]
                with open(os.path.join(raw, name), "wb") as file:
                    file.write(content)
        return real(root, train=train)

    monkeypatch.setattr("ffutils.data.datasets.MNIST", mnist)
    return accidents


def test_a_download_is_kept_for_the_next_time(network, tmp_path, monkeypatch):
    assert len(load_mnist()[0].labels) == 6
    assert [path.name for path in (tmp_path / "cache" / "ffutils").iterdir()] == ["MNIST"]
    network.append(OSError("a second download"))
    assert len(load_mnist()[0].labels) == 6
    assert network, "it was downloaded again"


@pytest.mark.parametrize("accident", [KeyboardInterrupt(), TimeoutError("timed out"), "a truncated file"], ids=repr)
def test_a_download_that_breaks_off_leaves_nothing_and_the_next_one_works(network, tmp_path, accident):
    network.append(accident)
    with pytest.raises(KeyboardInterrupt if isinstance(accident, KeyboardInterrupt) else ConnectionError):
        load_mnist()
    assert not list((tmp_path / "cache" / "ffutils").iterdir())
    assert len(load_mnist()[0].labels) == 6


def test_a_download_waits_no_longer_than_ten_seconds_and_restores_the_timeout(network, monkeypatch):
    timeouts = []
    monkeypatch.setattr("socket.setdefaulttimeout", timeouts.append)
    load_mnist()
    assert timeouts == [10, None]
