"""Chapter 09's local layers and peer normalisation, and the net that learns without labels from both."""

import pytest
import torch

from experiments import local_fields
from ffutils import Split, goodness, normalize
from ffutils.local import LocalLayer, peer_loss


@pytest.mark.parametrize("side, channels, field, stride, units", [(28, 1, 10, 6, 5), (4, 3, 2, 1, 7), (3, 6, 3, 1, 4)])
def test_local_layer_is_a_loop_over_windows(side, channels, field, stride, units):
    torch.manual_seed(0)
    layer = LocalLayer(side, channels, field, stride, units)
    torch.nn.init.normal_(layer.bias)
    x = torch.rand(3, channels * side * side)
    below = normalize(x).view(3, channels, side, side)
    grid = (side - field) // stride + 1
    expected = torch.zeros(3, units, grid, grid)
    for row in range(grid):
        for column in range(grid):
            window = below[:, :, row * stride : row * stride + field, column * stride : column * stride + field]
            point = row * grid + column
            for unit in range(units):
                drive = (window.flatten(1) * layer.weight[point, :, unit]).sum(dim=1) + layer.bias[point, 0, unit]
                expected[:, unit, row, column] = drive.clamp(min=0)
    torch.testing.assert_close(layer(x), expected.flatten(1))


def test_a_window_sees_nothing_outside():
    torch.manual_seed(0)
    layer = LocalLayer(28, 1, 10, 6, 5)
    raw = layer.weight.new_zeros(1, 784)
    raw[0, 27 * 28 + 27] = 1.0  # the last pixel lies in the last window only
    lit = (layer.drive(raw) - layer.bias.permute(1, 2, 0).flatten(1)).view(5, 16) != 0
    assert lit[:, 15].all() and not lit[:, :15].any()


def test_fields_must_cover_the_side():
    with pytest.raises(ValueError, match="multiple of the stride"):
        LocalLayer(28, 1, 10, 5, 8)
    with pytest.raises(ValueError, match="units"):
        LocalLayer(28, 1, 10, 6, 0)


def test_another_width_is_refused():
    with pytest.raises(ValueError, match="784"):
        LocalLayer(28, 1, 10, 6, 8)(torch.rand(2, 785))


def test_pretend_gradient_worked_by_hand():
    """Means of 0, 0.3 and 0.6, so 0.3 on average; strength 1 and two images: -0.15, 0 and 0.15, off or on."""
    drive = torch.tensor([[-5.0, 0.5, 1.0], [-4.0, -0.1, 0.2]], requires_grad=True)
    peer_loss(drive, torch.tensor([0.0, 0.3, 0.6]), strength=1.0).backward()
    torch.testing.assert_close(drive.grad, torch.tensor([[-0.15, 0.0, 0.15], [-0.15, 0.0, 0.15]]))


def test_peers_bring_a_dead_unit_back():
    torch.manual_seed(0)
    layer = LocalLayer(4, 1, 4, 1, 6)
    with torch.no_grad():
        layer.bias[..., 0] = -10.0
    optimizer = torch.optim.SGD(layer.parameters(), lr=1.0)
    x, running = torch.rand(20, 16), torch.full((6,), 0.5)

    def step(peers):
        nonlocal running
        drive = layer.drive(x)
        loss = -goodness(torch.relu(drive)).clamp(max=1).mean()
        running = 0.9 * running + 0.1 * torch.relu(drive).detach().mean(dim=0)
        if peers:
            loss = loss + peer_loss(drive, running, strength=0.1)
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
    torch.manual_seed(0)
    images = torch.rand(40, 784)
    c = local_fields.CONFIGURATION | {
        "grids": [[28, 1, 10, 6, 4], [4, 4, 2, 1, 5]], "epochs": 2, "batch size": 20, "epochs of the softmax": 1,
        "matrix products": "float32",
    }  # fmt: skip
    weights = []
    for labels in (torch.arange(40) % 10, torch.arange(40) // 4):
        torch.manual_seed(0)
        trial = local_fields.Trial(c, Split(images, labels))
        trial.train_epoch(0)
        weights.append([layer.weight.detach().clone() for layer in trial.net])
    assert all((a == b).all() for a, b in zip(*weights, strict=True))
    errors = trial.errors(Split(images, labels))["error"]
    assert list(errors) == ["layer 1", "layer 2", "all but the first", "all layers"]
