"""The net behind the exhibit "Draw a digit": train it, round it to 8 bits, measure it, write it for the browser.

python tools/export_weights.py               trains by chapter 06's recipe, and writes _static/lab/digits.bin and .json
python tools/export_weights.py --load FILE   takes the net that `python -m ffutils --save FILE` has written
python tools/export_weights.py --golden      only writes tests/lab/golden_draw.json again, from digits.bin

digits.bin holds, for each layer, its biases and its scales (float32, little-endian, one per unit), then its weights
(int8, one row per unit); a weight is the product of its scale and its whole number. digits.json says the rest.
"""

import argparse
import base64
import hashlib
import json
import platform
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch

from ffutils import FFNet, error_rate, jitter, layer_goodness, load_mnist, overlay, train
from ffutils.recipe import RECIPE

ROOT = Path(__file__).resolve().parents[1]
LAB = ROOT / "_static" / "lab"
MANIFEST, GOLDEN = LAB / "digits.json", ROOT / "tests" / "lab" / "golden_draw.json"
LICENCE = (
    "The sample images are from the test set of MNIST, by Yann LeCun and Corinna Cortes (CC BY-SA 3.0), "
    "made from NIST's Special Databases 1 and 3."
)


def quantise(weight):
    """Round each row of a weight (units, inputs) to whole numbers from -127 to 127: returns them, and a scale per row."""
    scale = weight.abs().amax(dim=1).clamp(min=1e-12) / 127
    return (weight / scale[:, None]).round().to(torch.int8), scale


def pack(net):
    """The bytes of digits.bin: per layer its biases, its scales and its rounded weights."""
    parts = []
    for layer in net.layers:
        whole, scale = quantise(layer.weight.detach())
        for part, kind in [(layer.bias.detach(), "<f4"), (scale, "<f4"), (whole, "i1")]:
            parts.append(part.cpu().numpy().astype(kind).tobytes())
    return b"".join(parts)


def unpack(data, widths):
    """The `FFNet` that the bytes of digits.bin describe. Raises ValueError where their number does not fit the widths."""
    net, start = FFNet(*widths), 0
    expected = sum(8 * layer.out_features + layer.weight.numel() for layer in net.layers)
    if len(data) != expected:
        raise ValueError(f"expected {expected} bytes for widths {widths}, got {len(data)}")
    for layer in net.layers:
        units, inputs = layer.weight.shape
        bias, scale = np.frombuffer(data, "<f4", 2 * units, start).reshape(2, units)
        whole = np.frombuffer(data, "i1", units * inputs, start + 8 * units).reshape(units, inputs)
        start += 8 * units + units * inputs
        layer.bias.data = torch.from_numpy(bias.copy())
        layer.weight.data = torch.from_numpy(scale[:, None] * whole.astype(np.float32))
    return net


def errors(per_layer, labels):
    """Test errors in per cent, from the goodness of every layer for every label (N, 10, L)."""
    depth = per_layer.shape[2]
    sums = {f"layer {k + 1}": [k] for k in range(depth)}
    sums |= {"all but the first": list(range(1, depth)), "all layers": list(range(depth))}
    return {
        name: round(error_rate(per_layer[:, :, layers].sum(dim=2).argmax(dim=1), labels), 2)
        for name, layers in sums.items()
    }


def choose_samples(predicted, labels):
    """Rows of the test set to offer: the first image of each digit, and the first two that the net gets wrong."""
    firsts = [int((labels == digit).nonzero()[0]) for digit in range(10)]
    wrong = [row for row in (predicted != labels).nonzero().flatten().tolist() if row not in firsts]
    return firsts + wrong[:2]


def read_manifest():
    return json.loads(MANIFEST.read_text(encoding="utf-8"))


def sample_images(manifest):
    """The manifest's sample images, as `ffutils` takes them: (12, 784) in [0, 1]."""
    pixels = [np.frombuffer(base64.b64decode(sample["pixels"]), np.uint8) for sample in manifest["samples"]]
    return torch.from_numpy(np.stack(pixels)).float() / 255


