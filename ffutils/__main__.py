"""The book in one command: train by chapter 06's recipe, or test a saved net."""

from __future__ import annotations

import argparse
import os
import sys
import time
import warnings
from pathlib import Path

import torch

from ffutils.checks import check_count, check_images, check_labels
from ffutils.data import load_dataset
from ffutils.layers import FFNet
from ffutils.prediction import layer_errors
from ffutils.recipe import RECIPE, drop_pixels, jitter
from ffutils.saving import check_target, load_net, save_net
from ffutils.training import train

AUGMENTS = {"jitter": jitter, "drop": drop_pixels, "none": None}
# The digits are so few that the recipe's batches would be too few as well.
BY_DATASET = {"digits": {"epochs": 100, "batch_size": 64}}
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
    add("--epochs", type=int, help="passes over the images (default: 10, digits: 100)")
    add("--hidden", type=int, nargs="+", default=[500, 500, 500], metavar="WIDTH",
        help="units of each layer (default: 500 500 500)")  # fmt: skip
    add("--augment", choices=AUGMENTS, default="jitter", help="shift the images by a "
        "pixel (jitter), black out 30 %% of their pixels (drop), or none")  # fmt: skip
    add("--seed", type=int, default=0, help="of weights, batches and wrong labels")
    add("--device", default="auto", help="auto, cpu, cuda or mps (default: auto, which "
        "is CUDA where there is one)")  # fmt: skip
    add("--save", metavar="FILE", help="write the net and its errors to FILE")
    add("--load", metavar="FILE", help="do not train, but test the net in FILE")
    args = parser.parse_args(arguments)
    of_training = ("save", "epochs", "hidden", "augment", "seed")
    given = [k for k in of_training if getattr(args, k) != parser.get_default(k)]
    if args.load is not None and given:
        options = ", ".join(f"--{name}" for name in given)
        parser.error(f"--load tests a net that is saved already; leave {options} out")
    return parser, args


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
            check_target(Path(os.path.realpath(args.save)))
        except OSError as error:
            raise OSError(
                f"--save {args.save!r} cannot be written, for {error}; choose a file "
                "in a folder that exists and that you may write to"
            ) from error


def main(arguments=None):
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


def print_errors(errors):
    print("test error:")
    for name, error in errors.items():
        print(f"  {name:<22}{error:5.2f} %")


def train_new(args):
    """Train a net, print its errors and keep it; the exit code is 130 after Ctrl-C."""
    check_args(args)
    device = choose_device(args.device)
    torch.manual_seed(args.seed)
    name, training, test = load_dataset(args.dataset, device)
    net = FFNet(training.images.shape[1], *args.hidden).to(device)
    widths = "-".join(map(str, [training.images.shape[1], *args.hidden]))
    print(
        f"data    {name}: {len(training.labels):,} training and {len(test.labels):,} "
        "test images"
    )
    print(
        f"net     {widths}, recipe of chapter 06, augment {args.augment}, "
        f"seed {args.seed}"
    )
    print(
        f"device  {device}, torch {torch.__version__}, {torch.get_num_threads()} CPU "
        "threads"
    )
    settings = RECIPE | BY_DATASET.get(name, {})
    if args.epochs is not None:
        settings["epochs"] = args.epochs
    started = time.perf_counter()
    losses = train(net, training, **settings, augment=AUGMENTS[args.augment])
    finished = int(losses.isfinite().all(dim=1).sum())
    trained = time.perf_counter()
    errors = layer_errors(net, test)
    if finished < settings["epochs"]:
        print(f"stopped after {finished} of {settings['epochs']} epochs")
    tested = time.perf_counter()
    print(f"trained in {trained - started:.1f} s, tested in {tested - trained:.1f} s; ",
          end="")  # fmt: skip
    print_errors(errors)
    if args.save is not None and finished == 0:
        print(f"nothing was saved to {args.save}: no epoch was finished")
    elif args.save is not None:
        save_net(net, args.save, dataset=name, seed=args.seed, epochs=finished,
                 augment=args.augment, test_error=errors)  # fmt: skip
        print(f"saved to {args.save}")
    return 130 if finished < settings["epochs"] else 0


def evaluate_saved(args):
    """Test a net that was saved before, on the data set that it was trained for."""
    net, facts = load_net(args.load, with_facts=True)
    if type(net) is not FFNet:
        raise ValueError(f"{args.load} holds a {type(net).__name__}, not an FFNet")
    device = choose_device(args.device)
    name, _, test = load_dataset(args.dataset or facts.get("dataset"), device)
    check_images(test.images, net.layers[0].in_features)
    check_labels(test.labels, net.n_classes)
    told = [f"{key} {value}" for key, value in facts.items() if key != "test_error"]
    print(f"net     {args.load}: {', '.join(told)}")
    print(f"data    {name}: {len(test.labels):,} test images")
    print_errors(layer_errors(net.to(device), test))
    return 0


if __name__ == "__main__":
    sys.exit(main())
