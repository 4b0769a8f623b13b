"""Chapter 03's module: normalisation and goodness by hand, and a net that is a real `nn.Module`."""

import pytest
import torch
from torch import nn

from ffutils.layers import FFLayer, FFNet, goodness, normalize


def test_normalize_by_hand():
    h = torch.tensor([[3.0, 4.0], [0.0, 0.5]], dtype=torch.float64)  # mean squares 12.5 and 0.125
    expected = torch.tensor([[3 / 12.5**0.5, 4 / 12.5**0.5], [0.0, 0.5 / 0.125**0.5]], dtype=torch.float64)
    torch.testing.assert_close(normalize(h), expected, rtol=0, atol=1e-6)


def test_normalize_forgets_the_length_and_keeps_the_direction():
    torch.manual_seed(0)
    h = torch.randn(8, 50)
    torch.testing.assert_close(goodness(normalize(h)), torch.ones(8))
    torch.testing.assert_close(normalize(7 * h), normalize(h))
    torch.testing.assert_close(torch.cosine_similarity(normalize(h), h), torch.ones(8))


def test_normalize_subtracts_no_mean():
    h = torch.full((1, 4), 3.0)
    torch.testing.assert_close(normalize(h), torch.ones(1, 4))
    assert nn.LayerNorm(4)(h).abs().max() < 1e-3  # which leaves nothing of it


def test_a_row_of_zeros_stays_zero_with_a_finite_gradient():
    h = torch.zeros(2, 5, requires_grad=True)
    normalize(h).sum().backward()
    assert torch.equal(normalize(h), torch.zeros(2, 5))
    assert h.grad.isfinite().all()


def test_goodness_is_the_mean_square_of_each_row():
    assert torch.equal(goodness(torch.tensor([[1.0, 2.0, 3.0, 4.0], [0.0, 0.0, 0.0, 2.0]])), torch.tensor([7.5, 1.0]))


def test_a_layer_by_hand():
    layer = FFLayer(2, 3).double()
    layer.weight.data = torch.tensor([[1.0, 0.0], [0.0, -1.0], [1.0, 1.0]], dtype=torch.float64)
    layer.bias.data = torch.tensor([0.5, 0.0, -2.0], dtype=torch.float64)
    unit = 12.5**0.5  # the input's root mean square
    expected = [[3 / unit + 0.5, 0.0, max(0.0, 7 / unit - 2)]]
    found = layer(torch.tensor([[3.0, 4.0]], dtype=torch.float64))
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-6)


def test_a_layer_cannot_see_how_long_its_input_is():
    torch.manual_seed(0)
    layer, x = FFLayer(20, 10), torch.rand(4, 20)
    torch.testing.assert_close(layer(5 * x), layer(x))


def test_fresh_layers_have_a_goodness_of_about_one():
    torch.manual_seed(0)
    for activities in FFNet(784, 500, 500, 500)(torch.rand(64, 784)):
        assert goodness(activities).mean().item() == pytest.approx(1, abs=0.15)


def test_a_net_returns_the_activities_of_each_layer_from_the_one_below():
    torch.manual_seed(0)
    net, x = FFNet(20, 8, 6, 4), torch.rand(5, 20)
    first = net.layers[0](x)
    second = net.layers[1](first)
    expected = [first, second, net.layers[2](second)]
    found = net(x)
    assert [h.shape for h in found] == [(5, 8), (5, 6), (5, 4)]
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_every_weight_and_bias_of_a_net_is_a_parameter():
    names = [f"layers.{k}.{kind}" for k in range(3) for kind in ("weight", "bias")]
    net = FFNet(20, 8, 6, 4)
    assert [name for name, _ in net.named_parameters()] == list(net.state_dict()) == names
    assert sum(p.numel() for p in net.parameters()) == 20 * 8 + 8 + 8 * 6 + 6 + 6 * 4 + 4


def test_state_dict_round_trip(tmp_path):
    torch.manual_seed(0)
    net, other, x = FFNet(20, 8, 6), FFNet(20, 8, 6), torch.rand(5, 20)
    assert not torch.equal(net(x)[-1], other(x)[-1])
    torch.save(net.state_dict(), tmp_path / "net.pt")
    other.load_state_dict(torch.load(tmp_path / "net.pt", weights_only=True))
    assert all(torch.equal(a, b) for a, b in zip(net(x), other(x), strict=True))


def test_to_moves_the_whole_net():
    net = FFNet(20, 8, 6).to("meta")
    assert all(tensor.device.type == "meta" for tensor in net.state_dict().values())
    assert all(h.device.type == "meta" for h in net(torch.rand(3, 20, device="meta")))


def test_the_same_seed_gives_the_same_fresh_weights():
    torch.manual_seed(3)
    first = FFNet(20, 8, 6).state_dict()
    torch.manual_seed(3)
    second = FFNet(20, 8, 6).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