def write(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


def golden():
    """What the browser must compute, by `ffutils`: goodness (images, 10, layers) of the exported net on its samples, and
    of a small net with odd widths and plain weights on images that a formula gives."""
    manifest = read_manifest()
    net = unpack((LAB / manifest["file"]).read_bytes(), manifest["widths"])
    exported = layer_goodness(net, sample_images(manifest))
    small = FFNet(784, 7, 5, 3)
    for k, layer in enumerate(small.layers):  # numbers that both languages compute alike: no generator to agree on
        index = torch.arange(layer.weight.numel(), dtype=torch.float64)
        layer.weight.data = ((index * 37 + k) % 101 / 800 - 1 / 16).float().view_as(layer.weight)
        layer.bias.data = ((torch.arange(layer.out_features, dtype=torch.float64) % 3 - 1) / 4).float()
    index = torch.arange(3 * 784, dtype=torch.float64).view(3, 784)
    images = (index * 29 % 256 / 255).float()
    images[2] = 0  # an image without ink has only its label
    with torch.no_grad():
        wide = small(overlay(images[:1], torch.tensor([4])))[0]
    return {
        "sha256": manifest["sha256"],
        "exported": exported.tolist(),
        "small": {
            "widths": [784, 7, 5, 3],
            "activities of layer 1, image 0, label 4": wide[0].tolist(),
            "goodness": layer_goodness(small, images).tolist(),
        },
    }


def train_net(chosen):
    """Train on MNIST's 60,000 training images: returns the net and what the manifest says about its training."""
    training, _ = load_mnist()
    torch.manual_seed(chosen.seed)
    net = FFNet(784, 500, 500, 500)
    settings = RECIPE | {"epochs": chosen.epochs}
    started = time.perf_counter()
    train(net, training, augment=partial(jitter, pixels=chosen.jitter), **settings)
    return net, {
        "recipe": "chapter 06's, with jitter",
        "seed": chosen.seed,
        "epochs": chosen.epochs,
        "jitter": chosen.jitter,
        "seconds": round(time.perf_counter() - started, 1),
        "threads": torch.get_num_threads(),
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
    }


def load_net(file):
    """Read a net that `python -m ffutils --save` wrote. Raises ValueError for one that was not trained on MNIST."""
    saved = torch.load(file, weights_only=True)
    if saved["dataset"] != "mnist":
        raise ValueError(f"{file} was trained on {saved['dataset']!r}: the exhibit needs 'mnist'")
    net = FFNet(*saved["widths"])
    net.load_state_dict(saved["state_dict"])
    return net, {
        "recipe": "chapter 06's, by python -m ffutils --save",
        "seed": saved["seed"],
        "epochs": saved["epochs"],
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
    }


def export(net, training):
    """Write digits.bin and digits.json, and measure what the rounding costs."""
    widths = [784, *(layer.out_features for layer in net.layers)]
    data = pack(net)
    if len(data) > 1_500_000:
        raise ValueError(f"the page should load at most 1.5 MB, got {len(data):,} bytes: choose fewer units")
    _, test = load_mnist()
    before = layer_goodness(net, test.images)
    after = layer_goodness(unpack(data, widths), test.images)
    predicted = after.sum(dim=2).argmax(dim=1)
    changed = int((before.sum(dim=2).argmax(dim=1) != predicted).sum())
    rows = choose_samples(predicted, test.labels)
    images = (test.images[rows] * 255).round().to(torch.uint8).numpy()
    LAB.mkdir(parents=True, exist_ok=True)
    (LAB / "digits.bin").write_bytes(data)
    manifest = {
        "file": "digits.bin",
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "widths": widths,
        "label strength": 1,
        "training": training,
        "test error": {"float32": errors(before, test.labels), "8 bits": errors(after, test.labels)},
        "answers that the rounding changes": changed,
        "licence": LICENCE,
        "samples": [
            {
                "row": row,
                "label": int(test.labels[row]),
                "answer": int(predicted[row]),
                "pixels": base64.b64encode(image.tobytes()).decode(),
            }
            for row, image in zip(rows, images, strict=True)
        ],
    }
    write(MANIFEST, manifest)
    return manifest


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--load", metavar="FILE", help="do not train, but read this file of python -m ffutils --save")
    parser.add_argument("--save", metavar="FILE", help="also keep the net in float32, as python -m ffutils --save does")
    parser.add_argument("--golden", action="store_true", help="only compute the golden file again")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=RECIPE["epochs"])
    parser.add_argument("--jitter", type=int, default=1, metavar="PIXELS")
    chosen = parser.parse_args(arguments)
    if not chosen.golden:
        net, training = load_net(chosen.load) if chosen.load else train_net(chosen)
        if chosen.save:
            saved = {"widths": [784, *(layer.out_features for layer in net.layers)], "state_dict": net.state_dict()}
            torch.save(
                saved | {"dataset": "mnist", "seed": training["seed"], "epochs": training["epochs"]}, chosen.save
            )
        manifest = export(net, training)
        print(f"{manifest['bytes']:,} bytes; test error {json.dumps(manifest['test error'], indent=1)}")
        print(f"{manifest['answers that the rounding changes']} of 10,000 answers changed")
    write(GOLDEN, golden())
    return 0


if __name__ == "__main__":
    sys.exit(main())
