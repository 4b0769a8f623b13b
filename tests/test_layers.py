"""Chapter 03's module: normalisation and goodness by hand, and nets of any layers."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from ffutils.layers import FFLayer, FFNet, goodness, normalize
from ffutils.local import LocallyConnected2d

DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]


# The functions


def test_normalize_by_hand():
    h = torch.tensor([[3.0, 4.0], [0.0, 0.5]], dtype=torch.float64)
    length = torch.tensor([[12.5], [0.125]], dtype=torch.float64).sqrt()
    torch.testing.assert_close(normalize(h), h / length, rtol=0, atol=1e-6)


def test_normalize_forgets_the_length_and_keeps_the_direction():
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
    h = torch.tensor([[1.0, 2.0, 3.0, 4.0], [0.0, 0.0, 0.0, 2.0]])
    assert torch.equal(goodness(h), torch.tensor([7.5, 1.0]))


@given(
    dtype=st.sampled_from(DTYPES),
    exponent=st.integers(-12, 12),
    width=st.integers(1, 3000),
)
def test_constants_fit_every_dtype(dtype, exponent, width):
    """A row of zeros is zero, no number is NaN, and a row of usual length gets 1."""
    torch.manual_seed(width)
    h = (10.0**exponent * (0.5 + torch.rand(3, width))).to(dtype)
    h = h.nan_to_num(posinf=torch.finfo(dtype).max)
    h[0] = 0
    scaled = normalize(h)
    assert scaled.dtype == torch.promote_types(dtype, torch.float32)
    assert goodness(h).dtype == scaled.dtype
    assert scaled.isfinite().all() and goodness(h).isfinite().all()
    assert not scaled[0].any() and goodness(h)[0] == 0
    rms = scaled[1:].double().square().mean(dim=1).sqrt()
    exact = h[1:].double()
    mean_square = exact.square().mean(dim=1)
    expected = (mean_square / (mean_square + 1e-8)).sqrt()
    torch.testing.assert_close(rms, expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(
        goodness(h)[1:].double(), mean_square, rtol=1e-5, atol=1e-30
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("value", ["max", "tiny", "smallest_normal", "eps"])
def test_the_ends_of_a_dtype_are_no_nan(dtype, value):
    h = torch.full((2, 7), getattr(torch.finfo(dtype), value), dtype=dtype)
    assert not normalize(h).isnan().any()
    assert not goodness(h).isnan().any()


# A layer


def test_a_layer_by_hand():
    layer = FFLayer(2, 3).double()
    layer.weight.data = torch.tensor([[1.0, 0.0], [0.0, -1.0], [1.0, 1.0]]).double()
    layer.bias.data = torch.tensor([0.5, 0.0, -2.0]).double()
    length = 12.5**0.5  # the input's root mean square
    expected = [[3 / length + 0.5, 0.0, max(0.0, 7 / length - 2)]]
    h = layer(torch.tensor([[3.0, 4.0]]).double())
    torch.testing.assert_close(h, torch.tensor(expected).double(), rtol=0, atol=1e-6)


def test_a_layer_cannot_see_how_long_its_input_is():
    layer, x = FFLayer(20, 10), torch.rand(4, 20)
    torch.testing.assert_close(layer(5 * x), layer(x))


def test_fresh_layers_have_a_goodness_of_about_one():
    for activations in FFNet(784, 500, 500, 500)(torch.rand(64, 784)):
        assert goodness(activations).mean().item() == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_net_of_any_dtype_computes_in_it(dtype):
    net = FFNet(20, 8, 6).to(dtype)
    assert [h.dtype for h in net(torch.rand(3, 20).to(dtype))] == [dtype, dtype]


# A net


def test_a_net_returns_the_activations_of_each_layer_from_the_one_below():
    net, x = FFNet(20, 8, 6, 4), torch.rand(5, 20)
    first = net.layers[0](x)
    second = net.layers[1](first)
    expected = [first, second, net.layers[2](second)]
    activations = net(x)
    assert [h.shape for h in activations] == [(5, 8), (5, 6), (5, 4)]
    assert all(torch.equal(a, b) for a, b in zip(activations, expected, strict=True))


def test_every_weight_and_bias_of_a_net_is_a_parameter():
    names = [f"layers.{k}.{kind}" for k in range(3) for kind in ("weight", "bias")]
    net = FFNet(20, 8, 6, 4)
    assert [name for name, _ in net.named_parameters()] == names
    assert list(net.state_dict()) == names
    count = 20 * 8 + 8 + 8 * 6 + 6 + 6 * 4 + 4
    assert sum(p.numel() for p in net.parameters()) == count


def test_state_dict_round_trip(tmp_path):
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


def test_a_number_of_units_is_a_layer_of_that_many():
    torch.manual_seed(3)
    by_number = FFNet(20, 8, 6).state_dict()
    torch.manual_seed(3)
    by_layer = FFNet(20, FFLayer(20, 8), FFLayer(8, 6)).state_dict()
    assert all(torch.equal(by_number[name], by_layer[name]) for name in by_number)


@pytest.mark.parametrize("whole", [int, np.int32, np.int64, np.uint8])
def test_any_kind_of_whole_number_makes_a_net(whole):
    net = FFNet(whole(30), whole(8), whole(6), n_classes=whole(3))
    assert [h.shape for h in net(torch.rand(2, 30))] == [(2, 8), (2, 6)]


def test_what_the_net_is_given_is_what_it_uses():
    calls = []

    def my_overlay(x, y, n_classes, label_strength):
        calls.append((n_classes, label_strength))
        return x

    def my_normalize(h):
        return 0 * h

    def my_goodness(h):
        return h[:, 0]

    net = FFNet(
        20, 8, 6, n_classes=3, label_strength=0.5,
        overlay=my_overlay, normalize=my_normalize, goodness=my_goodness,
    )  # fmt: skip
    assert net.goodness is my_goodness
    assert [layer.normalize for layer in net.layers] == [my_normalize, my_normalize]
    net.write_label(torch.rand(2, 20), torch.tensor([0, 1]))
    assert calls == [(3, 0.5)]
    assert not any(h.any() for h in net(torch.rand(2, 20)))  # no input, no bias yet


# Layers of one's own


class OwnLayer(nn.Module):
    """No Linear, no normalisation: a sum of two products, and a leaky ReLU."""

    def __init__(self, in_features, out_features):
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        self.first = nn.Parameter(torch.randn(in_features, out_features) / 4)
        self.second = nn.Parameter(torch.randn(in_features, out_features) / 4)

    def forward(self, x):
        return nn.functional.leaky_relu(x @ self.first + x.square() @ self.second)


def test_layers_of_any_kind_stand_in_a_net():
    net = FFNet(
        36, LocallyConnected2d(6, 1, 3, 3, 5), OwnLayer(20, 9), nn.Linear(9, 7), 4
    )
    shapes = [h.shape[1] for h in net(torch.rand(3, 36))]
    assert shapes == [20, 9, 7, 4]
    assert isinstance(net.layers[3], FFLayer)


@pytest.mark.parametrize("layer", [nn.ReLU(), nn.Conv2d(1, 2, 3), nn.Sequential()])
def test_a_module_that_does_not_say_its_sizes_is_no_layer(layer):
    with pytest.raises(TypeError, match=r"\(B, in_features\) → \(B, out_features\)"):
        FFNet(20, layer)


@pytest.mark.parametrize("sizes", [(20, 8, OwnLayer(7, 3)), (20, OwnLayer(21, 3))])
def test_a_layer_must_fit_on_the_one_below(sizes):
    with pytest.raises(
        ValueError, match=r"OwnLayer takes \d+ inputs, but \d+ come from"
    ):
        FFNet(*sizes)
