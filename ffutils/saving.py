"""Keep a net in one file, and get it back on any machine."""

from __future__ import annotations

import io
import os
import shutil
import uuid
import zipfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from ffutils.depth import BroadcastLayer, BroadcastNet
from ffutils.labels import overlay
from ffutils.layers import FFLayer, FFNet, goodness, normalize
from ffutils.local import LocallyConnected2d
from ffutils.recurrent import RecurrentNet
from ffutils.rivals import MLP, NormalizedMLP, TargetPropNet

FORMAT = 1
# The functions that a net, or one of its layers, may be handed.
BOOK = {
    "overlay": overlay,
    "normalize": normalize,
    "goodness": goodness,
    "activation": torch.tanh,
}
# What each kind of layer is made from.
LAYERS = {
    FFLayer: ("in_features", "out_features"),
    LocallyConnected2d: (
        "size", "in_channels", "kernel_size", "stride", "out_channels", "padding",
    ),
}  # fmt: skip


def save_net(net: nn.Module, path: str | os.PathLike, **facts) -> None:
    """Write a net of this book to one file: what it is, its weights, and some facts.

    The file is written beside the old one and then put in its place, so that a full
    disk or an interrupt leaves the old file whole. A link stays a link.

    Args:
        net: an `FFNet` (its layers may be `FFLayer`s or `LocallyConnected2d`s), an
            `nn.ModuleList` of such layers, a `BroadcastNet`, `RecurrentNet`, `MLP`,
            `NormalizedMLP` or `TargetPropNet`.
        path: the file.
        facts: plain values to keep beside the net, such as epochs=10.

    Raises:
        TypeError: for another kind of net, or facts that are no plain values.
        OSError: where the file cannot be written; what was there before is unharmed.

    Source: appendix, troubleshooting.
    """
    content = {"format": FORMAT, "net": describe(net)}
    weights = net.state_dict()
    content["weights"] = {name: value.detach().cpu() for name, value in weights.items()}
    check_facts(facts)
    write_whole(Path(path), content | {"facts": facts})


def load_net(
    path: str | os.PathLike, with_facts: bool = False, **functions: Callable
) -> nn.Module:
    """Read a net that `save_net` wrote, on the CPU, whatever device it came from.

    Args:
        path: the file.
        with_facts: whether to return the facts that were saved, too.
        functions: the overlay, normalize, goodness or activation of the net, where they
            were not the book's: a file holds their names, not their code.

    Returns:
        The net, or (net, facts).

    Raises:
        FileNotFoundError, ValueError: where there is no such file, or it holds no net.
        TypeError: for functions that this net does not need.

    Source: appendix, troubleshooting.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    damaged = f"{path} is not a file of save_net, or is damaged"
    try:
        if zipfile.ZipFile(path).testzip() is not None:  # torch.load checks no sums
            raise zipfile.BadZipFile
        content = dict(torch.load(path, map_location="cpu", weights_only=True))
        written, names = content["format"], content["net"]["functions"]
    except (OSError, MemoryError):
        raise
    except Exception as error:
        raise ValueError(f"{damaged} ({type(error).__name__})") from error
    if written != FORMAT:
        raise ValueError(f"{path} has the format {written}, not {FORMAT}")
    check_functions(names, functions)
    try:
        with torch.device("meta"):  # no weight is drawn, so no random number is used up
            net = build(content["net"], functions)
        net.load_state_dict(content["weights"], assign=True)
        return (net, content["facts"]) if with_facts else net
    except Exception as error:
        raise ValueError(f"{damaged} ({type(error).__name__})") from error


def describe(net: nn.Module) -> dict:
    """What a net must be built from, as plain values.

    "functions" has the names of all functions that are not the book's, "own" says which
    of them the net itself has, and each layer says whether its normalize is one.
    """
    if "write_label" in getattr(net, "__dict__", {}):
        raise TypeError(
            "this net has a write_label of its own, which save_net would lose; hand "
            "the function in instead: FFNet(…, overlay=…)"
        )
    if type(net) is FFNet:
        sizes = [net.layers[0].in_features, *map(describe_layer, net.layers)]
        settings = {"n_classes": net.n_classes, "label_strength": net.label_strength}
    elif type(net) is nn.ModuleList:
        sizes, settings = map(describe_layer, net), {}
    elif type(net) is BroadcastNet:
        check_broadcast(net)
        sizes = [net.layers[0].in_features, *(k.out_features for k in net.layers)]
        settings = {"n_classes": net.n_classes, "label_strength": net.label_strength}
    elif type(net) in (MLP, NormalizedMLP, TargetPropNet, RecurrentNet):
        sizes, settings = net.sizes, net.settings
    else:
        inner = "; pass net.module" if hasattr(net, "module") else ""
        raise TypeError(
            f"save_net knows the nets of this book, not a {type(net).__name__}{inner}; "
            "of any other keep the state_dict() with torch.save"
        )
    return {
        "kind": type(net).__name__,
        "sizes": [size if isinstance(size, dict) else int(size) for size in sizes],
        "settings": {
            name: int(value) if name == "n_classes" else float(value)
            for name, value in settings.items()
        },
        "own": own_functions(net),
        "functions": all_own_functions(net),
    }


def check_broadcast(net: BroadcastNet) -> None:
    """Raise TypeError for layers that a `BroadcastNet` is not made of by itself."""
    for layer in net.layers:
        if type(layer) is not BroadcastLayer:
            raise TypeError(
                "save_net knows BroadcastNets of BroadcastLayers, not of a "
                f"{type(layer).__name__}; keep its state_dict() with torch.save"
            )
        if layer.label_strength != net.label_strength:
            raise TypeError(
                "save_net keeps one label_strength for a BroadcastNet, and this one "
                "has several; keep its state_dict() with torch.save"
            )


def describe_layer(layer: nn.Module) -> dict:
    """What a layer must be built from, as plain values."""
    if type(layer) not in LAYERS:
        raise TypeError(
            f"save_net knows FFLayer and LocallyConnected2d, not a "
            f"{type(layer).__name__}; keep its net's state_dict() with torch.save"
        )
    sizes = {name: int(getattr(layer, name)) for name in LAYERS[type(layer)]}
    return {"kind": type(layer).__name__, "sizes": sizes, "own": own_functions(layer)}


def own_functions(module: nn.Module) -> list[str]:
    """The names of a module's functions that are not the book's."""
    return [
        name
        for name, function in BOOK.items()
        if getattr(module, name, function) is not function
    ]


def all_own_functions(net: nn.Module) -> dict[str, str]:
    """What functions that are not the book's are called, in a net and its layers."""
    found = {}
    for module in net.modules():
        for name in own_functions(module):
            function = getattr(module, name)
            if found.setdefault(name, function) is not function:
                raise TypeError(
                    f"save_net keeps one {name} for a net, and this one has several; "
                    "keep its state_dict() with torch.save"
                )
    return {name: getattr(value, "__name__", "?") for name, value in found.items()}


