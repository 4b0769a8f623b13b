"""Half precision is for matrix products alone: the rest is float32, and it matters."""

import pytest
import torch
from tiny_experiments import tiny
from torch.utils._python_dispatch import TorchDispatchMode

from experiments.catalogue import EXPERIMENTS
from experiments.trials.shared import autocast_bf16
from ffutils import FFNet, Split, goodness, load_digits, normalize, wrong_labels
from ffutils import layers as layers_module

HALF = torch.bfloat16, torch.float16
CPU = torch.device("cpu")


# ---- What it does to a goodness


def difference_errors(width=2000, seeds=3):
    """How far bfloat16 moves each layer's goodness difference, positive - negative.

    The standard deviation of the change over 256 images, as a fraction of that of the
    difference in float32, for untrained nets of three layers; mean over the seeds.
    """
    train, _ = load_digits()
    errors = []
    for seed in range(seeds):
        torch.manual_seed(seed)
        net = FFNet(784, width, width, width).requires_grad_(False)
        rows = torch.randperm(len(train.labels))[:256]
        x, y = train.images[rows], train.labels[rows]
        positive, negative = net.write_label(x, y), net.write_label(x, wrong_labels(y))

        def differences():
            pairs = zip(net(positive), net(negative), strict=True)  # noqa: B023
            return torch.stack([goodness(p) - goodness(n) for p, n in pairs])

        exact = differences()
        with autocast_bf16(CPU):
            half = differences()
        errors.append((half - exact).std(dim=1) / exact.std(dim=1))
    return torch.stack(errors).mean(dim=0)


def check_differences(errors):
    """Measured: 3 % in layer 1, 12 to 15 % in layers 2 and 3.

    They are that large because an untrained net of width 2000 hardly tells positive
    from negative, and because activations that a product has rounded to bfloat16 are
    rounded again, after normalisation, for the next: a shift that a row's units share.
    """
    assert errors[0] < 0.05
    assert (errors[1:] < 0.25).all(), errors


def test_goodness_differences_survive_half_precision():
    check_differences(difference_errors())


def test_they_do_not_survive_a_normalisation_in_half_precision(monkeypatch):
    monkeypatch.setattr(layers_module, "full_precision", lambda h: h)
    errors = difference_errors()
    assert (errors[1:] > 0.3).all(), errors  # measured: 45 to 55 %
    with pytest.raises(AssertionError):
        check_differences(errors)


@pytest.mark.parametrize("dtype", HALF)
def test_normalize_and_goodness_compute_in_float32(dtype):
    h = torch.rand(4, 3000).to(dtype)
    for function in (normalize, goodness):
        assert function(h).dtype == torch.float32
        assert torch.equal(function(h), function(h.float()))
    assert torch.equal(normalize(torch.zeros(1, 10, dtype=dtype)), torch.zeros(1, 10))


# ---- Every experiment that multiplies in bfloat16


class HalfArithmetic(TorchDispatchMode):
    """Notes what is summed, squared, divided in half precision, backward pass apart."""

    ARITHMETIC = {
        "add", "sub", "rsub", "mul", "div", "pow", "sqrt", "rsqrt", "mean", "sum",
        "var", "norm", "linalg_vector_norm", "exp", "log", "softplus", "_softmax",
        "_log_softmax", "nll_loss_forward", "mse_loss",
    }  # fmt: skip

    def __init__(self):
        super().__init__()
        self.noted, self.products = set(), set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if torch._C._current_graph_task_id() != -1:  # PyTorch's own way backwards
            return result
        name = function.overloadpacket.__name__.rstrip("_")
        if torch.is_tensor(result) and result.dtype in HALF:
            if name in self.ARITHMETIC:
                self.noted.add(name)
            elif name in ("mm", "addmm", "bmm", "baddbmm"):
                self.products.add(name)
        return result


def half_precision_runs():
    for name, experiment in EXPERIMENTS.items():
        for variant, config in experiment.configs.items():
            if getattr(config, "precision", None) == "bfloat16":
                yield pytest.param(experiment, tiny(config), id=f"{name}: {variant}")


@pytest.mark.parametrize("experiment, config", list(half_precision_runs()))
def test_experiments_multiply_in_half_precision_and_do_nothing_else(experiment, config):
    torch.manual_seed(0)
    split = Split(torch.rand(40, 784), torch.arange(40) % 10)
    trial = experiment.trial(config, split)
    with HalfArithmetic() as arithmetic:
        trial.train_epoch(0)
        trial.train_epoch(config.epochs - 1)  # of the last layer, where they take turns
        trial.errors(split)
    assert arithmetic.products, "it was to multiply in bfloat16"
    assert not arithmetic.noted
    assert all(p.dtype == torch.float32 for p in trial.net.parameters())
