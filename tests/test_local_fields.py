"""Chapter 09's local layers and peer loss, and the net that learns from both."""

import pytest
import torch

from experiments.trials.unsupervised import LOCAL_FIELDS
from ffutils import FFLayer, FFNet, Split, goodness, normalize, train
from ffutils.local import LocallyConnected2d, peer_loss


def by_windows(layer, x):
    """What the layer should return, as a loop over windows and units."""
    size, kernel, stride = layer.size, layer.kernel_size, layer.stride
    image = normalize(x).view(len(x), layer.in_channels, size, size)
    image = torch.nn.functional.pad(image, (layer.padding,) * 4)
    starts = range(0, size + 2 * layer.padding - kernel + 1, stride)
    expected = torch.zeros(len(x), layer.out_channels, len(starts), len(starts))
    for row, top in enumerate(starts):
        for column, left in enumerate(starts):
            window = image[:, :, top : top + kernel, left : left + kernel].flatten(1)
            point = row * len(starts) + column
            for unit in range(layer.out_channels):
                products = window * layer.weight[point, :, unit]
                total = products.sum(dim=1) + layer.bias[point, 0, unit]
                expected[:, unit, row, column] = total.clamp(min=0)
    return expected.flatten(1)


@pytest.mark.parametrize(
    "sizes, output_size",
    [
        ((28, 1, 10, 6, 5), 4),
        ((4, 3, 2, 1, 7), 3),
        ((3, 6, 3, 1, 4), 1),
        ((5, 2, 3, 1, 4, 1), 5),
        ((6, 1, 4, 2, 3, 2), 4),
        ((2, 1, 3, 1, 2, 1), 2),
    ],
)
def test_a_local_layer_is_a_loop_over_windows(sizes, output_size):
    layer = LocallyConnected2d(*sizes)
    torch.nn.init.normal_(layer.bias)
    assert layer.output_size == output_size
    assert layer.in_features == sizes[1] * sizes[0] ** 2
    assert layer.out_features == sizes[4] * output_size**2
    x = torch.rand(3, layer.in_features)
    torch.testing.assert_close(layer(x), by_windows(layer, x))
    torch.testing.assert_close(torch.relu(layer.preactivation(x)), layer(x))


def test_equal_weights_make_a_convolution():
    layer = LocallyConnected2d(7, 2, 3, 2, 4, padding=1)
    with torch.no_grad():
        layer.weight[:] = layer.weight[0].clone()
    x = torch.rand(3, layer.in_features)
    kernel = layer.weight[0].T.view(4, 2, 3, 3)
    image = normalize(x).view(3, 2, 7, 7)
    expected = torch.nn.functional.conv2d(image, kernel, stride=2, padding=1)
    torch.testing.assert_close(layer(x), torch.relu(expected).flatten(1))


def test_a_window_sees_nothing_outside():
    layer = LocallyConnected2d(28, 1, 10, 6, 5)
    x = torch.zeros(1, 784)
    x[0, 27 * 28 + 27] = 1.0  # the last pixel lies in the last window only
    bias = layer.bias.permute(1, 2, 0).flatten(1)
    lit = (layer.preactivation(x) - bias).view(5, 16) != 0
    assert lit[:, 15].all() and not lit[:, :15].any()


def test_the_first_weights_are_what_they_were():
    """Drawn in one go, with a variance of 2 / inputs: stored runs depend on it."""
    torch.manual_seed(4)
    layer = LocallyConnected2d(4, 3, 2, 1, 7)
    torch.manual_seed(4)
    assert torch.equal(layer.weight, torch.randn(9, 12, 7) * (2 / 12) ** 0.5)
    assert not layer.bias.any()


def test_another_normalize_is_the_one_in_use():
    torch.manual_seed(4)
    usual = LocallyConnected2d(4, 1, 2, 1, 3)
    torch.manual_seed(4)
    edited = LocallyConnected2d(4, 1, 2, 1, 3, normalize=lambda h: 0 * h)
    x = torch.rand(2, 16)
    assert usual(x).any() and not edited(x).any()


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_dtypes(dtype):
    layer = LocallyConnected2d(6, 1, 4, 2, 3, 2).to(dtype)
    z = layer.preactivation(torch.rand(5, 36, dtype=dtype))
    peer_loss(z, torch.rand(48)).backward()
    assert z.dtype == layer.weight.grad.dtype == dtype


