"""The book in one command: train by its best recipe, or test a saved net."""

from __future__ import annotations

import argparse
import os
import sys
import time
import warnings
from pathlib import Path

import torch

from ffutils.augment import affine
from ffutils.checks import (
    check_count,
    check_goodness,
    check_images,
    check_labels,
    warn_of_ties,
)
from ffutils.data import load_dataset, split_validation
from ffutils.depth import BroadcastNet, broadcast_goodness_per_layer
from ffutils.fast import bfloat16_is_quicker, fast_train, product
from ffutils.layers import FFNet
from ffutils.prediction import error_rate, layer_errors
from ffutils.recipe import drop_pixels, jitter
from ffutils.saving import check_target, load_net, may_be_replaced, save_net

AUGMENTS = {"affine": affine, "jitter": jitter, "drop": drop_pixels, "none": None}
WHERE = {"image": "label in the image", "every": "label in every layer"}
# What `fast_train` is given for each choice of --labels: the best of the tries of
# experiments/trials/affine.py by the error on validation. The digits are so few that
# these batches would be too few as well.
SETTINGS = {
    "image": {"epochs": 18, "lr": 0.002},
    "every": {"epochs": 36, "lr": 0.002},
}
FOR_DIGITS = {
    "image": {"epochs": 100, "batch_size": 64, "lr": 0.003},
    "every": {"epochs": 100, "batch_size": 64, "lr": 0.003},
}
# What training takes unless it is told otherwise; None where that depends.
DEFAULTS = {
    "labels": "image", "epochs": None, "hidden": [500, 500, 500], "augment": "affine",
    "seed": 0, "save": None,
}  # fmt: skip
LARGEST = 1_000_000  # units or epochs, so that a slip of the hand asks for no terabytes


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, and ends with the exit code 2."""

    def error(self, message):
        self.exit(2, f"python -m ffutils: error: {' '.join(message.split())}\n")


def parse(arguments):
    parser = Parser(prog="python -m ffutils", description=__doc__)
    add = parser.add_argument
    add(
        "--dataset",
        help="auto, mnist, fashion or digits (default: $FF_DATASET, or auto)",
    )
    add("--labels", choices=SETTINGS, help="where the label is: in the image alone "
        "(image, the default), or beside every layer's input (every)")  # fmt: skip
    add("--epochs", type=int, help=f"passes over the images (default: {epochs_help()})")
    add("--hidden", type=int, nargs="+", metavar="WIDTH",
        help="units of each layer (default: 500 500 500)")  # fmt: skip
    add("--augment", choices=AUGMENTS, help="turn, stretch, slant and shift the images "
        "a little (affine, the default), only shift them by a pixel (jitter), black "
        "out 30 %% of their pixels (drop), or none")  # fmt: skip
    add("--seed", type=int, help="of weights, batches and wrong labels (default: 0)")
    add("--validate", action="store_true", help="set a sixth of the training images "
        "aside and say the error on them; the test set stays unread")  # fmt: skip
    add("--device", default="auto", help="auto, cpu, cuda or mps (default: auto, which "
        "is CUDA where there is one)")  # fmt: skip
    add("--save", metavar="FILE", help="write the net and its errors to FILE")
    add("--load", metavar="FILE", help="do not train, but test the net in FILE")
    args = parser.parse_args(arguments)
    given = [name for name in DEFAULTS if getattr(args, name) is not None]
    if args.load is not None and given:
        options = ", ".join(f"--{name}" for name in given)
        parser.error(f"--load tests a net that is saved already; leave {options} out")
    for name in DEFAULTS.keys() - given:
        setattr(args, name, DEFAULTS[name])
    return parser, args


def epochs_help():
    """The default of --epochs, in words."""
    each = (
        f"{SETTINGS[labels]['epochs']} with --labels {labels}, on the digits "
        f"{FOR_DIGITS[labels]['epochs']}"
        for labels in SETTINGS
    )
    return "; ".join(each)


def choose_device(name):
    """The torch.device of that name; "auto" takes CUDA where there is one."""
    has = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if name == "auto":
        return torch.device("cuda" if has["cuda"] else "cpu")
    try:
        if has.get(name.split(":")[0], False):
            return torch.empty(0, device=name).device
    except RuntimeError:  # such as "cuda:1" where there is one GPU
        pass
    raise ValueError(
        f"device {name!r} is not available here: expected one of "
        f"{', '.join(k for k in has if has[k])}, or auto"
    )


def check_args(args):
    """Raise ValueError or OSError, before any work, for what cannot come to an end."""
    for width in args.hidden:
        check_count("each width of --hidden", width)
        if width > LARGEST:
            raise ValueError(f"--hidden {width} is too wide: {LARGEST:,} at the most")
    if args.epochs is not None:
        check_count("--epochs", args.epochs)
        if args.epochs > LARGEST:
            raise ValueError(
                f"--epochs {args.epochs} are too many: {LARGEST:,} at most"
            )
    check_count("--seed", args.seed, least=0)
    if args.seed >= 2**63:
        raise ValueError(f"--seed must be less than 2**63, got {args.seed}")
    if args.save is not None:
        try:
            check_target(target := Path(os.path.realpath(args.save)))
            if target.exists() and not may_be_replaced(target):
                raise OSError(f"{target} holds something that save_net did not write")
        except OSError as error:
            raise OSError(
                f"--save {args.save!r} cannot be written, for {error}; choose a file "
                "in a folder that exists and that you may write to"
            ) from error


def main(arguments=None):
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a terminal without an é
    parser, args = parse(arguments)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            # What a library will do one day is no concern of who trains a net.
            warnings.simplefilter("ignore", DeprecationWarning)
            warnings.showwarning = lambda message, *rest: print(
                f"warning: {message}", file=sys.stderr
            )
            return train_new(args) if args.load is None else evaluate_saved(args)
    except (ArithmeticError, MemoryError, OSError, RuntimeError, TypeError,
            ValueError) as error:  # fmt: skip
        parser.error(str(error))
    except KeyboardInterrupt:
        parser.exit(130, "\nstopped\n")


def errors_of(net, split):
    """Each layer's error and both sums', by name, of either kind of net."""
    if isinstance(net, FFNet):
        return layer_errors(net, split)
    check_images(split.images, net.layers[0].in_features)
    check_labels(split.labels, net.n_classes)
    scores = broadcast_goodness_per_layer(net, split.images)
    check_goodness(scores)
    warn_of_ties(scores.sum(dim=2))
    count = scores.shape[2]
    rules = {f"layer {k + 1}": scores[:, :, k] for k in range(count)}
    if count > 1:
        rules["sum without layer 1"] = scores[:, :, 1:].sum(dim=2)
        rules["sum of all layers"] = scores.sum(dim=2)
    return {
        name: error_rate(score.argmax(dim=1), split.labels)
        for name, score in rules.items()
    }


def print_errors(errors, judged):
    print(f"{judged} error:")
    for name, error in errors.items():
        print(f"  {name:<22}{error:5.2f} %")


def load_splits(args, name, device):
    """The data set's name, images to train on, images to judge by, and their name.

    With --validate nothing is read of the test images.
    """
    name, training, test = load_dataset(name, device)
    if not args.validate:
        return name, training, test, "test"
    return name, *split_validation(training), "validation"


THREADS = torch.get_num_threads()


def share_cores(*_, repeats=10):
    """Compute with one thread or with all, whichever is quicker at the moment.

    PyTorch's threads wait for one another in a loop that keeps a core busy. Where
    another program needs that core, two threads are many times slower than one.
    """
    a, b = torch.rand(256, 784), torch.rand(500, 784)
    seconds = dict.fromkeys((1, THREADS), 0.0)
    for count in list(seconds) * repeats:
        torch.set_num_threads(count)
        started = time.perf_counter()
        for _ in range(5):
            product(a, b.T, half=False).relu_()
        seconds[count] += time.perf_counter() - started
    torch.set_num_threads(min(seconds, key=seconds.get))


def train_new(args):
    """Train a net, print its errors and keep it; the exit code is 130 after Ctrl-C."""
    check_args(args)
    device = choose_device(args.device)
    share_cores()
    torch.manual_seed(args.seed)
    name, training, others, judged = load_splits(args, args.dataset, device)
    make = FFNet if args.labels == "image" else BroadcastNet
    net = make(training.images.shape[1], *args.hidden).to(device)
    widths = "-".join(map(str, [training.images.shape[1], *args.hidden]))
    half = bfloat16_is_quicker(device)
    print(
        f"data    {name}: {len(training.labels):,} training and "
        f"{len(others.labels):,} {judged} images"
    )
    print(f"net     {widths}, {WHERE[args.labels]}, augment {args.augment}, "
          f"seed {args.seed}")  # fmt: skip
    print(
        f"device  {device}, torch {torch.__version__}, {torch.get_num_threads()} CPU "
        f"threads, products in {'bfloat16' if half else 'float32'}"
    )
    settings = SETTINGS[args.labels] | (
        FOR_DIGITS[args.labels] if name == "digits" else {}
    )
    if args.epochs is not None:
        settings["epochs"] = args.epochs
    started = time.perf_counter()
    augment = AUGMENTS[args.augment]
    losses = fast_train(
        net, training, **settings, augment=augment, half=half, on_epoch=share_cores
    )
    finished = int(losses.isfinite().all(dim=1).sum())
    trained = time.perf_counter()
    facts = {"dataset": name, "seed": args.seed, "epochs": finished,
             "augment": args.augment, "labels": args.labels,
             "validate": args.validate}  # fmt: skip
    if args.save is not None and finished:  # before judging, which may be stopped, too
        save_net(net, args.save, **facts)
    errors = errors_of(net, others)
    if finished < settings["epochs"]:
        print(f"stopped after {finished} of {settings['epochs']} epochs")
    tested = time.perf_counter()
    print(f"trained in {trained - started:.1f} s, judged in {tested - trained:.1f} s; ",
          end="")  # fmt: skip
    print_errors(errors, judged)
    if args.save is not None and finished == 0:
        print(f"nothing was saved to {args.save}: no epoch was finished")
    elif args.save is not None:
        save_net(net, args.save, **facts | {f"{judged}_error": errors})
        print(f"saved to {args.save}")
    return 130 if finished < settings["epochs"] else 0


def evaluate_saved(args):
    """Test a net that was saved before, on the data set that it was trained for."""
    net, facts = load_net(args.load, with_facts=True)
    if type(net) not in (FFNet, BroadcastNet):
        raise ValueError(
            f"{args.load} holds a {type(net).__name__}, not an FFNet or a BroadcastNet"
        )
    if args.validate and not facts.get("validate"):
        raise ValueError(
            f"{args.load} does not say that it was trained with --validate, so it may "
            "know the validation images; leave --validate out"
        )
    device = choose_device(args.device)
    name, _, others, judged = load_splits(
        args, args.dataset or facts.get("dataset"), device
    )
    check_images(others.images, net.layers[0].in_features)
    check_labels(others.labels, net.n_classes)
    facts = {key: value for key, value in facts.items() if not key.endswith("_error")}
    described = ", ".join(f"{key} {value}" for key, value in facts.items())
    print(f"net     {args.load}: {described}")
    print(f"data    {name}: {len(others.labels):,} {judged} images")
    print_errors(errors_of(net.to(device), others), judged)
    return 0


if __name__ == "__main__":
    sys.exit(main())
