"""The net behind the exhibit "Draw a digit": train it, round it to 8 bits, write it.

python tools/lab/export_weights.py
    trains by chapter 06's recipe, and writes _static/lab/digits.bin and digits.json
python tools/lab/export_weights.py --load FILE
    takes a net that was saved by --save FILE
python tools/lab/export_weights.py --golden
    only writes tests/lab/golden_draw.json again, from digits.bin

The net learns from 50,000 of MNIST's training images. The other 10,000, the validation
images, say how often it errs at which lead, and where a digit's numbers lie; drawings
that are no digits, from strokes.mjs, say how many of those fall outside.

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
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch

from ffutils.data import load_dataset, split_validation
from ffutils.layers import FFNet
from ffutils.prediction import label_goodness_per_layer, layer_errors, predict
from ffutils.recipe import RECIPE, jitter
from ffutils.saving import load_net, save_net
from ffutils.training import train

ROOT = Path(__file__).resolve().parents[2]
LAB = ROOT / "_static" / "lab"
MANIFEST, GOLDEN = LAB / "digits.json", ROOT / "tests" / "lab" / "golden_draw.json"
TRAINING_IMAGES = 50_000
LEADS = [0.1, 0.2, 0.3, 0.4, 0.6]  # where one class of leads ends and the next begins
RARE = 0.003  # of the validation images, on either side of a band
INKED = 0.3  # a pixel of a row that counts for a digit's height
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


def decode_images(texts):
    """Images of 784 bytes in base64, as `ffutils` takes them: (n, 784) in [0, 1]."""
    pixels = [np.frombuffer(base64.b64decode(text), np.uint8) for text in texts]
    return torch.from_numpy(np.stack(pixels)).float() / 255


def sample_images(manifest):
    return decode_images([sample["pixels"] for sample in manifest["samples"]])


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
    """Train on 50,000 of MNIST's training images, without the validation images.

    Returns:
        The net, and what the manifest says about its training.
    """
    _, training, _ = load_dataset("mnist")
    training, _ = split_validation(training)
    torch.manual_seed(args.seed)
    net = FFNet(784, 500, 500, 500)
    settings = RECIPE | {"epochs": args.epochs}
    started = time.perf_counter()
    train(net, training, augment=partial(jitter, pixels=args.jitter), **settings)
    return net, {
        "recipe": "chapter 06's, with jitter",
        "images": len(training.labels),
        "seed": args.seed,
        "epochs": args.epochs,
        "jitter": args.jitter,
        "seconds": round(time.perf_counter() - started, 1),
        "threads": torch.get_num_threads(),
        "versions": {
            "python": platform.python_version(),
            "torch": str(torch.__version__),
        },
    }


def load_trained(file):
    """Read a net that this script has saved.

    Returns:
        The net, and what the manifest says about its training.

    Raises:
        ValueError: where it was not trained on MNIST without the validation images.
    """
    net, facts = load_net(file, with_facts=True)
    dataset, images = facts.pop("dataset", None), facts.get("images")
    if dataset != "mnist":
        raise ValueError(
            f"{file} was trained on {dataset!r}: the exhibit needs 'mnist'"
        )
    if images != TRAINING_IMAGES:
        raise ValueError(
            f"{file} was trained on {images} images: expected {TRAINING_IMAGES:,}, "
            "since the validation images measure how often the net errs"
        )
    return net, facts


def draw_kinds():
    """Drawings of many kinds, as the pad makes images of them: {kind: (n, 784)}."""
    program = ["node", "tools/lab/strokes.mjs"]
    printed = subprocess.run(program, cwd=ROOT, check=True, capture_output=True)
    kinds = json.loads(printed.stdout)
    return {kind: decode_images(texts) for kind, texts in kinds.items()}


def features(net, images):
    """What tells a digit from other drawings, a number per image.

    Returns:
        The winning label and its lead over the second; and by name: the ink, the rows
        between the first inked one and the last, the winner's goodness, and what it
        has more than the mean of the labels.
    """
    scores = label_goodness_per_layer(net, images).sum(dim=2)
    best, second = scores.topk(2).values.unbind(dim=1)
    inked = (images.view(-1, 28, 28) > INKED).any(dim=2).int()
    first, last = inked.argmax(dim=1), 27 - inked.flip(1).argmax(dim=1)
    signs = {
        "ink": images.sum(dim=1),
        "rows": (last - first + 1).float(),
        "goodness": best,
        "standout": best - scores.mean(dim=1),
    }
    return scores.argmax(dim=1), best - second, signs


def outside(signs, bands):
    """Which images have a sign outside its band."""
    return torch.stack(
        [
            (signs[name] < least) | (signs[name] > (most or torch.inf))
            for name, (least, most) in bands.items()
        ]
    ).any(dim=0)


def calibrate(net, validation, drawings):
    """Measure what the pad may say of its own answers.

    Returns:
        How often the net errs at which lead, the bands that hold all but a few of the
        validation images (None: no upper end), and the shares of each kind of drawing
        outside of them.
    """
    labels, lead, signs = features(net, validation.images)
    leads = []
    for least, below in zip([0, *LEADS], [*LEADS, None], strict=True):
        here = (lead >= least) & (lead < (below or torch.inf))
        wrong = int((here & (labels != validation.labels)).sum())
        leads.append({"below": below, "images": int(here.sum()), "wrong": wrong})
    ends = torch.tensor([RARE, 1 - RARE])
    bands = {
        name: [round(end, 3) for end in values.quantile(ends).tolist()]
        for name, values in signs.items()
    }
    for name in ("rows", "standout"):  # more of these makes nothing less of a digit
        bands[name][1] = None
    scores = label_goodness_per_layer(net, validation.images).sum(dim=2)
    span = (scores.amax(dim=1) - scores.amin(dim=1)).median()
    shares = {"validation": outside(signs, bands)} | {
        kind: outside(features(net, images)[2], bands)
        for kind, images in drawings.items()
    }
    return {
        "images": len(validation.labels),
        "leads": leads,
        "bands": bands,
        "span": round(float(span), 3),
        "outside": {
            kind: round(float(share.float().mean()), 4)
            for kind, share in shares.items()
        },
    }


def export(net, training):
    """Write digits.bin and digits.json, and measure what the net is worth."""
    widths = [784, *(layer.out_features for layer in net.layers)]
    data = pack(net)
    if len(data) > 1_500_000:
        raise ValueError(
            f"the page should load at most 1.5 MB, got {len(data):,} bytes: "
            "choose fewer units"
        )
    _, train, test = load_dataset("mnist")
    _, validation = split_validation(train)
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
        "calibration": calibrate(rounded, validation, draw_kinds()),
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
        help="do not train, but read this file that --save has written",
    )
    parser.add_argument(
        "--save",
        metavar="FILE",
        help="also keep the net in float32",
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
            save_net(net, args.save, dataset="mnist", **training)
        manifest = export(net, training)
        test_error = json.dumps(manifest["test_error"], indent=1)
        print(f"{manifest['bytes']:,} bytes; test error {test_error}")
        print(f"{manifest['changed_by_rounding']} of 10,000 answers changed")
        print(json.dumps(manifest["calibration"], indent=1))
    write(GOLDEN, golden())
    return 0


if __name__ == "__main__":
    sys.exit(main())
