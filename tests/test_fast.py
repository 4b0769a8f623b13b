"""Gradients that are written out equal autograd's; training by them learns."""

import pytest
import torch

from ffutils import FFNet, Split, label_goodness, load_digits, overlay, pair_loss
from ffutils.depth import BroadcastNet, broadcast_goodness_per_layer, broadcast_step
from ffutils.fast import (
    bfloat16_is_quicker,
    broadcast_gradients,
    fast_train,
    ff_gradients,
    pair_gradients,
)
from ffutils.recipe import sample_wrong_labels

SCALE = 30.0


@pytest.fixture
def batch():
    x, y = torch.rand(40, 784, dtype=torch.float64), torch.randint(10, (40,))
    return x * (torch.rand_like(x) < 0.3), y


def relative(a, b):
    return ((a - b).norm() / b.norm()).item()


def test_pair_gradients_are_those_of_autograd():
    sums = torch.randn(2, 8, 5, dtype=torch.float64, requires_grad=True)
    positive, negative = sums.relu()
    loss = pair_loss(positive, negative, scale=SCALE)
    loss.backward()
    found, up, down = pair_gradients(positive.detach(), negative.detach(), SCALE)
    assert torch.allclose(found, loss)
    assert torch.allclose(torch.stack([up, down]), sums.grad, atol=1e-12)


@pytest.mark.parametrize("strength", [1.0, 3.0])
def test_ff_gradients_are_those_of_autograd(batch, strength):
    x, y = batch
    net = FFNet(784, 30, 20, 25, label_strength=strength).double()
    for layer in net.layers:
        torch.nn.init.normal_(layer.bias, std=0.1)
    torch.manual_seed(1)
    losses = ff_gradients(net, x, y, SCALE)
    grads = [p.grad.clone() for p in net.parameters()]
    torch.manual_seed(1)
    with torch.no_grad():
        wrong = sample_wrong_labels(SCALE * label_goodness(net, x), y)
    positive, negative = (overlay(x, k, 10, strength) for k in (y, wrong))
    net.zero_grad()
    for k, layer in enumerate(net.layers):
        positive, negative = layer(positive.detach()), layer(negative.detach())
        loss = pair_loss(positive, negative, scale=SCALE)
        loss.backward()
        assert abs(loss.item() - losses[k].item()) < 1e-9
    for grad, parameter in zip(grads, net.parameters(), strict=True):
        assert relative(grad, parameter.grad) < 1e-6


def test_broadcast_gradients_are_those_of_autograd(batch):
    x, y = batch
    net = BroadcastNet(784, 30, 20, 25).double()
    torch.manual_seed(1)
    losses = broadcast_gradients(net, x, y, SCALE)
    grads = [p.grad.clone() for p in net.parameters()]

    class Nothing(torch.optim.SGD):
        def step(self):
            pass

    optimizers = [Nothing(layer.parameters(), lr=1.0) for layer in net.layers]
    torch.manual_seed(1)
    expected = broadcast_step(net, optimizers, x, y, SCALE)
    assert torch.allclose(losses, expected, atol=1e-9)
    for grad, parameter in zip(grads, net.parameters(), strict=True):
        assert relative(grad, parameter.grad) < 1e-6


def test_half_precision_is_in_products_alone(batch):
    x, y = batch[0].float(), torch.zeros_like(batch[1])
    for net, gradients in (
        (BroadcastNet(784, 200, 200, n_classes=2), broadcast_gradients),
        (FFNet(784, 200, 200, n_classes=2), ff_gradients),
    ):  # of two classes, so that both precisions draw the same wrong label
        found = []
        for half in (True, False):
            gradients(net, x, y, SCALE, half)
            found.append([p.grad for p in net.parameters()])
        for rough, exact in zip(*found, strict=True):
            assert rough.dtype == torch.float32
            assert 0 < relative(rough, exact) < 0.05


@pytest.mark.parametrize("make", [FFNet, BroadcastNet])
def test_it_learns(make):
    train, test = load_digits()
    torch.manual_seed(0)
    net = make(784, 100, 100)
    losses = fast_train(net, train, epochs=40, batch_size=64, progress=False)
    assert losses.shape == (40, 2) and (losses[-1] < losses[0] / 4).all()
    if make is FFNet:
        scores = label_goodness(net, test.images)
    else:
        scores = broadcast_goodness_per_layer(net, test.images).sum(dim=2)
    assert (scores.argmax(dim=1) != test.labels).float().mean() < 0.1


def test_the_same_seed_gives_the_same_net():
    train, _ = load_digits()
    weights = []
    for _ in range(2):
        torch.manual_seed(3)
        net = FFNet(784, 20, 20)
        fast_train(net, train, epochs=1, half=False, progress=False)
        weights.append(net.layers[1].weight.detach().clone())
    assert torch.equal(*weights)


def test_any_iterable_of_batches_will_do():
    train, _ = load_digits()
    pairs = list(zip(train.images.split(100), train.labels.split(100), strict=True))
    losses = fast_train(FFNet(784, 20), pairs, epochs=2, progress=False)
    assert losses.isfinite().all()


@pytest.mark.parametrize(
    "net",
    [
        FFNet(784, 20, goodness=lambda h: h.abs().mean(dim=1)),
        FFNet(784, 20, normalize=lambda h: h),
        FFNet(784, torch.nn.Linear(784, 20)),
        FFNet(784, 20, overlay=lambda x, y, *rest: x),
    ],
)
def test_a_net_with_pieces_of_its_own_is_refused(net):
    with pytest.raises(TypeError, match="use ffutils.train"):
        fast_train(net, load_digits()[0], epochs=1)


def test_bad_data_are_refused():
    x, y = load_digits()[0]
    with pytest.raises(ValueError, match="labels"):
        fast_train(FFNet(784, 20), Split(x, y + 5), epochs=1)
    with pytest.raises(ValueError, match="epochs"):
        fast_train(FFNet(784, 20), Split(x, y), epochs=0)


def test_ctrl_c_keeps_what_was_learnt(capsys):
    def interrupt(x):
        raise KeyboardInterrupt

    net = FFNet(784, 20)
    losses = fast_train(net, load_digits()[0], epochs=2, augment=interrupt)
    assert losses.isnan().all() and "Stopped" in capsys.readouterr().out


def test_precision_is_chosen_by_the_clock():
    assert bfloat16_is_quicker(torch.device("cpu")) in (True, False)