def test_half_precision_is_for_the_products_alone():
    """What a layer above is judged by differs little from float32, at width 2048."""
    first, second = LocallyConnected2d(28, 1, 10, 6, 128), FFLayer(2048, 2000)
    x = torch.rand(40, 784)
    with torch.no_grad():
        exact = goodness(second(first(x)))
        with torch.autocast("cpu", torch.bfloat16):
            half = goodness(second(first(x)))
    assert half.dtype == torch.float32
    assert (half - exact).std() < 0.2 * exact.std()


def test_it_stands_in_a_net_that_learns():
    prototypes = torch.rand(10, 144)
    y = torch.arange(300) % 10
    split = Split((0.7 * prototypes[y] + 0.3 * torch.rand(300, 144)).clamp(0, 1), y)
    layers = LocallyConnected2d(12, 1, 4, 4, 20), LocallyConnected2d(3, 20, 3, 2, 30, 1)
    net = FFNet(144, *layers, 40)
    before = [layer.weight.clone() for layer in net.layers]
    losses = train(net, split, epochs=3, batch_size=50, lr=0.01, progress=False)
    assert (losses[-1] < losses[0]).all()
    assert [h.shape[1] for h in net(split.images)] == [180, 120, 40]
    for layer, old in zip(net.layers, before, strict=True):
        assert not torch.equal(layer.weight, old)


@pytest.mark.parametrize(
    "sizes, message",
    [
        ((28, 1, 10, 5, 8), "multiple of the stride"),
        ((28, 1, 30, 1, 8), "must be 0 or more"),
        ((28, 1, 10, 6, 0), "out_channels"),
        ((28, 0, 10, 6, 8), "in_channels"),
        ((28.0, 1, 10, 6, 8), "size must be a whole number"),
        ((28, 1, 10, 6, 8, -1), "padding"),
        ((28, 1, 3, 1, 8, 3), "nothing but zeros"),
        ((28, 1, 10, 6, 8, 1), "multiple of the stride"),
    ],
)
def test_windows_must_reach_from_edge_to_edge(sizes, message):
    with pytest.raises(ValueError, match=message):
        LocallyConnected2d(*sizes)


@pytest.mark.parametrize("shape", [(2, 785), (2, 1, 28, 28), (784,)])
def test_another_width_is_refused(shape):
    with pytest.raises(ValueError, match="784"):
        LocallyConnected2d(28, 1, 10, 6, 8)(torch.rand(shape))


def test_pretend_gradient_worked_by_hand():
    """Means of 0, 0.3 and 0.6, so 0.3 on average; weight 1 and two images: ±0.15."""
    z = torch.tensor([[-5.0, 0.5, 1.0], [-4.0, -0.1, 0.2]], requires_grad=True)
    peer_loss(z, torch.tensor([0.0, 0.3, 0.6]), weight=1.0).backward()
    torch.testing.assert_close(z.grad, torch.tensor(2 * [[-0.15, 0.0, 0.15]]))


def test_peers_bring_a_dead_unit_back():
    layer = LocallyConnected2d(4, 1, 4, 1, 6)
    with torch.no_grad():
        layer.bias[..., 0] = -10.0
    optimizer = torch.optim.SGD(layer.parameters(), lr=1.0)
    x, running_mean = torch.rand(20, 16), torch.full((6,), 0.5)

    def step(peers):
        nonlocal running_mean
        z = layer.preactivation(x)
        loss = -goodness(torch.relu(z)).clamp(max=1).mean()
        running_mean = 0.9 * running_mean + 0.1 * torch.relu(z).detach().mean(dim=0)
        if peers:
            loss = loss + peer_loss(z, running_mean, weight=0.1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    for _ in range(200):
        step(peers=False)
    assert (layer(x)[:, 0] == 0).all()
    for _ in range(200):
        step(peers=True)
    assert (layer(x)[:, 0] > 0).any()


def test_unsupervised_trial_never_sees_a_label_while_its_layers_train():
    images = torch.rand(40, 784)
    config = LOCAL_FIELDS.config.changed(
        grids=[[28, 1, 10, 6, 4], [4, 4, 2, 1, 5]], network="4x4x4, 3x3x5", epochs=2,
        batch_size=20, softmax_epochs=1, precision="float32",
    )  # fmt: skip
    weights = []
    for labels in (torch.arange(40) % 10, torch.arange(40) // 4):
        torch.manual_seed(0)
        trial = LOCAL_FIELDS.trial(config, Split(images, labels))
        trial.train_epoch(0)
        weights.append([layer.weight.detach().clone() for layer in trial.net])
    assert all((a == b).all() for a, b in zip(*weights, strict=True))
    errors = trial.errors(Split(images, labels))["error"]
    both = ["all layers without layer 1", "all layers"]
    assert list(errors) == ["layer 1", "layer 2", *both]
