"""A net in a file: whole or not at all, the same net on any machine."""

import functools
import itertools
import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from ffutils import (
    RECIPE,
    FFLayer,
    FFNet,
    Split,
    goodness,
    label_goodness,
    load_net,
    normalize,
    overlay,
    save_net,
    train,
)
from ffutils.depth import BroadcastNet, broadcast_goodness_per_layer
from ffutils.local import LocallyConnected2d
from ffutils.recurrent import RecurrentNet, goodness_over_time
from ffutils.rivals import MLP, NormalizedMLP, TargetPropNet

ROOT = Path(__file__).resolve().parents[1]
X = torch.rand(5, 36)


def scores(net):
    """What a net makes of images, whatever its kind."""
    x = X.to(next(net.parameters()).dtype)
    if isinstance(net, FFNet):
        return label_goodness(net, x)
    if isinstance(net, BroadcastNet):
        return broadcast_goodness_per_layer(net, x)
    if isinstance(net, RecurrentNet):
        return goodness_over_time(net, x, steps=3)
    if isinstance(net, nn.ModuleList):
        for layer in net:
            x = layer(x)
        return x
    with torch.no_grad():
        return net(x)


def layers(*sizes):
    return nn.ModuleList(FFLayer(*pair) for pair in itertools.pairwise(sizes))


NETS = {
    "FFNet": lambda: FFNet(36, 8, 6),
    "three classes": lambda: FFNet(36, 8, n_classes=3, label_strength=0.5),
    "26 classes": lambda: FFNet(36, 8, 7, 6, n_classes=26, label_strength=-2),
    "windows": lambda: FFNet(36, LocallyConnected2d(6, 1, 3, 3, 5), 8),
    "padded windows": lambda: FFNet(
        36, LocallyConnected2d(6, 1, 3, 1, 2, padding=1), FFLayer(72, 4), 3
    ),
    "numbers from an array": lambda: FFNet(
        np.int64(36), np.int32(8), n_classes=np.int64(3), label_strength=np.float32(0.5)
    ),
    "a list of layers": lambda: layers(36, 8, 6),
    "a list of windows": lambda: nn.ModuleList(
        [LocallyConnected2d(6, 1, 3, 3, 5), FFLayer(20, 4)]
    ),
    "BroadcastNet": lambda: BroadcastNet(36, 8, 6),
    "BroadcastNet of 3 classes": lambda: BroadcastNet(
        36, 8, n_classes=3, label_strength=1.5
    ),
    "MLP": lambda: MLP(36, 8, 6),
    "NormalizedMLP": lambda: NormalizedMLP(36, 8, 6),
    "MLP of 26 classes": lambda: MLP(36, 8, n_classes=26),
    "TargetPropNet": lambda: TargetPropNet(36, 8, 6, 5),
    "TargetPropNet of 3 classes": lambda: TargetPropNet(36, 8, 6, n_classes=3),
    "RecurrentNet": lambda: RecurrentNet(36, 8, 6, 10),
    "RecurrentNet of 3 classes": lambda: RecurrentNet(
        36, 8, 3, damping=0.1, label_strength=1.5
    ),
    "float64": lambda: FFNet(36, 8, 6).double(),
    "bfloat16": lambda: FFNet(36, 8, 6).bfloat16(),
    "float64 MLP": lambda: MLP(36, 8).double(),
}
each_net = pytest.mark.parametrize("make", NETS.values(), ids=NETS)


def shuffle(net):
    """Give every weight a value of its own, so that none is as it was at first."""
    with torch.no_grad():
        for p in net.parameters():
            p.add_(torch.rand_like(p) / 8)
    return net


# There and back


@each_net
def test_every_kind_of_net_comes_back_as_it_was(tmp_path, make):
    net, file = shuffle(make()), tmp_path / "net.pt"
    save_net(net, file)
    state = torch.get_rng_state()
    loaded = load_net(file)
    assert torch.equal(torch.get_rng_state(), state)  # no number was drawn for it
    assert type(loaded) is type(net) and str(loaded) == str(net)
    for p, q in zip(loaded.parameters(), net.parameters(), strict=True):
        assert torch.equal(p, q) and p.dtype == q.dtype
        assert p.requires_grad and p.device.type == "cpu"
    assert torch.equal(scores(loaded), scores(net))
    assert os.listdir(tmp_path) == ["net.pt"]


