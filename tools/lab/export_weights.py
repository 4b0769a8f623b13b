"""The net behind the exhibit "Draw a digit": train it, round it to 8 bits, write it.

python tools/lab/export_weights.py
    trains by chapter 06's recipe, and writes _static/lab/digits.bin and digits.json
python tools/lab/export_weights.py --load FILE
    takes the net that `python -m ffutils --save FILE` has written
python tools/lab/export_weights.py --golden
    only writes tests/lab/golden_draw.json again, from digits.bin

digits.bin holds, for each layer, its biases and its scales (float32, little-endian, one
per unit), then its weights (int8, one row per unit); a weight is the product of its
scale and its whole number. digits.json says the rest.
"""

from __future__ import annotations

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

from ffutils.data import load_dataset
from ffutils.layers import FFNet
from ffutils.prediction import label_goodness_per_layer, layer_errors, predict
from ffutils.recipe import RECIPE, jitter
from ffutils.saving import load_net, save_net
from ffutils.training import train

ROOT = Path(__file__).resolve().parents[2]
LAB = ROOT / "_static" / "lab"
MANIFEST, GOLDEN = LAB / "digits.json", ROOT / "tests" / "lab" / "golden_draw.json"
LICENSE = (
    "The sample images are from the test set of MNIST, by Yann LeCun and Corinna "
    "Cortes (CC BY-SA 3.0), made from NIST's Special Databases 1 and 3."
)


def quantize(weight):
    """Round each row of a weight to whole numbers from -127 to 127.

    Args:
        weight: (units, inputs).

    Returns:
        The whole numbers, (units, inputs), and a scale per row, (units,).
    """
    scale = weight.abs().amax(dim=1).clamp(min=1e-12) / 127
    return (weight / scale[:, None]).round().to(torch.int8), scale


def pack(net):
    """The bytes of digits.bin: per layer, biases, scales and rounded weights."""
    parts = []
    for layer in net.layers:
        whole, scale = quantize(layer.weight.detach())
        for part, kind in [(layer.bias.detach(), "<f4"), (scale, "<f4"), (whole, "i1")]:
            parts.append(part.cpu().numpy().astype(kind).tobytes())
    return b"".join(parts)


def unpack(data, widths):
    """The `FFNet` that the bytes of digits.bin describe.

    Raises:
        ValueError: where their number does not fit the widths.
    """
    net, start = FFNet(*widths), 0
    expected = sum(
        8 * layer.out_features + layer.weight.numel() for layer in net.layers
    )
    if len(data) != expected:
        raise ValueError(
            f"expected {expected} bytes for widths {widths}, got {len(data)}"
        )
    for layer in net.layers:
        units, inputs = layer.weight.shape
        bias, scale = np.frombuffer(data, "<f4", 2 * units, start).reshape(2, units)
        whole = np.frombuffer(data, "i1", units * inputs, start + 8 * units)
        whole = whole.reshape(units, inputs).astype(np.float32)
        start += 8 * units + units * inputs
        layer.bias.data = torch.from_numpy(bias.copy())
        layer.weight.data = torch.from_numpy(scale[:, None] * whole)
    return net


def rounded_errors(net, test):
    """Test errors in %, to one image in 10,000."""
    return {name: round(error, 2) for name, error in layer_errors(net, test).items()}


def choose_samples(predictions, labels):
    """Rows of the test set to offer: each digit's first, and two that are got wrong."""
    firsts = [int((labels == digit).nonzero()[0]) for digit in range(10)]
    wrong = (predictions != labels).nonzero().flatten().tolist()
    return firsts + [row for row in wrong if row not in firsts][:2]


def read_manifest():
    return json.loads(MANIFEST.read_text(encoding="utf-8"))


def sample_images(manifest):
    """The manifest's sample images, as `ffutils` takes them: (12, 784) in [0, 1]."""
    pixels = [
        np.frombuffer(base64.b64decode(sample["pixels"]), np.uint8)
        for sample in manifest["samples"]
    ]
    return torch.from_numpy(np.stack(pixels)).float() / 255


