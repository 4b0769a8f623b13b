"""Chapter 10's net: a state worked out by hand, locality, and what it refuses."""

import pytest
import torch

from ffutils import goodness
from ffutils.recurrent import RecurrentNet, goodness_over_time, recurrent_loss


@pytest.fixture
def two_units():
    """Two layers of one unit, above eleven pixels and below two labels."""
    net = RecurrentNet(11, 1, 1, 2, damping=0.25, strength=4.0)
    with torch.no_grad():
        net.up[0].weight.copy_(torch.tensor([10 * [1.0] + [2.0]]))
        net.up[0].bias.fill_(0.5)
        net.up[1].weight.fill_(-3.0)
        net.up[1].bias.fill_(0.25)
        net.down[0].weight.fill_(2.0)
        net.down[1].weight.copy_(torch.tensor([[0.5, 1.5]]))
    return net


def test_two_units_worked_by_hand(two_units):
    """Ten black pixels and a white one: at RMS 1 the latter is √11, so that it drives the first unit with 2√11 + 0.5."""
    x, labels = torch.tensor([10 * [0.0] + [1.0]]), torch.tensor([[0], [1]])
    drive = 2 * 11**0.5 + 0.5
    with torch.no_grad():
        first, second = two_units(x, labels, steps=2)
    # At the start the lower unit is at `drive`, the upper one off: ReLU(-3 + 0.25) = 0. A state that is on is seen as 1.
    # Step 1: below nothing new comes down; above, the label gives 4 · 0.5 or 4 · 1.5, less what comes up.
    low = 0.25 * drive + 0.75 * drive
    high = [0.75 * max(0, 2 + 0.25 - 3), 0.75 * (6 + 0.25 - 3)]
    torch.testing.assert_close(first[0].flatten(), torch.tensor([low, low]))
    torch.testing.assert_close(first[1].flatten(), torch.tensor(high))
    # Step 2: with the second label the upper unit is on, and gives 2 to the lower one.
    torch.testing.assert_close(second[0].flatten(), torch.tensor([drive, 0.25 * low + 0.75 * (drive + 2)]))
    torch.testing.assert_close(second[1].flatten(), torch.tensor([0.0, 0.25 * high[1] + high[1]]))


def test_updates_are_synchronous(two_units):
    """Both layers see each other's old states: a step of all is not a step of one after the other."""
    image, states = torch.tensor([[1.0]]), [torch.tensor([[2.0]]), torch.tensor([[0.0]])]
    with torch.no_grad():
        low, high = two_units.step(states, image, torch.tensor([[5.0]]))
    assert low.item() == pytest.approx(0.25 * 2 + 0.75 * 1)  # the old upper state was 0, so nothing came down
    assert high.item() == pytest.approx(0.75 * (5 - 3 + 0.25))


def test_no_gradient_crosses_layers_or_steps():
    torch.manual_seed(0)
    net = RecurrentNet(784, 6, 5, 10)
    x, labels = torch.rand(4, 784), torch.arange(4)[None]
    *_, last = net(x, labels, steps=3)
    goodness(last[1]).sum().backward()
    assert net.up[0].weight.grad is None and net.down[0].weight.grad is None  # those of the lower layer
    assert net.up[1].weight.grad.abs().sum() > 0 and net.down[1].weight.grad.abs().sum() > 0


def test_loss_adds_all_layers_and_steps():
    torch.manual_seed(0)
    net = RecurrentNet(784, 6, 5, 10)
    x, y = torch.rand(4, 784), torch.arange(4)
    assert recurrent_loss(net, x, y, y, steps=3).item() == pytest.approx(3 * 2 * torch.log(torch.tensor(2.0)).item())


def test_goodness_over_time_is_that_of_each_label_and_image():
    torch.manual_seed(0)
    net = RecurrentNet(784, 6, 5, 10)
    x = torch.rand(5, 784)
    found = goodness_over_time(net, x, steps=4, batch_size=2)
    assert found.shape == (5, 10, 2, 4)
    with torch.no_grad():
        *_, last = net(x[3:4], torch.tensor([[7]]), steps=4)
    torch.testing.assert_close(found[3, 7, :, 3], torch.stack([goodness(h)[0] for h in last]))


@pytest.mark.parametrize(
    "x, labels, said",
    [
        (torch.rand(2, 784), torch.tensor([[0, 10]]), "10"),
        (torch.rand(2, 784), torch.tensor([[0, 1, 2]]), "3"),
        (torch.rand(2, 100), torch.tensor([[0, 1]]), "784"),
        (torch.full((2, 784), torch.nan), torch.tensor([[0, 1]]), "NaN"),
    ],
)
def test_bad_input_is_refused(x, labels, said):
    with pytest.raises(ValueError, match=said):
        next(RecurrentNet(784, 6, 5, 10)(x, labels))