@each_net
def test_the_file_holds_plain_values_and_tensors_on_the_cpu(tmp_path, make):
    """So that any machine can read it, and no code in it is run."""
    net, file = make(), tmp_path / "net.pt"
    save_net(net, file, epochs=3)
    content = torch.load(file, weights_only=True)
    assert all(w.device.type == "cpu" for w in content["weights"].values())
    plain = str, int, float, bool, type(None)

    def check(value):
        if isinstance(value, dict):
            value = [*value, *value.values()]
        if isinstance(value, list):
            for part in value:
                check(part)
        else:
            assert type(value) in plain, value

    check({k: v for k, v in content.items() if k != "weights"})


def test_a_net_goes_on_learning_where_it_was_left(tmp_path):
    split = Split(torch.rand(60, 36), torch.arange(60) % 3)
    net = FFNet(36, 8, 6, n_classes=3, label_strength=2.0)
    settings = RECIPE | {"epochs": 2, "batch_size": 20, "progress": False}
    train(net, split, **settings)
    save_net(net, tmp_path / "net.pt")
    loaded = load_net(tmp_path / "net.pt")
    for one in (net, loaded):
        torch.manual_seed(5)
        train(one, split, **settings)
    for p, q in zip(net.parameters(), loaded.parameters(), strict=True):
        assert torch.equal(p, q)


def test_on_another_machine(tmp_path):
    """Another process, without a GPU, with another default device."""
    net, file = shuffle(FFNet(36, 8, n_classes=26)), tmp_path / "net.pt"
    save_net(net, file, epochs=3)
    code = (
        "import sys, torch; from ffutils import load_net, predict;"
        "torch.set_default_device('meta');"
        "net, facts = load_net(sys.argv[1], with_facts=True);"
        "torch.set_default_device('cpu'); torch.manual_seed(0);"
        "print(facts['epochs'], predict(net, torch.rand(4, 36)).tolist())"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(file)], cwd=ROOT, capture_output=True,
        text=True, env=os.environ | {"CUDA_VISIBLE_DEVICES": ""},
    )  # fmt: skip
    torch.manual_seed(0)
    expected = label_goodness(net, torch.rand(4, 36)).argmax(dim=1).tolist()
    assert run.stdout == f"3 {expected}\n", run.stderr


def test_a_default_device_without_values_makes_no_difference(tmp_path):
    net, file = shuffle(TargetPropNet(36, 8, 6, 5)), tmp_path / "net.pt"
    with torch.device("meta"):
        save_net(net, file)
        loaded = load_net(file)
    assert torch.equal(scores(loaded), scores(net))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_a_net_from_a_gpu_comes_back_on_the_cpu(tmp_path):
    for make in NETS.values():
        net, file = shuffle(make()), tmp_path / "net.pt"
        save_net(net.cuda(), file)
        loaded = load_net(file)
        for p, q in zip(loaded.parameters(), net.cpu().parameters(), strict=True):
            assert p.device.type == "cpu" and torch.equal(p, q)


FACTS = {
    "epochs": 10,
    "error": 1.25,
    "name": "Ωmega",
    "nothing": None,
    "done": True,
    "history": [1.0, 2.0],
    "by layer": {"layer 1": 3.5},
    "pair": (1, 2),
    "curve": torch.arange(3),
}


def test_facts_come_back(tmp_path):
    save_net(FFNet(36, 8), tmp_path / "net.pt", **FACTS)
    net, facts = load_net(tmp_path / "net.pt", with_facts=True)
    assert isinstance(net, FFNet)
    assert torch.equal(facts.pop("curve"), FACTS["curve"])
    assert facts == {k: v for k, v in FACTS.items() if k != "curve"}


def test_facts_that_another_machine_could_not_read_are_refused(tmp_path):
    file = tmp_path / "net.pt"
    save_net(FFNet(36, 8), file)
    before = file.read_bytes()
    for value in (np.float64(1.5), np.zeros(3), Path("x"), lambda: 0, goodness, open):
        with pytest.raises(TypeError, match="error must be a plain value"):
            save_net(FFNet(36, 8), file, error=value)
    assert file.read_bytes() == before
    assert os.listdir(tmp_path) == ["net.pt"]


# Functions of one's own


def my_overlay(x, y, n_classes, label_strength):
    return overlay(x, y, n_classes, 3 * label_strength)


def my_normalize(h):
    return normalize(h.sqrt())


def my_goodness(h):
    return h.abs().sum(dim=1)


MINE = {"overlay": my_overlay, "normalize": my_normalize, "goodness": my_goodness}
OWN = {
    **{name: ((8, 6), {name: function}) for name, function in MINE.items()},
    "all": ((8, 6), MINE),
    "partial": ((8, 6), {"goodness": functools.partial(torch.mean, dim=1)}),
}


