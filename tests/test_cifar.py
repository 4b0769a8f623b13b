"""CIFAR-10: what its loader makes of torchvision's arrays, and maps that stay local."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tiny_experiments import make_splits, tiny

from experiments.trials import cifar
from experiments.trials.cifar import CIFAR, CifarTrial, confine, load_cifar10


def test_images_are_in_the_unit_interval_a_colour_after_the_other(
    monkeypatch, tmp_path
):
    rng = np.random.default_rng(0)
    data = rng.integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
    asked = []

    def stub(root, train, download):
        asked.append((root, train, download))
        return SimpleNamespace(data=data, targets=[3, 1, 4, 1])

    monkeypatch.setenv("FF_DATA", str(tmp_path))
    monkeypatch.setattr(cifar.datasets, "CIFAR10", stub)
    train, test = load_cifar10("cpu")
    assert asked == [(tmp_path, True, False), (tmp_path, False, False)]
    assert train.images.dtype == torch.float32 and train.images.shape == (4, 3072)
    green = train.images[2].view(3, 32, 32)[1]
    assert torch.equal(green, torch.from_numpy(data[2, :, :, 1]) / 255)
    assert test.labels.tolist() == [3, 1, 4, 1]


def test_a_unit_sees_a_square_of_every_map_below():
    layer = torch.nn.Linear(3 * 36, 2 * 36)
    confine(layer, side=6, field=3)
    seen = layer.weight[36 + 7].view(3, 6, 6) != 0  # the second unit, row 1, column 1
    expected = torch.zeros(6, 6, dtype=torch.bool)
    expected[:3, :3] = True
    assert all(torch.equal(one, expected) for one in seen)
    corner = layer.weight[0].view(3, 6, 6) != 0
    assert corner.sum() == 3 * 4  # the field is cut off at the edge


@pytest.mark.parametrize("variant", CIFAR.variants)
def test_training_leaves_what_is_not_seen_at_zero(variant):
    trial = CifarTrial(tiny(CIFAR.configs[variant]), make_splits()[0])
    net = trial.net
    maps = net.layers if trial.backprop else [*net.up, *net.down[:-1]]
    before = [layer.weight.detach().clone() for layer in maps]
    trial.train_epoch(0)
    for layer, old in zip(maps, before, strict=True):
        assert torch.equal(layer.weight == 0, old == 0) and (old == 0).any()
        assert not torch.equal(layer.weight, old)
