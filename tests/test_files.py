"""The files of MNIST and Fashion-MNIST: checked, downloaded, or done without."""

import errno
import gzip
import hashlib
import http.client
import os
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from urllib.error import HTTPError, URLError

import pytest
import torch
from torchvision import datasets

from ffutils import files
from ffutils.data import load_dataset, load_mnist, split_validation
from ffutils.files import FOLDERS, MD5, NAMES

ROOT = Path(__file__).resolve().parents[1]
REAL_DATA = os.environ.get("FF_DATA")  # before the tests take it away
BOTH = pytest.mark.parametrize("name", list(FOLDERS))


@pytest.fixture(autouse=True)
def attempts(monkeypatch, tmp_path):
    """A machine with an empty cache, no settings and no network.

    Returns the addresses that it was asked for.
    """
    asked = []

    def refuse(request, *_, **__):
        asked.append(request.full_url)
        raise URLError("no network in this test")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    monkeypatch.delenv("FF_DATA", raising=False)
    monkeypatch.delenv("FF_DATASET", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return asked


def idx(values):
    """A uint8 tensor in MNIST's format: two zeros, type, dimensions, sizes, bytes."""
    sizes = b"".join(size.to_bytes(4, "big") for size in values.shape)
    return bytes([0, 0, 8, values.dim()]) + sizes + bytes(values.flatten().tolist())


def tiny_files(start=0):
    """Six training and two test images; the pixels of image k are k, and its label."""
    contents = []
    for first, count in ((0, 6), (6, 2)):
        labels = torch.arange(first, first + count, dtype=torch.uint8) + start
        images = labels[:, None, None].expand(-1, 28, 28)
        contents += [idx(images), idx(labels)]
    return dict(zip(NAMES, contents, strict=True))


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """Folders of tiny data sets, whose sums count as right, and FF_DATA set to them.

    Returns the folder MNIST/raw or FashionMNIST/raw of a name.
    """
    for start, (name, folder) in enumerate(FOLDERS.items()):
        raw = tmp_path / "data" / folder / "raw"
        raw.mkdir(parents=True)
        contents = tiny_files(start)
        for file, content in contents.items():
            (raw / file).write_bytes(content)
        sums = tuple(hashlib.md5(content).hexdigest() for content in contents.values())
        monkeypatch.setitem(MD5, name, sums)
    monkeypatch.setenv("FF_DATA", str(tmp_path / "data"))
    return lambda name: tmp_path / "data" / FOLDERS[name] / "raw"


# What is there


@BOTH
def test_the_files_are_read_and_scaled(tiny, attempts, name):
    start = list(FOLDERS).index(name)
    train, test = load_mnist(name=name)
    expected = (torch.arange(6)[:, None] + start) / 255
    assert torch.equal(train.images, expected.expand(-1, 784))
    assert train.images.dtype == torch.float32
    assert torch.equal(train.labels, torch.arange(6) + start)
    assert torch.equal(test.labels, torch.tensor([6, 7]) + start)
    assert load_dataset(name)[0] == name
    assert not attempts


def test_another_default_device_changes_nothing(tiny):
    expected = load_mnist()
    with torch.device("meta"):
        loaded = load_mnist()
    for split, other in zip(loaded, expected, strict=True):
        assert torch.equal(split.images, other.images)
        assert torch.equal(split.labels, other.labels)


def test_auto_is_mnist(tiny):
    assert load_dataset()[0] == load_dataset("auto")[0] == "mnist"


@pytest.mark.parametrize("name", ["mnist", "fashion", "digits"])
def test_ff_dataset_chooses_and_an_argument_overrides_it(tiny, monkeypatch, name):
    monkeypatch.setenv("FF_DATASET", name)
    assert load_dataset()[0] == name
    assert load_dataset("mnist")[0] == "mnist"


@BOTH
def test_a_truncated_file_is_an_error_that_says_what_to_do(tiny, name):
    file = tiny(name) / "train-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:1000])
    message = f"{file} is damaged: 1,000 bytes with MD5 .* copy the files there"
    with pytest.raises(OSError, match=message):
        load_dataset(name)


@BOTH
@pytest.mark.parametrize("file", NAMES)
def test_a_single_wrong_byte_is_found(tiny, name, file):
    path = tiny(name) / file
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(OSError, match=f"{file} is damaged"):
        load_dataset(name)


def test_the_one_is_not_taken_for_the_other(tiny):
    """Both data sets have files of the same names and sizes."""
    for file in NAMES:
        (tiny("mnist") / file).write_bytes((tiny("fashion") / file).read_bytes())
    with pytest.raises(OSError, match="is damaged"):
        load_dataset("mnist")


@BOTH
def test_a_missing_file_is_an_error_although_a_download_could_bring_it(
    tiny, attempts, name
):
    (tiny(name) / "t10k-images-idx3-ubyte").unlink()
    message = "t10k-images-idx3-ubyte is missing: expected the four .* set FF_DATA"
    with pytest.raises(FileNotFoundError, match=message):
        load_dataset(name)
    assert not attempts


@pytest.mark.skipif(REAL_DATA is None, reason="FF_DATA does not say where MNIST lies")
def test_real_mnist(monkeypatch):
    monkeypatch.setenv("FF_DATA", REAL_DATA)
    name, train, test = load_dataset()
    assert name == "mnist"
    assert train.images.shape == (60_000, 784)
    assert test.images.shape == (10_000, 784)
    assert train.labels[:5].tolist() == [5, 0, 4, 1, 9]
    counts = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert train.labels.bincount().tolist() == counts
    assert train.images.min() == 0
    assert train.images.max() == 1
    assert train.images.mean().item() == pytest.approx(0.1307, abs=1e-4)
    train, validation = split_validation(train)
    assert (len(train.labels), len(validation.labels)) == (50_000, 10_000)


@pytest.mark.skipif(
    REAL_DATA is None or not Path(REAL_DATA, "FashionMNIST").is_dir(),
    reason="FF_DATA does not say where Fashion-MNIST lies",
)
def test_real_fashion_mnist(monkeypatch):
    monkeypatch.setenv("FF_DATA", REAL_DATA)
    name, train, test = load_dataset("fashion")
    assert name == "fashion"
    assert train.labels[:5].tolist() == [9, 0, 0, 3, 0]
    assert train.labels.bincount().tolist() == 10 * [6000]
    assert test.labels.bincount().tolist() == 10 * [1000]
    assert train.images.mean().item() == pytest.approx(0.2860, abs=1e-4)


# The environment


def test_a_wrong_folder_is_an_error_and_is_left_as_it_was(
    tmp_path, monkeypatch, attempts
):
    monkeypatch.setenv("FF_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="train-images-idx3-ubyte is missing"):
        load_dataset()
    assert not attempts
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("folder", ["data", "./data", "~nobody-of-this-name/data"])
def test_a_relative_folder_is_an_error_that_says_what_to_type(monkeypatch, folder):
    monkeypatch.setenv("FF_DATA", folder)
    message = "FF_DATA must be an absolute path, got .*; try export FF_DATA="
    with pytest.raises(ValueError, match=message):
        load_dataset()


@pytest.mark.parametrize("end", ["~/data", "~/data/", "~/./data", "~/x/../data"])
def test_a_tilde_is_the_home_folder(tiny, tmp_path, monkeypatch, end):
    """In FF_DATA='~/data' the shell leaves it alone."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("FF_DATA", end)
    (tmp_path / "x").mkdir()
    assert load_dataset()[0] == "mnist"


@pytest.mark.parametrize("variable", ["FF_DATA", "FF_DATASET", "XDG_CACHE_HOME"])
def test_an_empty_variable_is_not_set(tmp_path, monkeypatch, variable):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv(variable, "")
    with pytest.warns(UserWarning, match="MNIST could not be downloaded"):
        assert load_dataset()[0] == "digits"
    folder = ".cache" if variable == "XDG_CACHE_HOME" else "cache"
    assert files.data_folder() == tmp_path / folder / "ffutils"


def test_the_cache_follows_its_variable(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", "~/elsewhere")
    assert files.data_folder() == tmp_path / "elsewhere" / "ffutils"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # which its specification forbids
    assert files.data_folder() == tmp_path / ".cache" / "ffutils"


def test_a_user_without_a_name_and_a_home_has_a_cache_too(tmp_path, monkeypatch):
    def homeless():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", homeless)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert files.data_folder() == tmp_path / "ffutils-data"
    with pytest.warns(UserWarning, match="check the network"):
        assert load_dataset()[0] == "digits"


LOAD = """
import os, sys, urllib.request, warnings
sys.path.insert(0, {root!r})
import ffutils, torchvision.datasets
ffutils.load_digits()  # while this user may still read Python's own files
def refuse(*_, **__):
    raise OSError("no network")
urllib.request.urlopen = refuse
os.setgid(54321), os.setuid(54321)
warnings.simplefilter("ignore")
for variable, value in {cases!r}:
    for name in ("HOME", "XDG_CACHE_HOME", "FF_DATA"):
        os.environ.pop(name, None)
    if value is not None:
        os.environ[variable] = value
    print(ffutils.load_dataset()[0])
"""


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can change uid"
)
def test_a_uid_without_a_name_and_a_cache_that_it_may_not_look_into(tmp_path):
    """As in a container that was started with --user."""
    (tmp_path / "cache" / "ffutils" / "MNIST" / "raw").mkdir(parents=True)
    (tmp_path / "cache").chmod(0o700)
    homes = [None, "/root", "/nonexistent", "/proc", ""]
    cases = [("HOME", home) for home in homes]
    cases.append(("XDG_CACHE_HOME", str(tmp_path / "cache")))
    code = LOAD.format(root=str(ROOT), cases=cases)
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        run = subprocess.run(
            [sys.executable, "-c", code], env=os.environ | {"TMPDIR": folder},
            capture_output=True, text=True,
        )  # fmt: skip
    assert run.stdout == len(cases) * "digits\n", run.stderr


def test_the_digits_need_no_valid_folder(monkeypatch):
    monkeypatch.setenv("FF_DATA", "nonsense")
    assert load_dataset("digits")[0] == "digits"


def test_digits_ask_no_network(attempts, monkeypatch):
    monkeypatch.setenv("FF_DATASET", "digits")
    assert load_dataset()[0] == "digits"
    assert not attempts


@pytest.mark.parametrize("how", ["argument", "FF_DATASET"])
def test_an_unknown_data_set_is_an_error(monkeypatch, attempts, how):
    monkeypatch.setenv("FF_DATASET", "cifar" if how == "FF_DATASET" else "auto")
    message = (
        "unknown data set 'cifar': expected 'auto', 'mnist', 'fashion' or 'digits'"
    )
    with pytest.raises(ValueError, match=message):
        load_dataset("cifar" if how == "argument" else None)
    assert not attempts


# Without a network


def test_auto_without_a_network_warns_once_and_takes_the_digits(attempts, tmp_path):
    with pytest.warns(UserWarning) as warned:
        name, train, test = load_dataset()
    assert name == "digits"
    assert (len(train.labels), len(test.labels)) == (1500, 297)
    warned = [warning for warning in warned if warning.category is UserWarning]
    assert len(warned) == 1
    assert "check the network, or set FF_DATA" in str(warned[0].message)
    assert "Using scikit-learn's digits instead" in str(warned[0].message)
    assert attempts
    assert not list((tmp_path / "cache" / "ffutils").iterdir())


@BOTH
@pytest.mark.parametrize("how", ["argument", "FF_DATASET"])
def test_what_was_asked_for_by_name_is_not_replaced(monkeypatch, how, name):
    monkeypatch.setenv("FF_DATASET", name if how == "FF_DATASET" else "auto")
    message = (
        f"{FOLDERS[name]} could not be downloaded: check the network, or set FF_DATA "
        f"to a folder that holds {FOLDERS[name]}/raw, or set FF_DATASET=digits"
    )
    with pytest.raises(ConnectionError, match=message):
        load_dataset(name if how == "argument" else None)


# A download


class Response:
    """What urlopen returns, for torchvision's own downloader."""

    def __init__(self, url, content, accident):
        self.url, self.length = url, len(content)
        self.content, self.accident = content, accident

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def read(self, size=-1):
        if self.accident is not None:
            raise self.accident
        part, self.content = self.content[:size], self.content[size:]
        return part


@pytest.fixture
def network(tiny, monkeypatch):
    """A network that brings the tiny data sets, unless its list holds an accident.

    An accident is an error of the connection, an error of the transfer in a tuple, or
    what the server sends instead of a file.
    """
    monkeypatch.delenv("FF_DATA")
    accidents = []
    for name, folder in FOLDERS.items():
        kind = getattr(datasets, folder)
        packed = {
            f"{file}.gz": gzip.compress((tiny(name) / file).read_bytes(), mtime=0)
            for file in NAMES
        }
        sums = [(file, hashlib.md5(data).hexdigest()) for file, data in packed.items()]
        monkeypatch.setattr(kind, "resources", sums)
        monkeypatch.setattr(kind, "mirrors", [f"http://example.org/{name}/"])

    def urlopen(request, *_, **__):
        *_, name, file = request.full_url.split("/")
        content = gzip.compress(
            (tiny(name) / file.removesuffix(".gz")).read_bytes(), mtime=0
        )
        accident = None
        if accidents and file.startswith("t10k"):
            accident = accidents[0]
            if isinstance(accident, BaseException):
                raise accident
            if isinstance(accident, bytes):
                content, accident = accident, None
            else:
                (accident,) = accident
        return Response(request.full_url, content, accident)

    monkeypatch.setattr("urllib.request.urlopen", urlopen)
    return accidents


def cached(tmp_path):
    return sorted(path.name for path in (tmp_path / "cache" / "ffutils").iterdir())


@BOTH
def test_a_download_is_kept_for_the_next_time(network, tmp_path, name):
    assert len(load_mnist(name=name)[0].labels) == 6
    assert cached(tmp_path) == [FOLDERS[name]]
    network.append(AssertionError("a second download"))
    assert len(load_mnist(name=name)[0].labels) == 6


@pytest.mark.parametrize(
    "accident",
    [KeyboardInterrupt(), TimeoutError("timed out"), b"a truncated file"],
    ids=repr,
)
def test_a_download_that_breaks_off_leaves_nothing_and_the_next_one_works(
    network, tmp_path, accident
):
    network.append(accident)
    expected = ConnectionError
    if isinstance(accident, KeyboardInterrupt):
        expected = KeyboardInterrupt
    with pytest.raises(expected):
        load_mnist()
    assert not cached(tmp_path)
    network.clear()
    assert len(load_mnist()[0].labels) == 6


def test_a_download_waits_ten_seconds_at_most_and_restores_the_timeout(
    network, monkeypatch
):
    timeouts = []
    monkeypatch.setattr("socket.setdefaulttimeout", timeouts.append)
    load_mnist()
    assert timeouts == [10, None]


def http_error(code):
    return HTTPError("http://example.org", code, http.client.responses[code], {}, None)


def system_error(code):
    return OSError(code, os.strerror(code))


NOT_TRUSTED = "[SSL: CERTIFICATE_VERIFY_FAILED] self-signed certificate in chain"
SOMETHING_ELSE = "the server sent something else, as a proxy or a login page would"
CHECK = "check the network"
ELSEWHERE = "cannot be written; set XDG_CACHE_HOME to one that can"
ACCIDENTS = {
    **{str(k): (http_error(k), SOMETHING_ELSE, f"{k}") for k in (401, 403, 404, 407)},
    **{
        str(k): (http_error(k), "the server is busy; try again later", f"{k}")
        for k in (429, 500, 502, 503)
    },
    "a login page": (b"<html>Please log in</html>", SOMETHING_ELSE, "corrupted"),
    "nothing": (b"", SOMETHING_ELSE, "corrupted"),
    "a certificate": (
        URLError(ssl.SSLCertVerificationError(1, NOT_TRUSTED)),
        "certificate is not trusted; set SSL_CERT_FILE",
        "self-signed",
    ),
    "no name": (
        URLError(socket.gaierror(-2, "Name not known")),
        CHECK,
        "Name not known",
    ),
    "refused": (URLError(ConnectionRefusedError(111, "refused")), CHECK, "refused"),
    "unreachable": (URLError(system_error(errno.ENETUNREACH)), CHECK, "unreachable"),
    "slow": ((TimeoutError("timed out"),), CHECK, "timed out"),
    "cut off": ((ConnectionResetError(104, "reset by peer"),), CHECK, "reset by peer"),
    "too short": ((http.client.IncompleteRead(b""),), CHECK, "IncompleteRead"),
    "a full disk": (
        (system_error(errno.ENOSPC),),
        "the disk is full; free 100 MB there",
        "No space left",
    ),
    "a quota": (
        (system_error(errno.EDQUOT),),
        "the disk is full; free 100 MB there",
        "quota",
    ),
    **{
        errno.errorcode[k]: ((system_error(k),), ELSEWHERE, os.strerror(k))
        for k in (errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO, errno.EFBIG)
    },
}


@BOTH
@pytest.mark.parametrize(
    ("accident", "remedy", "cause"), ACCIDENTS.values(), ids=ACCIDENTS
)
def test_the_cause_is_kept_and_the_remedy_fits_it(
    network, tmp_path, name, accident, remedy, cause
):
    network.append(accident)
    with pytest.raises(ConnectionError) as caught:
        load_dataset(name)
    message = str(caught.value)
    assert message.startswith(f"{FOLDERS[name]} could not be downloaded: ")
    assert remedy in message and cause in message.split("(", 1)[1]
    assert (CHECK in message) == (remedy == CHECK)
    assert "set FF_DATASET=digits" in message
    assert "\n" not in message
    assert caught.value.__cause__ is not None
    assert not cached(tmp_path)


def file_in_the_way(folder):
    folder.write_text("not a folder")
    return folder


def link_to_itself(folder):
    folder.symlink_to(folder)
    return folder


@pytest.mark.parametrize(
    "make",
    [
        file_in_the_way,
        link_to_itself,
        lambda folder: folder / ("x" * 300),
        lambda folder: Path("/proc/nothing"),
        lambda folder: Path("/dev/null"),
    ],
)
def test_a_cache_that_cannot_be_written(network, tmp_path, monkeypatch, make):
    monkeypatch.setenv("XDG_CACHE_HOME", str(make(tmp_path / "cache")))
    with pytest.raises(ConnectionError, match=ELSEWHERE):
        load_dataset("mnist")
    with pytest.warns(UserWarning, match=ELSEWHERE):
        assert load_dataset("auto")[0] == "digits"


# Others at work on the same cache


@BOTH
def test_another_process_may_be_quicker(network, tiny, tmp_path, monkeypatch, name):
    """It fills the folder just before this one does."""
    rename, target = os.rename, tmp_path / "cache" / "ffutils" / FOLDERS[name] / "raw"

    def late(source, destination):
        target.mkdir(parents=True)
        for file in NAMES:
            (target / file).write_bytes((tiny(name) / file).read_bytes())
        return rename(source, destination)

    monkeypatch.setattr("os.rename", late)
    assert len(load_mnist(name=name)[0].labels) == 6
    assert cached(tmp_path) == [FOLDERS[name]]


def test_another_process_may_be_quicker_while_the_network_fails(
    network, tiny, tmp_path, monkeypatch
):
    target = tmp_path / "cache" / "ffutils" / "MNIST" / "raw"

    class Busy(OSError):
        def __str__(self):  # it is asked for its text only once it was caught
            return "timed out"

    network.append(Busy())
    check, calls = files.check_files, []

    def checked(root, name):
        if not calls:
            target.mkdir(parents=True)
            for file in NAMES:
                (target / file).write_bytes((tiny(name) / file).read_bytes())
        calls.append(root)
        return check(root, name)

    monkeypatch.setattr(files, "check_files", checked)
    assert len(load_mnist()[0].labels) == 6


def test_what_another_process_left_behind_damaged_is_no_success(
    network, tmp_path, monkeypatch
):
    rename, target = os.rename, tmp_path / "cache" / "ffutils" / "MNIST" / "raw"

    def late(source, destination):
        target.mkdir(parents=True)
        (target / NAMES[0]).write_bytes(b"half a file")
        return rename(source, destination)

    monkeypatch.setattr("os.rename", late)
    with pytest.raises(ConnectionError, match="MNIST could not be downloaded"):
        load_mnist()
    with pytest.raises(OSError, match="Delete the folder .* and load again"):
        load_mnist()


def test_several_at_once_all_succeed(network):
    results, errors = [], []

    def load():
        try:
            results.append(len(load_mnist()[0].labels))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=load) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors and results == 6 * [6]


def test_old_unfinished_downloads_are_swept_and_new_ones_are_left(network, tmp_path):
    root = tmp_path / "cache" / "ffutils"
    for name, age in (("unfinished-old", 100_000), ("unfinished-new", 60)):
        (root / name / "MNIST").mkdir(parents=True)
        os.utime(root / name, times=2 * (time.time() - age,))
    load_mnist()
    assert cached(tmp_path) == ["MNIST", "unfinished-new"]


def test_another_process_may_sweep_at_the_same_time(network, tmp_path, monkeypatch):
    gone = tmp_path / "cache" / "ffutils" / "unfinished-gone"
    monkeypatch.setattr(Path, "glob", lambda *_: [gone])
    assert len(load_mnist()[0].labels) == 6


@BOTH
def test_a_damaged_file_in_the_cache_is_to_be_deleted(network, tmp_path, name):
    load_mnist(name=name)
    raw = tmp_path / "cache" / "ffutils" / FOLDERS[name] / "raw"
    (raw / NAMES[3]).unlink()
    message = f"Delete the folder {raw} and load again"
    with pytest.raises(FileNotFoundError, match=message):
        load_mnist(name=name)