@pytest.mark.parametrize(("sizes", "functions"), OWN.values(), ids=OWN)
def test_functions_of_ones_own_are_asked_for_and_used(tmp_path, sizes, functions):
    net, file = shuffle(FFNet(36, *sizes, **functions)), tmp_path / "net.pt"
    save_net(net, file)
    name = next(iter(functions))
    with pytest.raises(ValueError, match=rf"hand it in, load_net\(path, {name}=…\)"):
        load_net(file)
    loaded = load_net(file, **functions)
    for name in MINE:
        assert getattr(loaded, name) is getattr(net, name)
    assert torch.equal(scores(loaded), scores(net))


@pytest.mark.filterwarnings("ignore:this .* keeps the normalize")
@pytest.mark.parametrize(
    "make",
    [
        lambda f: FFNet(36, FFLayer(36, 8, normalize=f), 6),
        lambda f: FFNet(36, 8, FFLayer(8, 6, normalize=f)),
        lambda f: FFNet(36, LocallyConnected2d(6, 1, 3, 3, 5, normalize=f), 6),
        lambda f: FFNet(36, FFLayer(36, 8), 6, normalize=f),
        lambda f: nn.ModuleList([FFLayer(36, 8, normalize=f), FFLayer(8, 6)]),
        lambda f: RecurrentNet(36, 8, 6, 10, normalize=f),
    ],
)
def test_a_normalize_of_ones_own_comes_back_where_it_was(tmp_path, make):
    net, file = shuffle(make(my_normalize)), tmp_path / "net.pt"
    save_net(net, file)
    with pytest.raises(ValueError, match="a normalize of its own, my_normalize: hand"):
        load_net(file)
    loaded = load_net(file, normalize=my_normalize)
    for one, other in zip(loaded.modules(), net.modules(), strict=True):
        assert getattr(one, "normalize", None) is getattr(other, "normalize", None)
    assert torch.equal(scores(loaded), scores(net))


@pytest.mark.parametrize(
    ("make", "functions"),
    [
        (RecurrentNet, {"goodness": my_goodness}),
        (RecurrentNet, {"goodness": my_goodness, "normalize": my_normalize}),
        (TargetPropNet, {"activation": torch.relu}),
    ],
)
def test_other_nets_have_functions_too(tmp_path, make, functions):
    net, file = shuffle(make(36, 8, 6, 5, **functions)), tmp_path / "net.pt"
    save_net(net, file)
    with pytest.raises(ValueError, match="of its own, .*: hand it in"):
        load_net(file)
    assert torch.equal(scores(load_net(file, **functions)), scores(net))


@pytest.mark.filterwarnings("ignore:this .* keeps the normalize")
def test_two_functions_of_one_name_cannot_be_kept(tmp_path):
    net = FFNet(36, FFLayer(36, 8, normalize=abs), 6, normalize=my_normalize)
    with pytest.raises(TypeError, match="keeps one normalize for a net"):
        save_net(net, tmp_path / "net.pt")
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("make", [lambda: FFNet(36, 8), lambda: MLP(36, 8)])
def test_a_function_that_the_net_does_not_need_is_not_ignored(tmp_path, make):
    save_net(make(), tmp_path / "net.pt")
    with pytest.raises(TypeError, match="no goodness of its own"):
        load_net(tmp_path / "net.pt", goodness=my_goodness)
    with pytest.raises(TypeError, match="no godness of its own"):
        load_net(tmp_path / "net.pt", godness=my_goodness)


# Other nets, other files


def test_a_broadcast_net_that_would_come_back_changed_is_refused(tmp_path):
    net = BroadcastNet(36, 8, 6)
    net.layers[1].label_strength = 1.0
    with pytest.raises(TypeError, match="one label_strength for a BroadcastNet"):
        save_net(net, tmp_path / "net.pt")
    net.layers[1] = nn.Linear(8, 6)
    with pytest.raises(TypeError, match="not of a Linear"):
        save_net(net, tmp_path / "net.pt")
    assert not os.listdir(tmp_path)


class MyNet(FFNet):
    pass


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (nn.Linear(3, 4), "not a Linear"),
        ("net.pt", "not a str"),
        (None, "not a NoneType"),
        (FFNet(36, 8).state_dict(), "not a OrderedDict"),
        (nn.Sequential(nn.Linear(3, 4)), "not a Sequential"),
        (nn.DataParallel(FFNet(36, 8)), "not a DataParallel; pass net.module"),
        (MyNet(36, 8), "not a MyNet"),
        (FFNet(36, nn.Linear(36, 8)), "FFLayer and LocallyConnected2d, not a Linear"),
        (nn.ModuleList([nn.Linear(3, 4)]), "not a Linear"),
    ],
)
def test_other_nets_are_refused_with_a_way_to_keep_them(tmp_path, net, message):
    file = tmp_path / "net.pt"
    file.write_bytes(b"an older file")
    with pytest.raises(TypeError, match=message):
        save_net(net, file)
    assert file.read_bytes() == b"an older file" and os.listdir(tmp_path) == ["net.pt"]
    if "module" in message:
        save_net(net.module, file)


