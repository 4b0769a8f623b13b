"""Chapter 05's module: goodness for ten labels against plain loops, and the one-pass softmax."""

import pytest
import torch

from ffutils.labels import neutral, overlay
from ffutils.layers import FFNet, goodness, normalize
from ffutils.prediction import error_rate, fit_softmax, label_goodness, layer_goodness, neutral_activities, predict


@pytest.fixture
def net():
    torch.manual_seed(0)
    return FFNet(20, 8, 6, 4)


@pytest.fixture
def x():
    torch.manual_seed(1)
    return torch.rand(7, 20)


@pytest.fixture
def knowing():
    """A net worked out by hand: unit j sees the label's pixel j and the image's pixel 10 + j, which is on in class j.

    Two of 20 pixels are on, so that each is 10 ** 0.5 once normalised. With the right label one unit gets both, and the
    goodness is (2 · 10 ** 0.5)² / 10 = 4; with a wrong one two units get one each, and it is 2 · 10 / 10 = 2.
    """
    net = FFNet(20, 10)
    net.layers[0].weight.data = torch.eye(10).repeat(1, 2)
    images = torch.zeros(10, 20)
    images[torch.arange(10), 10 + torch.arange(10)] = 1
    return net, images


def test_goodness_of_every_label_by_hand(knowing):
    expected = 2 + 2 * torch.eye(10)
    torch.testing.assert_close(label_goodness(*knowing), expected, rtol=0, atol=1e-5)
    assert torch.equal(predict(*knowing), torch.arange(10))


def test_layer_goodness_equals_a_plain_loop(net, x):
    found = layer_goodness(net, x)
    assert found.shape == (7, 10, 3)
    for i in range(7):
        for label in range(10):
            activities = net(overlay(x[i : i + 1], torch.tensor([label])))
            for k, h in enumerate(activities):
                assert found[i, label, k].item() == pytest.approx(goodness(h).item(), abs=1e-6)


@pytest.mark.parametrize("batch_size", [1, 3, 7, 1000])
def test_the_batch_size_changes_no_result(net, x, batch_size):
    torch.testing.assert_close(layer_goodness(net, x, batch_size), layer_goodness(net, x))
    torch.testing.assert_close(neutral_activities(net, x, batch_size=batch_size), neutral_activities(net, x))


def test_goodness_is_summed_over_the_chosen_layers(net, x):
    per_layer = layer_goodness(net, x)
    torch.testing.assert_close(label_goodness(net, x), per_layer[..., 0] + per_layer[..., 1] + per_layer[..., 2])
    torch.testing.assert_close(label_goodness(net, x, layers=[1, 2]), per_layer[..., 1] + per_layer[..., 2])
    torch.testing.assert_close(label_goodness(net, x, layers=range(1)), per_layer[..., 0])


def test_predict_takes_the_label_with_the_largest_sum(net, x):
    assert torch.equal(predict(net, x), label_goodness(net, x).argmax(1))
    assert torch.equal(predict(net, x, layers=[2]), layer_goodness(net, x)[:, :, 2].argmax(1))


def test_error_rate_by_hand():
    assert error_rate(torch.tensor([1, 2, 3, 4]), torch.tensor([1, 2, 3, 9])) == 25.0
    assert error_rate(torch.tensor([1, 2]), torch.tensor([1, 2])) == 0.0


def test_neutral_activities_are_the_upper_layers_normalised_side_by_side(net, x):
    first, second, third = (normalize(h) for h in net(neutral(x)))
    torch.testing.assert_close(neutral_activities(net, x), torch.cat([second, third], dim=1))
    torch.testing.assert_close(neutral_activities(net, x, layers=[2, 0]), torch.cat([third, first], dim=1))


def test_prediction_leaves_the_net_the_images_and_the_generator_alone(net, x):
    before, weights, state = x.clone(), [p.clone() for p in net.parameters()], torch.get_rng_state()
    assert not layer_goodness(net, x).requires_grad
    assert not neutral_activities(net, x).requires_grad
    predict(net, x)
    assert torch.equal(x, before)
    assert torch.equal(torch.get_rng_state(), state)
    for p, old in zip(net.parameters(), weights, strict=True):
        assert torch.equal(p, old)
        assert p.grad is None


def test_fit_softmax_separates_what_can_be_separated():
    torch.manual_seed(0)
    labels = torch.arange(10).repeat(50)
    features = torch.nn.functional.one_hot(labels, 10).float() + 0.05 * torch.randn(500, 10)
    before = features.clone()
    head = fit_softmax(features, labels, epochs=20, batch_size=50, lr=0.05)
    assert error_rate(head(features).argmax(1), labels) == 0
    assert torch.equal(features, before)


def test_fit_softmax_repeats_with_the_seed():
    features, labels = torch.rand(30, 6), torch.arange(30) % 10
    heads = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        heads.append(fit_softmax(features, labels, epochs=1, batch_size=10).weight)
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])


def test_fit_softmax_sends_no_gradient_into_the_net(net, x):
    activities = net(neutral(x))[-1].detach()
    fit_softmax(activities, torch.arange(7), epochs=1)
    assert all(p.grad is None for p in net.parameters())