def write(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


def golden():
    """What the browser must compute, by `ffutils`.

    Returns:
        The goodness (images, 10, layers) of the exported net on its samples, and of a
        small net with odd widths and plain weights on images that a formula gives.
    """
    manifest = read_manifest()
    net = unpack((LAB / manifest["file"]).read_bytes(), manifest["widths"])
    exported = label_goodness_per_layer(net, sample_images(manifest))
    small = FFNet(784, 7, 5, 3)
    # Numbers that both languages compute alike: no generator to agree on.
    for k, layer in enumerate(small.layers):
        index = torch.arange(layer.weight.numel(), dtype=torch.float64)
        weight = (index * 37 + k) % 101 / 800 - 1 / 16
        layer.weight.data = weight.float().view_as(layer.weight)
        units = torch.arange(layer.out_features, dtype=torch.float64)
        layer.bias.data = ((units % 3 - 1) / 4).float()
    index = torch.arange(3 * 784, dtype=torch.float64).view(3, 784)
    images = (index * 29 % 256 / 255).float()
    images[2] = 0  # an image without ink has only its label
    with torch.no_grad():
        activations = small(small.write_label(images[:1], torch.tensor([4])))
    return {
        "sha256": manifest["sha256"],
        "exported": exported.tolist(),
        "small": {
            "widths": [784, 7, 5, 3],
            "activations_layer_1_image_0_label_4": activations[0][0].tolist(),
            "goodness": label_goodness_per_layer(small, images).tolist(),
        },
    }


def train_net(args):
    """Train on MNIST's 60,000 training images.

    Returns:
        The net, and what the manifest says about its training.
    """
    _, training, _ = load_dataset("mnist")
    torch.manual_seed(args.seed)
    net = FFNet(784, 500, 500, 500)
    settings = RECIPE | {"epochs": args.epochs}
    started = time.perf_counter()
    train(net, training, augment=partial(jitter, pixels=args.jitter), **settings)
    return net, {
        "recipe": "chapter 06's, with jitter",
        "seed": args.seed,
        "epochs": args.epochs,
        "jitter": args.jitter,
        "seconds": round(time.perf_counter() - started, 1),
        "threads": torch.get_num_threads(),
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
    }


def load_trained(file):
    """Read a net that `python -m ffutils --save` wrote.

    Returns:
        The net, and what the manifest says about its training.

    Raises:
        ValueError: where it was not trained on MNIST.
    """
    net, facts = load_net(file, with_facts=True)
    dataset = facts.get("dataset")
    if dataset != "mnist":
        raise ValueError(
            f"{file} was trained on {dataset!r}: the exhibit needs 'mnist'"
        )
    return net, {
        "recipe": "chapter 06's, by python -m ffutils --save",
        "seed": facts["seed"],
        "epochs": facts["epochs"],
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
    }


def export(net, training):
    """Write digits.bin and digits.json, and measure what the rounding costs."""
    widths = [784, *(layer.out_features for layer in net.layers)]
    data = pack(net)
    if len(data) > 1_500_000:
        raise ValueError(
            f"the page should load at most 1.5 MB, got {len(data):,} bytes: "
            "choose fewer units"
        )
    _, _, test = load_dataset("mnist")
    rounded = unpack(data, widths)
    predictions = predict(rounded, test.images)
    changed = int((predict(net, test.images) != predictions).sum())
    rows = choose_samples(predictions, test.labels)
    images = (test.images[rows] * 255).round().to(torch.uint8).numpy()
    LAB.mkdir(parents=True, exist_ok=True)
    (LAB / "digits.bin").write_bytes(data)
    manifest = {
        "file": "digits.bin",
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "widths": widths,
        "label_strength": 1,
        "training": training,
        "test_error": {
            "float32": rounded_errors(net, test),
            "int8": rounded_errors(rounded, test),
        },
        "changed_by_rounding": changed,
        "license": LICENSE,
        "samples": [
            {
                "row": row,
                "label": int(test.labels[row]),
                "answer": int(predictions[row]),
                "pixels": base64.b64encode(image.tobytes()).decode(),
            }
            for row, image in zip(rows, images, strict=True)
        ],
    }
    write(MANIFEST, manifest)
    return manifest


def main(arguments=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--load",
        metavar="FILE",
        help="do not train, but read this file of `python -m ffutils --save`",
    )
    parser.add_argument(
        "--save",
        metavar="FILE",
        help="also keep the net in float32, as `python -m ffutils --save` does",
    )
    parser.add_argument(
        "--golden", action="store_true", help="only compute the golden file again"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=RECIPE["epochs"])
    parser.add_argument("--jitter", type=int, default=1, metavar="PIXELS")
    args = parser.parse_args(arguments)
    if not args.golden:
        net, training = load_trained(args.load) if args.load else train_net(args)
        if args.save:
            facts = {key: training[key] for key in ("seed", "epochs")}
            save_net(net, args.save, dataset="mnist", **facts)
        manifest = export(net, training)
        test_error = json.dumps(manifest["test_error"], indent=1)
        print(f"{manifest['bytes']:,} bytes; test error {test_error}")
        print(f"{manifest['changed_by_rounding']} of 10,000 answers changed")
    write(GOLDEN, golden())
    return 0


if __name__ == "__main__":
    sys.exit(main())