def saved(tmp_path, **facts):
    file = tmp_path / "net.pt"
    save_net(FFNet(36, 8, 6), file, **facts)
    return file


FOREIGN = {
    "a tensor": torch.rand(3),
    "a number": 3,
    "a state_dict": FFNet(36, 8).state_dict(),
    "the first edition's": {"widths": [36, 8], "state_dict": FFNet(36, 8).state_dict()},
    "a format alone": {"format": 1},
    "no net": {"format": 1, "net": None, "weights": {}, "facts": {}},
    "an unknown kind": {
        "format": 1, "weights": {}, "facts": {}, "net": {
            "kind": "GPT", "sizes": [1], "settings": {}, "own": [], "functions": {},
        },
    },
}  # fmt: skip


@pytest.mark.parametrize("content", FOREIGN.values(), ids=FOREIGN)
def test_foreign_files_are_refused(tmp_path, content):
    file = tmp_path / "net.pt"
    torch.save(content, file)
    with pytest.raises(ValueError, match="not a file of save_net, or is damaged"):
        load_net(file)


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04", b"text", b"\x80\x04.", bytes(9999)]
)
def test_files_of_anything_else_are_refused(tmp_path, content):
    file = tmp_path / "net.pt"
    file.write_bytes(content)
    with pytest.raises(ValueError, match="not a file of save_net, or is damaged"):
        load_net(file)


def test_a_file_with_code_in_it_is_refused_and_the_code_not_run(tmp_path):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    torch.save({"format": 1, "net": Trap()}, tmp_path / "net.pt")
    with pytest.raises(ValueError, match="not a file of save_net, or is damaged"):
        load_net(tmp_path / "net.pt")
    assert not (tmp_path / "ran").exists()


@pytest.fixture(scope="module")
def good_file(tmp_path_factory):
    return saved(tmp_path_factory.mktemp("good"))


@given(data=st.data())
def test_a_wrong_bit_or_a_lost_end_is_found(good_file, tmp_path_factory, data):
    content = bytearray(good_file.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    damaged = good_file.parent / "damaged.pt"
    if data.draw(st.booleans()):
        content = content[:place]
    else:
        content[place] ^= 1 << data.draw(st.integers(0, 7))
    damaged.write_bytes(content)
    try:
        loaded = load_net(damaged)
    except ValueError as error:
        assert "damaged" in str(error)
    else:  # a bit that means nothing, such as the time in the archive
        expected = load_net(good_file)
        for p, q in zip(loaded.parameters(), expected.parameters(), strict=True):
            assert torch.equal(p, q)


def test_weights_of_another_net_are_refused(tmp_path):
    file = saved(tmp_path)
    content = torch.load(file)
    content["net"]["sizes"] = content["net"]["sizes"][:-1]
    torch.save(content, file)
    with pytest.raises(ValueError, match="damaged"):
        load_net(file)


def test_a_later_format_is_said_to_be_one(tmp_path):
    file = saved(tmp_path)
    content = torch.load(file) | {"format": 99}
    torch.save(content, file)
    with pytest.raises(ValueError, match="has the format 99, not 1"):
        load_net(file)


@pytest.mark.parametrize("name", ["missing.pt", ".", "missing/net.pt"])
def test_a_file_that_is_not_there(tmp_path, name):
    with pytest.raises(FileNotFoundError, match="there is no file"):
        load_net(tmp_path / name)


# Whole or not at all


@pytest.fixture
def old(tmp_path):
    """A good file, whose bytes and neighbours must not change."""
    file = saved(tmp_path, epochs=7)
    before = file.read_bytes()
    yield file
    assert file.read_bytes() == before
    assert os.listdir(tmp_path) == [file.name]
    assert load_net(file, with_facts=True)[1] == {"epochs": 7}


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (OSError(28, "No space left on device"), OSError),
        (
            RuntimeError("[enforce fail at inline_container.cc:672] unexpected pos"),
            OSError,
        ),
        (KeyboardInterrupt(), KeyboardInterrupt),
        (MemoryError(), MemoryError),
        (SystemExit(1), SystemExit),
    ],
    ids=repr,
)
@pytest.mark.parametrize("after", [0, 100, 5000])
@pytest.mark.parametrize("place", ["torch.save", "os.replace"])
def test_whatever_breaks_off_leaves_the_old_file(
    old, monkeypatch, raised, expected, after, place
):
    def break_off(content, file):
        if place == "torch.save":
            file.write(after * b"x")
        raise raised

    monkeypatch.setattr(place, break_off)
    with pytest.raises(expected) as caught:
        save_net(FFNet(36, 20), old)
    if expected is OSError:
        assert f"{old} could not be written" in str(caught.value)


