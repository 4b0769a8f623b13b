"""Chapter 10's net: a state worked out by hand, locality, and what it refuses."""

import pytest
import torch

from ffutils import goodness, normalize, pair_loss
from ffutils.recurrent import RecurrentNet, goodness_over_time, recurrent_loss


@pytest.fixture
def two_units():
    """Two layers of one unit, above eleven pixels and below two labels."""
    net = RecurrentNet(11, 1, 1, 2, damping=0.25, label_strength=4.0)
    with torch.no_grad():
        net.up[0].weight.copy_(torch.tensor([10 * [1.0] + [2.0]]))
        net.up[0].bias.fill_(0.5)
        net.up[1].weight.fill_(-3.0)
        net.up[1].bias.fill_(0.25)
        net.down[0].weight.fill_(2.0)
        net.down[1].weight.copy_(torch.tensor([[0.5, 1.5]]))
    return net


def test_two_units_worked_by_hand(two_units):
    """Ten black pixels and a white one, which at RMS 1 is √11."""
    x, labels = torch.tensor([10 * [0.0] + [1.0]]), torch.tensor([[0], [1]])
    image = 2 * 11**0.5 + 0.5  # what the first unit adds up
    with torch.no_grad():
        first, second = two_units(x, labels, steps=2)
    # At the start the lower unit is at `image`, the upper one off: ReLU(-3 + 0.25) = 0.
    # A state that is on is seen as 1.
    # Step 1: nothing comes down yet. Above, the label gives 4 · 0.5 or 4 · 1.5, less
    # what comes up.
    low = 0.25 * image + 0.75 * image
    high = [0.75 * max(0, 2 + 0.25 - 3), 0.75 * (6 + 0.25 - 3)]
    torch.testing.assert_close(first[0].flatten(), torch.tensor([low, low]))
    torch.testing.assert_close(first[1].flatten(), torch.tensor(high))
    # Step 2: with the second label the upper unit is on, and gives 2 to the lower one.
    expected = torch.tensor([image, 0.25 * low + 0.75 * (image + 2)])
    torch.testing.assert_close(second[0].flatten(), expected)
    expected = torch.tensor([0.0, 0.25 * high[1] + high[1]])
    torch.testing.assert_close(second[1].flatten(), expected)


def test_updates_are_synchronous(two_units):
    """Both layers see each other's old states: not one after the other."""
    image, states = (
        torch.tensor([[1.0]]),
        [torch.tensor([[2.0]]), torch.tensor([[0.0]])],
    )
    with torch.no_grad():
        low, high = two_units.step(states, image, torch.tensor([[5.0]]))
    assert low.item() == pytest.approx(0.25 * 2 + 0.75 * 1)  # nothing came down
    assert high.item() == pytest.approx(0.75 * (5 - 3 + 0.25))


def test_no_gradient_crosses_layers_or_steps():
    net = RecurrentNet(784, 6, 5, 10)
    *_, last = net(torch.rand(4, 784), torch.arange(4)[None], steps=3)
    goodness(last[1]).sum().backward()
    for linear in (net.up[0], net.down[0]):  # those that end in the lower layer
        assert linear.weight.grad is None
    for linear in (net.up[1], net.down[1]):
        assert linear.weight.grad.abs().sum() > 0


def test_rows_are_label_by_label():
    """The images run fastest: row j · B + i is image i with labels[j, i]."""
    net = RecurrentNet(20, 6, 5, 4)
    x, labels = torch.rand(3, 20), torch.tensor([[0, 1, 2], [3, 3, 0]])
    with torch.no_grad():
        *_, together = net(x, labels, steps=3)
        for j in range(2):
            for i in range(3):
                *_, alone = net(x[i : i + 1], labels[j : j + 1, i : i + 1], steps=3)
                for h, one in zip(together, alone, strict=True):
                    torch.testing.assert_close(h[3 * j + i], one[0])


def test_the_loss_adds_all_layers_and_steps():
    net = RecurrentNet(784, 6, 5, 10)
    x, y, wrong = torch.rand(4, 784), torch.arange(4), torch.arange(4) + 1
    assert recurrent_loss(net, x, y, y, steps=3).item() == pytest.approx(
        3 * 2 * torch.log(torch.tensor(2.0)).item()
    )
    expected = 0
    for true, false in zip(net(x, y[None], 3), net(x, wrong[None], 3), strict=True):
        for h, other in zip(true, false, strict=True):
            expected = expected + pair_loss(h, other, scale=7.0)
    torch.testing.assert_close(recurrent_loss(net, x, y, wrong, 3, 7.0), expected)