def check_facts(facts: dict) -> None:
    """Raise TypeError unless another machine can read these values without any code."""
    for name, value in facts.items():
        file = io.BytesIO()
        try:
            torch.save(value, file)
            file.seek(0)
            torch.load(file, weights_only=True)
        except Exception as error:
            raise TypeError(
                f"{name} must be a plain value (a number, text, list, dict or tensor; "
                "of a NumPy array its .tolist()), "
                f"got {type(value).__module__}.{type(value).__name__}"
            ) from error


def check_functions(names: dict[str, str], functions: dict[str, Callable]) -> None:
    """Raise unless the functions handed in are those that a saved net needs."""
    for name, called in names.items():
        if name not in functions:
            raise ValueError(
                f"this net was trained with a {name} of its own, {called}: hand it in, "
                f"load_net(path, {name}=…)"
            )
    for name in functions:
        if name not in names:
            raise TypeError(
                f"this net has no {name} of its own: load_net takes the functions that "
                "it was trained with, where they are not the book's"
            )


def build(description: dict, functions: dict) -> nn.Module:
    """The net of a description, with untrained weights."""
    layers = {kind.__name__: kind for kind in LAYERS}
    nets = (
        FFNet, BroadcastNet, MLP, NormalizedMLP, TargetPropNet, RecurrentNet,
    )  # fmt: skip
    kinds = {kind.__name__: kind for kind in nets}
    sizes = [
        layers[size["kind"]](
            **size["sizes"], **{name: functions[name] for name in size["own"]}
        )
        if isinstance(size, dict)
        else size
        for size in description["sizes"]
    ]
    if description["kind"] == "ModuleList":
        return nn.ModuleList(sizes)
    own = {name: functions[name] for name in description["own"]}
    return kinds[description["kind"]](*sizes, **description["settings"], **own)


def write_whole(path: Path, content: dict) -> None:
    """Write a file completely or not at all, in the place that a link points to."""
    target = Path(os.path.realpath(path))
    check_target(target)
    unfinished = target.parent / f".{uuid.uuid4().hex}.tmp"
    try:
        with open(unfinished, "xb") as file:
            torch.save(content, file)
        if target.exists():
            shutil.copymode(target, unfinished)
        os.replace(unfinished, target)
    except (OSError, RuntimeError) as error:  # RuntimeError: torch's, for a full disk
        raise OSError(f"{path} could not be written: {error}") from error
    finally:
        unfinished.unlink(missing_ok=True)


def check_target(target: Path) -> None:
    """Raise OSError where a file must not or cannot be replaced by a new one."""
    if not target.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {target.parent}")
    if os.path.lexists(target) and not target.is_file():
        raise OSError(f"{target} is not a file")
    if not os.access(target.parent, os.W_OK):  # a new file is written there first
        raise PermissionError(f"{target.parent} may not be written to")
    protected = target.exists() and not target.stat().st_mode & 0o222
    if protected or (target.exists() and not os.access(target, os.W_OK)):
        raise PermissionError(f"{target} may not be written to")


def may_be_replaced(target: Path) -> bool:
    """Whether a file is empty, or of torch.save, as those of `save_net` are."""
    if not target.stat().st_size:
        return True
    if not zipfile.is_zipfile(target):
        return False
    with zipfile.ZipFile(target) as file:
        return any(name.endswith("/data.pkl") for name in file.namelist())
