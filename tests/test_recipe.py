"""Chapter 06's tricks do what they say."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ffutils import (
    RECIPE,
    FFLayer,
    FFNet,
    Split,
    cosine_decay,
    drop_pixels,
    goodness,
    hard_negatives,
    jitter,
    label_goodness_first_layer,
    normalize,
    overlay,
    pair_loss,
    sample_wrong_labels,
    train,
)
from ffutils.recipe import is_by_the_book


@pytest.fixture
def net():
    return FFNet(784, 40, 30)


# Goodness of the first layer


@pytest.mark.parametrize("label_strength", [0.0, 1.0, 3.0])
@pytest.mark.parametrize("n_classes", [2, 10, 26])
def test_the_shared_first_layer_equals_an_overlay_for_each_label(
    label_strength, n_classes
):
    net = FFNet(784, 40, n_classes=n_classes, label_strength=label_strength)
    torch.nn.init.normal_(net.layers[0].bias)
    x = torch.rand(7, 784)
    x[0] = 0  # a black image is no exception
    assert is_by_the_book(net)
    scores = label_goodness_first_layer(net, x)
    assert scores.shape == (7, n_classes)
    for k in range(n_classes):
        written = overlay(x, torch.full((7,), k), n_classes, label_strength)
        torch.testing.assert_close(scores[:, k], goodness(net.layers[0](written)))


class MyLayer(FFLayer):
    def forward(self, x):
        return 2 * super().forward(x)


OWN = {
    "overlay": ((30,), {"overlay": lambda x, y, n, s: overlay(x, y, n, 2 * s)}),
    "normalize": ((30,), {"normalize": lambda h: normalize(h.sqrt())}),
    "goodness": ((30,), {"goodness": lambda h: h.abs().sum(dim=1)}),
    "layer": ((MyLayer(784, 30),), {}),
    "layer's normalize": ((FFLayer(784, 30, normalize=lambda h: 2 * h),), {}),
}


@pytest.mark.filterwarnings("ignore:this .*FFLayer keeps the normalize")
@pytest.mark.parametrize(("sizes", "settings"), OWN.values(), ids=OWN)
def test_a_net_of_ones_own_is_asked_label_by_label(sizes, settings):
    net, x = FFNet(784, *sizes, **settings), torch.rand(4, 784)
    assert not is_by_the_book(net)
    scores = label_goodness_first_layer(net, x)
    assert scores.shape == (4, 10)
    for k in range(10):
        h = net.layers[0](net.write_label(x, torch.full((4,), k)))
        torch.testing.assert_close(scores[:, k], net.goodness(h))
    plain = FFNet(784, 30)
    plain.layers[0].load_state_dict(net.layers[0].state_dict())
    assert not torch.allclose(scores, label_goodness_first_layer(plain, x))


@pytest.mark.parametrize(
    ("dtype", "share"), [(torch.float16, 0.002), (torch.bfloat16, 0.006)]
)
@pytest.mark.parametrize("how", ["autocast", "weights"])
def test_half_precision_is_for_the_product_alone(dtype, share, how):
    """The differences between the labels, which decide, hold at a width of 2000."""
    net, x = FFNet(784, 2000), torch.rand(50, 784)
    expected = label_goodness_first_layer(net, x)
    if how == "weights":
        scores = label_goodness_first_layer(copy.deepcopy(net).to(dtype), x.to(dtype))
    else:
        with torch.autocast("cpu", dtype):
            scores = label_goodness_first_layer(net, x)
    assert scores.dtype == torch.float32
    error, expected = (s - s.mean(dim=1, keepdim=True) for s in (scores, expected))
    assert (error - expected).std() < share * expected.std()


# Hard negatives


def test_hard_negatives_are_never_true_even_where_the_true_label_is_certain(net):
    x, y = torch.rand(500, 784), torch.randint(0, 10, (500,))
    with torch.no_grad():
        net.layers[0].weight[:, 3] = 5.0  # label 3 wins everywhere
    y[:250] = 3
    for _ in range(5):
        wrong = hard_negatives(net, x, y)
        assert (wrong != y).all()
    assert (wrong[250:][y[250:] != 3] == 3).all()


def test_hard_negatives_are_drawn_in_proportion():
    net = FFNet(784, 20)
    x = torch.zeros(1, 784)
    with torch.no_grad():
        net.layers[0].weight.zero_()
        # The only ink is the label, of RMS 1: an activation of 0.1.
        net.layers[0].weight[:, 1] = 1 / 28 * 0.1
    assert abs(label_goodness_first_layer(net, x)[0, 1].item() - 0.01) < 1e-6
    y = torch.zeros(20000, dtype=torch.int64)
    wrong = hard_negatives(net, x.expand(20000, -1), y, scale=200.0)
    expected = torch.e**2 / (torch.e**2 + 8)  # a goodness of 0.01 against eight of 0
    assert abs((wrong == 1).float().mean() - expected) < 0.02


def test_labels_are_drawn_as_multinomial_draws_them():
    """Bit for bit, so that stored runs with a seed still hold."""
    scores, y = 3 * torch.randn(300, 10), torch.arange(300) % 10
    torch.manual_seed(7)
    wrong = sample_wrong_labels(scores, y)
    torch.manual_seed(7)
    probabilities = scores.scatter(1, y[:, None], -torch.inf).softmax(dim=1)
    assert torch.equal(wrong, torch.multinomial(probabilities, 1).squeeze(1))


@given(
    n_classes=st.integers(2, 30),
    scale=st.sampled_from([0.0, 1e-3, 1.0, 30.0, 1e4, 1e30]),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    seed=st.integers(0, 1000),
)
def test_a_sampled_label_is_wrong_whatever_the_scores(n_classes, scale, dtype, seed):
    torch.manual_seed(seed)
    y = torch.arange(200) % n_classes
    wrong = sample_wrong_labels(scale * torch.randn(200, n_classes, dtype=dtype), y)
    assert wrong.dtype == torch.int64 and wrong.shape == (200,)
    assert (wrong != y).all() and wrong.min() >= 0 and wrong.max() < n_classes


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_sampling_survives_scores_that_are_no_numbers(value):
    """Until the end of the epoch, where divergence is noticed; on a GPU, too."""
    scores = torch.randn(20, 10)
    scores[::2] = value
    wrong = sample_wrong_labels(scores, torch.arange(20) % 10)
    assert wrong.min() >= 0 and wrong.max() < 10


# The rest of the recipe


def test_pair_loss_by_hand():
    # Their goodness is 2 and 1, and ln(1 + 1/e) = 0.31326.
    positive, negative = torch.tensor([[2.0, 0.0]]), torch.tensor([[1.0, 1.0]])
    assert abs(pair_loss(positive, negative, scale=1.0) - 0.31326) < 1e-4
    assert abs(pair_loss(positive, positive) - 0.69315) < 1e-4
    assert pair_loss(negative, positive) > 29


def test_pair_loss_takes_the_goodness_that_it_is_given():
    positive, negative = torch.rand(2, 5, 4)
    loss = pair_loss(positive, negative, lambda h: h[:, 0], scale=2.0)
    difference = positive[:, 0] - negative[:, 0]
    expected = torch.nn.functional.softplus(-2 * difference).mean()
    torch.testing.assert_close(loss, expected)


def test_cosine_decay_falls_from_one_to_zero():
    factors = [cosine_decay(k / 10) for k in range(11)]
    assert factors[0] == 1 and abs(factors[5] - 0.5) < 1e-9 and abs(factors[10]) < 1e-9
    assert factors == sorted(factors, reverse=True)


def test_jitter_shifts_whole_images_by_every_amount():
    x = torch.zeros(900, 784)
    x[:, 14 * 28 + 14] = 1
    spots = jitter(x, 1).argmax(dim=1)
    shifts = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1)]
    expected = {(14 + down) * 28 + 14 + right for down, right in shifts}
    assert set(spots.tolist()) == expected
    assert spots.bincount().max() < 150  # 100 expected of each of the nine


def test_jitter_brings_in_black_and_leaves_its_input():
    x = torch.ones(50, 784)
    shifted = jitter(x, 2).view(-1, 28, 28)
    assert (x == 1).all()
    assert ((shifted == 0) | (shifted == 1)).all()
    assert (shifted[:, 2:26, 2:26] == 1).all() and (shifted[:, 0, 0] == 0).any()


@given(
    side=st.integers(1, 33),
    channels=st.sampled_from([1, 2, 3, 4]),
    pixels=st.integers(1, 5),
    dtype=st.sampled_from(
        [torch.float16, torch.bfloat16, torch.float32, torch.float64]
    ),
)
def test_jitter_is_a_slice_of_the_padded_image(side, channels, pixels, dtype):
    """For every size and number of channels, which are all shifted alike."""
    image = torch.rand(3, channels, side, side).to(dtype)
    padded = torch.nn.functional.pad(image, 4 * (pixels,))
    shifted = jitter(image.flatten(1), pixels, channels)
    assert shifted.dtype == dtype and shifted.shape == (3, channels * side * side)
    shifted = shifted.view(3, channels, side, side)
    for k in range(3):
        assert any(
            torch.equal(
                shifted[k], padded[k, :, down : down + side, right : right + side]
            )
            for down in range(2 * pixels + 1)
            for right in range(2 * pixels + 1)
        )


def test_dropped_pixels():
    x = torch.full((100, 784), 0.5)
    dropped = drop_pixels(x, 0.3)
    assert abs((dropped == 0).float().mean() - 0.3) < 0.01
    assert set(dropped.unique().tolist()) == {0.0, 0.5}
    assert torch.equal(drop_pixels(x, 0), x)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_dropping_pixels_keeps_the_dtype(dtype):
    x = torch.rand(5, 3072).to(dtype)
    assert drop_pixels(x).dtype == dtype


def test_bad_input(net):
    x, y = torch.rand(4, 784), torch.tensor([0, 1, 2, 3])
    with pytest.raises(ValueError, match=r"labels must have the shape \(4,\)"):
        hard_negatives(net, x, y[:3])
    with pytest.raises(ValueError, match=r"shape \(batch, 784\), got \(4, 783\)"):
        hard_negatives(net, x[:, 1:], y)
    with pytest.raises(TypeError, match="images must be a floating-point tensor"):
        hard_negatives(net, x.numpy(), y)
    with pytest.raises(ValueError, match="pixels must be a whole number"):
        jitter(x, 0)


# In training


def test_the_recipe_learns():
    prototypes = torch.rand(10, 784)
    y = torch.arange(400) % 10
    x = prototypes[y] * 0.5 + 0.5 * torch.rand(400, 784)
    net = FFNet(784, 30, 30)
    settings = RECIPE | {"epochs": 20, "batch_size": 40}
    losses = train(net, Split(x, y), **settings, progress=False)
    assert losses[-1, 0] < 0.5 * losses[0, 0]


def test_the_schedule_is_asked_before_every_epoch():
    asked = []

    def schedule(fraction):
        asked.append(fraction)
        return 0.0 if fraction > 0 else 1.0

    net, weights = FFNet(784, 5), []

    def record(net, epoch, losses):
        weights.append(net.layers[0].weight.detach().clone())

    split = Split(torch.rand(20, 784), torch.arange(20) % 10)
    train(
        net, split, epochs=4, lr_schedule=schedule, progress=False, on_epoch=record
    )  # fmt: skip
    assert asked == [0, 0.25, 0.5, 0.75]
    assert torch.equal(weights[0], weights[3])  # a factor of 0 stops the learning


def test_augment_sees_images_without_labels_and_each_once():
    images = []

    def listen(x):
        images.append(x)
        return x

    split = Split(torch.zeros(20, 784), torch.arange(20) % 10)
    train(FFNet(784, 5), split, epochs=1, augment=listen, progress=False)
    assert all((x == 0).all() for x in images) and sum(map(len, images)) == 20
