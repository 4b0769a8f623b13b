"""Chapter 06's tricks do what they say."""

import pytest
import torch

from ffutils import (
    RECIPE,
    FFNet,
    Split,
    cool_down,
    drop_pixels,
    first_layer_goodness,
    goodness,
    hard_labels,
    jitter,
    overlay,
    pair_loss,
    train,
)


@pytest.fixture
def net():
    torch.manual_seed(0)
    return FFNet(784, 40, 30)


@pytest.mark.parametrize("strength", [1.0, 3.0])
def test_shared_first_layer_equals_ten_overlays(net, strength):
    torch.manual_seed(1)
    x = torch.rand(7, 784)
    x[0] = 0  # a black image is no exception
    plain = [goodness(net.layers[0](overlay(x, torch.full((7,), k), strength))) for k in range(10)]
    torch.testing.assert_close(first_layer_goodness(net.layers[0], x, strength), torch.stack(plain, dim=1))


def test_hard_labels_are_never_true_even_where_the_truth_is_certain(net):
    torch.manual_seed(1)
    x, y = torch.rand(500, 784), torch.randint(0, 10, (500,))
    with torch.no_grad():
        net.layers[0].weight[:, 3] = 5.0  # label 3 wins everywhere
    y[:250] = 3
    for _ in range(5):
        drawn = hard_labels(net, x, y)
        assert (drawn != y).all()
    assert (drawn[250:][y[250:] != 3] == 3).all()


def test_hard_labels_are_drawn_in_proportion():
    net = FFNet(784, 20)
    x = torch.zeros(1, 784)
    with torch.no_grad():
        net.layers[0].weight.zero_()
        net.layers[0].weight[:, 1] = 1 / 28 * 0.1  # the only ink is the label, of RMS 1: an activity of 0.1
    assert abs(first_layer_goodness(net.layers[0], x)[0, 1].item() - 0.01) < 1e-6
    torch.manual_seed(0)
    drawn = hard_labels(net, x.expand(20000, -1), torch.zeros(20000, dtype=torch.int64), scale=200.0)
    expected = torch.e**2 / (torch.e**2 + 8)  # a goodness of 0.01 against eight of 0
    assert abs((drawn == 1).float().mean() - expected) < 0.02


def test_pair_loss_by_hand():
    positive, negative = torch.tensor([[2.0, 0.0]]), torch.tensor([[1.0, 1.0]])  # goodness 2 and 1
    assert abs(pair_loss(positive, negative, scale=1.0) - 0.31326) < 1e-4  # ln(1 + 1/e)
    assert abs(pair_loss(positive, positive) - 0.69315) < 1e-4
    assert pair_loss(negative, positive) > 29


def test_cool_down_falls_from_one_to_zero():
    factors = [cool_down(k / 10) for k in range(11)]
    assert factors[0] == 1 and abs(factors[5] - 0.5) < 1e-9 and abs(factors[10]) < 1e-9
    assert factors == sorted(factors, reverse=True)


def test_jitter_shifts_whole_images_by_every_amount():
    x = torch.zeros(900, 784)
    x[:, 14 * 28 + 14] = 1
    torch.manual_seed(0)
    spots = jitter(x, 1).argmax(dim=1)
    assert set(spots.tolist()) == {(14 + down) * 28 + 14 + right for down in (-1, 0, 1) for right in (-1, 0, 1)}
    assert spots.bincount().max() < 150  # 100 expected of each of the nine


def test_jitter_brings_in_black_and_leaves_its_input():
    x = torch.ones(50, 784)
    torch.manual_seed(0)
    shifted = jitter(x, 2).view(-1, 28, 28)
    assert (x == 1).all()
    assert ((shifted == 0) | (shifted == 1)).all()
    assert (shifted[:, 2:26, 2:26] == 1).all() and (shifted[:, 0, 0] == 0).any()


def test_dropped_pixels():
    torch.manual_seed(0)
    x = torch.full((100, 784), 0.5)
    dropped = drop_pixels(x, 0.3)
    assert abs((dropped == 0).float().mean() - 0.3) < 0.01
    assert set(dropped.unique().tolist()) == {0.0, 0.5}


@pytest.mark.parametrize("share", [-0.1, 1.0, float("nan")])
def test_bad_share(share):
    with pytest.raises(ValueError, match="share must be a number in"):
        drop_pixels(torch.rand(2, 784), share)


def test_bad_input(net):
    x, y = torch.rand(4, 784), torch.tensor([0, 1, 2, 3])
    with pytest.raises(ValueError, match="labels must be in 0..9"):
        hard_labels(net, x, y + 7)
    with pytest.raises(ValueError, match="images must lie in"):
        hard_labels(net, 255 * x, y)
    with pytest.raises(ValueError, match="pixels must be a whole number"):
        jitter(x, 0)
    with pytest.raises(ValueError, match="expects an input of shape"):
        jitter(torch.rand(4, 785))


def test_recipe_learns_more_than_random_lies_do():
    torch.manual_seed(0)
    prototypes = torch.rand(10, 784)
    y = torch.arange(400) % 10
    split = Split((prototypes[y] * 0.5 + 0.5 * torch.rand(400, 784)).clamp(0, 1), y)
    net = FFNet(784, 30, 30)
    losses = train(net, split, **(RECIPE | {"epochs": 20, "batch_size": 40}), progress=False)
    assert losses[-1, 0] < 0.5 * losses[0, 0]


def test_schedule_is_asked_before_every_epoch():
    asked = []
    split = Split(torch.rand(20, 784), torch.arange(20) % 10)

    def schedule(done):
        asked.append(done)
        return 0.0 if done > 0 else 1.0

    net = FFNet(784, 5)
    weights = []
    train(
        net, split, epochs=4, schedule=schedule, progress=False,
        on_epoch=lambda net, epoch: weights.append(net.layers[0].weight.detach().clone()),
    )  # fmt: skip
    assert asked == [0, 0.25, 0.5, 0.75]
    assert torch.equal(weights[0], weights[3])  # a factor of 0 stops the learning


def test_augment_sees_images_without_labels():
    seen = []
    split = Split(torch.zeros(20, 784), torch.arange(20) % 10)
    train(FFNet(784, 5), split, epochs=1, augment=lambda x: seen.append(x) or x, progress=False)
    assert all((x == 0).all() for x in seen) and sum(map(len, seen)) == 20