@pytest.mark.parametrize("limit", [0, 1, 500, 4096, 20_000, 100_000])
def test_a_full_disk_leaves_the_old_file(old, limit):
    """A limit on the size of files does what a full disk does."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        with pytest.raises(OSError, match="could not be written"):
            save_net(FFNet(784, 300), old)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_file_that_may_not_be_written_to_is_left(old):
    """Also where root could."""
    old.chmod(0o444)
    with pytest.raises(PermissionError, match="may not be written to"):
        save_net(FFNet(36, 20), old)


def test_a_folder_that_may_not_be_written_to_is_left(old, monkeypatch):
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(PermissionError, match="may not be written to"):
        save_net(FFNet(36, 20), old)


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "far").mkdir()
    file = saved(tmp_path / "far", epochs=1)
    link, second = tmp_path / "link.pt", tmp_path / "second.pt"
    link.symlink_to(file)
    second.symlink_to(link)
    save_net(FFNet(36, 20), second, epochs=2)
    assert link.is_symlink() and second.is_symlink()
    assert load_net(file, with_facts=True)[1] == {"epochs": 2}
    assert os.listdir(tmp_path / "far") == ["net.pt"]


def test_a_dangling_link_gets_the_file_that_it_points_to(tmp_path):
    (tmp_path / "far").mkdir()
    link = tmp_path / "link.pt"
    link.symlink_to(tmp_path / "far" / "new.pt")
    save_net(FFNet(36, 20), link)
    assert link.is_symlink() and not (tmp_path / "far" / "new.pt").is_symlink()
    load_net(link)


def test_a_link_that_leads_nowhere_is_left(tmp_path):
    nowhere, loop = tmp_path / "nowhere.pt", tmp_path / "loop.pt"
    nowhere.symlink_to(tmp_path / "missing" / "net.pt")
    loop.symlink_to(loop)
    for link, message in ((nowhere, "there is no folder"), (loop, "is not a file")):
        with pytest.raises(OSError, match=message):
            save_net(FFNet(36, 20), link)
        assert link.is_symlink()
    assert sorted(os.listdir(tmp_path)) == ["loop.pt", "nowhere.pt"]


def test_what_is_no_file_is_not_replaced_by_one(tmp_path):
    """Such as /dev/null, which root could replace."""
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for target in (tmp_path / "folder", tmp_path / "pipe", Path("/dev/null")):
        with pytest.raises(OSError, match="is not a file"):
            save_net(FFNet(36, 20), target)
    assert sorted(os.listdir(tmp_path)) == ["folder", "pipe"]
    assert not Path("/dev/null").is_file()


def test_a_file_keeps_its_mode_and_a_new_one_follows_the_mask(tmp_path):
    file = saved(tmp_path)
    file.chmod(0o640)
    save_net(FFNet(36, 20), file)
    assert file.stat().st_mode & 0o777 == 0o640
    mask = os.umask(0o077)
    try:
        save_net(FFNet(36, 20), tmp_path / "new.pt")
    finally:
        os.umask(mask)
    assert (tmp_path / "new.pt").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", ["x" * 250 + ".pt", "net", "a b.pt", "Ωmega.pt", "-x"])
def test_any_name_will_do(tmp_path, name):
    save_net(FFNet(36, 8), tmp_path / name)
    assert os.listdir(tmp_path) == [name]
    load_net(str(tmp_path / name))


def test_two_at_once_do_not_disturb_each_other(tmp_path, monkeypatch):
    """The second saves while the first is about to put its file in place."""
    file, replace, second = tmp_path / "net.pt", os.replace, []

    def late(*names):
        if not second:
            second.append(True)
            save_net(FFNet(36, 20), file, turn=2)
            assert load_net(file, with_facts=True)[1] == {"turn": 2}
        replace(*names)

    monkeypatch.setattr("os.replace", late)
    save_net(FFNet(36, 8), file, turn=1)
    assert load_net(file, with_facts=True)[1] == {"turn": 1}
    assert os.listdir(tmp_path) == ["net.pt"]


def test_nothing_is_said_while_all_goes_well(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_net(saved(tmp_path))
