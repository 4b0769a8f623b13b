"""The book in one command: train a Forward-Forward net by chapter 06's recipe and print its test error."""

import argparse
import os
import sys
import time
import warnings

import torch

from ffutils.data import load_dataset
from ffutils.layers import FFNet
from ffutils.prediction import error_rate, layer_goodness
from ffutils.recipe import RECIPE, drop_pixels, jitter
from ffutils.training import train

AUGMENTS = {"jitter": jitter, "drop": drop_pixels, "none": None}


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, and ends with the exit code 2."""

    def error(self, message):
        self.exit(2, f"python -m ffutils: error: {' '.join(message.split())}\n")


def parse(arguments):
    parser = Parser(prog="python -m ffutils", description=__doc__)
    parser.add_argument("--dataset", help="auto, mnist or digits (default: $FF_DATASET, or auto)")
    parser.add_argument("--epochs", type=int, help="passes over the training images (default: 10, digits: 100)")
    parser.add_argument("--hidden", type=int, nargs="+", default=[500, 500, 500], metavar="WIDTH",
                        help="units of each layer (default: 500 500 500)")  # fmt: skip
    parser.add_argument("--augment", choices=AUGMENTS, default="jitter", help="shift the training images by a pixel "
                        "(jitter), black out a share of their pixels (drop), or neither (none)")  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, help="seed of weights, batches and negatives (default: 0)")
    parser.add_argument(
        "--device", default="auto", help="auto, cpu, cuda or mps (default: auto, CUDA where there is one)"
    )
    parser.add_argument("--save", metavar="FILE", help="write the widths, the weights and the errors to FILE")
    return parser, parser.parse_args(arguments)


def choose_device(name):
    """The torch.device of that name; "auto" takes CUDA where there is one. Raises ValueError where it is not at hand."""
    has = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return torch.device("cuda" if has["cuda"] else "cpu")
    try:
        if has.get(name.split(":")[0], False):
            return torch.empty(0, device=name).device
    except RuntimeError:  # such as "cuda:1" where there is one GPU
        pass
    raise ValueError(
        f"device {name!r} is not available here: expected one of {', '.join(k for k in has if has[k])}, or auto"
    )


def check_writable(path):
    """Raise OSError unless path can be written, so that no trained net is lost at the end."""
    existed = os.path.exists(path)
    try:
        with open(path, "ab"):
            pass
    except OSError as error:
        raise OSError(
            f"--save {path!r} cannot be written ({error.strerror}); choose a file in a folder that exists"
        ) from error
    if not existed:
        os.remove(path)


def main(arguments=None):
    parser, chosen = parse(arguments)
    try:
        run(chosen)
    except (OSError, TypeError, ValueError, FloatingPointError) as error:
        parser.error(str(error))
    except KeyboardInterrupt:
        parser.exit(130, "\nstopped\n")


def run(chosen):
    device = choose_device(chosen.device)
    if chosen.save is not None:
        check_writable(chosen.save)
    torch.manual_seed(chosen.seed)
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *rest: print(f"warning: {message}", file=sys.stderr)
        name, training, test = load_dataset(chosen.dataset, device)
    net = FFNet(784, *chosen.hidden).to(device)
    print(f"data    {name}: {len(training.labels):,} training and {len(test.labels):,} test images")
    print(
        f"net     784-{'-'.join(map(str, chosen.hidden))}, recipe of chapter 06, augment {chosen.augment}, seed {chosen.seed}"
    )
    print(f"device  {device}, torch {torch.__version__}, {torch.get_num_threads()} CPU threads")

    # The digits are so few that the recipe's batches would be too few as well.
    settings = RECIPE | {"mnist": {}, "digits": {"epochs": 100, "batch_size": 64}}[name]
    epochs = settings["epochs"] if chosen.epochs is None else chosen.epochs
    started = time.perf_counter()
    losses = train(net, training, **(settings | {"epochs": epochs}), augment=AUGMENTS[chosen.augment])
    finished = int(losses.isfinite().all(dim=1).sum())
    trained = time.perf_counter()
    per_layer = layer_goodness(net, test.images)
    sums = {f"layer {k + 1} alone": [k] for k in range(len(net.layers))} | {"sum of all layers": range(len(net.layers))}
    if len(net.layers) > 1:
        sums["sum without the first"] = range(1, len(net.layers))
    errors = {key: error_rate(per_layer[:, :, list(k)].sum(2).argmax(1), test.labels) for key, k in sums.items()}
    if finished < epochs:
        print(f"stopped after {finished} of {epochs} epochs")
    print(f"trained in {trained - started:.1f} s, tested in {time.perf_counter() - trained:.1f} s; test error:")
    for key, error in errors.items():
        print(f"  {key:<22}{error:5.2f} %")
    if chosen.save is not None:
        torch.save(
            {
                "widths": [784, *chosen.hidden],
                "state_dict": net.state_dict(),
                "dataset": name,
                "seed": chosen.seed,
                "epochs": finished,
                "test_error": errors,
            },
            chosen.save,
        )
        print(f"saved to {chosen.save}")


if __name__ == "__main__":
    main()