def test_goodness_over_time_is_that_of_each_label_and_image():
    net = RecurrentNet(784, 6, 5, 10)
    x = torch.rand(5, 784)
    over_time = goodness_over_time(net, x, steps=4, batch_size=2)
    assert over_time.shape == (5, 10, 2, 4)
    with torch.no_grad():
        *_, last = net(x[3:4], torch.tensor([[7]]), steps=4)
    expected = torch.stack([goodness(h)[0] for h in last])
    torch.testing.assert_close(over_time[3, 7, :, 3], expected)


@pytest.mark.parametrize("n_classes", [2, 3, 26])
def test_any_number_of_classes(n_classes):
    net = RecurrentNet(20, 6, n_classes)
    x, y = torch.rand(5, 20), torch.arange(5) % n_classes
    assert net.n_classes == n_classes
    assert goodness_over_time(net, x, steps=2).shape == (5, n_classes, 1, 2)
    recurrent_loss(net, x, y, (y + 1) % n_classes, steps=2).backward()


def test_what_the_net_was_given_is_what_is_used():
    """Its own normalize at each step; its own goodness in the loss and afterwards."""
    heard = []

    def watched_normalize(h):
        heard.append(h.shape)
        return normalize(h)

    torch.manual_seed(1)
    net = RecurrentNet(
        20, 6, 5, 4, normalize=watched_normalize, goodness=lambda h: h[:, 0]
    )
    torch.manual_seed(1)
    usual = RecurrentNet(20, 6, 5, 4)
    x, y = torch.rand(3, 20), torch.tensor([0, 1, 2])
    first = goodness_over_time(net, x, steps=2)
    assert heard[:2] == [(3, 20), (3, 6)] and len(heard) == 2 + 2 * 2
    with torch.no_grad():
        *_, last = usual(x, torch.tensor([[3, 3, 3]]), steps=2)
    torch.testing.assert_close(first[:, 3, 1, 1], last[1][:, 0])
    assert recurrent_loss(net, x, y, y + 1) != recurrent_loss(usual, x, y, y + 1)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_dtypes_settle_too(dtype):
    net = RecurrentNet(20, 6, 5, 4).to(dtype)
    x, y = torch.rand(3, 20, dtype=dtype), torch.tensor([0, 1, 2])
    recurrent_loss(net, x, y, y + 1).backward()
    assert all(h.dtype == dtype for states in net(x, y[None], 2) for h in states)


def test_half_precision_is_for_the_products_alone():
    """The difference that a label makes is off by little: 4 to 13 % before, now 1 %."""
    net, x = RecurrentNet(784, 2000, 2000, 10), torch.rand(40, 784)
    labels = torch.stack([torch.arange(40) % 10, torch.arange(40).add(3) % 10])

    def differences():
        with torch.no_grad():
            *_, last = net(x, labels, steps=4)
        assert all(h.dtype == torch.float32 for h in last)
        return torch.stack([goodness(h[:40]) - goodness(h[40:]) for h in last])

    exact = differences()
    with torch.autocast("cpu", torch.bfloat16):
        half = differences()
    assert ((half - exact).std(dim=1) < 0.03 * exact.std(dim=1)).all()


@pytest.mark.parametrize(
    "x, labels, error, message",
    [
        (torch.rand(2, 784), torch.tensor([[0, 1, 2]]), ValueError, r"\(K, 2\)"),
        (torch.rand(2, 784), torch.tensor([0, 1]), ValueError, r"labels\[None\]"),
        (torch.rand(2, 784), torch.tensor([[0.0, 1]]), TypeError, "int64"),
        (torch.rand(2, 100), torch.tensor([[0, 1]]), ValueError, "784"),
    ],
)
def test_bad_batches_are_refused(x, labels, error, message):
    with pytest.raises(error, match=message):
        next(RecurrentNet(784, 6, 5, 10)(x, labels))


@pytest.mark.parametrize(
    "x, message",
    [
        (torch.full((2, 784), torch.nan), "NaN"),
        (2 * torch.ones(2, 784), r"\[0, 1\]"),
        (torch.rand(2, 100), "784"),
        (torch.rand(0, 784), "empty"),
    ],
)
def test_bad_images_are_refused_at_the_door(x, message):
    with pytest.raises(ValueError, match=message):
        goodness_over_time(RecurrentNet(784, 6, 5, 10), x)


@pytest.mark.parametrize("sizes", [(784, 10), (784, 0, 10), (784, 5.0, 10), ()])
def test_bad_sizes_are_refused(sizes):
    with pytest.raises(ValueError, match="hidden layer or more|whole number"):
        RecurrentNet(*sizes)
