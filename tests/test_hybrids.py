"""Chapter 08's masks and hybrids."""

import pytest
import torch

from ffutils.hybrids import blurred_masks, hybrids


def test_masks_have_both_values_and_nothing_else():
    torch.manual_seed(0)
    masks = blurred_masks(200)
    assert masks.shape == (200, 784)
    assert set(masks.unique().tolist()) == {0.0, 1.0}
    assert 0.45 < masks.mean() < 0.55


def test_one_blur_worked_by_hand(monkeypatch):
    """A lone bit in 3 x 3 becomes ¼, ⅛ beside it and 1/16 at the corners, all below ½.

    Its reverse, eight bits around a hole, becomes ¾, ⅞ and 15/16, all above.
    """
    lone = torch.zeros(1, 3, 3)
    lone[0, 1, 1] = 1
    for bits, expected in ((lone, 0.0), (1 - lone, 1.0)):
        monkeypatch.setattr(torch, "randint", lambda *size, bits=bits, **more: bits)
        assert (blurred_masks(1, side=3, blurs=1) == expected).all()


def test_blur_worked_by_hand_at_the_edge(monkeypatch):
    """A row 1 1 0 0 becomes 1, ¾, ¼, 0, as it goes on with a 1 beyond its edge."""
    bits = torch.tensor([[1.0, 1, 0, 0]]).expand(4, 4)[None]
    monkeypatch.setattr(torch, "randint", lambda *size, **more: bits)
    assert blurred_masks(1, side=4, blurs=1).tolist() == [4 * [1.0, 1, 0, 0]]
    # 1 0 0 0 becomes ¾, ¼, 0, 0. Were it black beyond the edge, the first would be ½,
    # which is not above ½.
    bits = torch.tensor([[1.0, 0, 0, 0]]).expand(4, 4)[None]
    assert blurred_masks(1, side=4, blurs=1).tolist() == [4 * [1.0, 0, 0, 0]]


def test_no_blur_leaves_the_bits():
    torch.manual_seed(0)
    masks = blurred_masks(3, blurs=0)
    torch.manual_seed(0)
    assert (masks == torch.randint(2, (3, 28, 28)).float().flatten(1)).all()


def test_patches_grow_with_the_blurs():
    torch.manual_seed(0)
    alike = []
    for blurs in (0, 3, 10, 30):
        masks = blurred_masks(200, blurs=blurs).view(-1, 28, 28)
        alike.append((masks[:, :, 1:] == masks[:, :, :-1]).float().mean().item())
    assert alike == sorted(alike) and alike[0] < 0.55 and alike[-1] > 0.9


def test_every_pixel_comes_from_exactly_one_parent():
    torch.manual_seed(0)
    x = torch.rand(50, 784)  # no two pixels are equal
    mixed = hybrids(x)
    of_own, of_other = mixed == x, mixed == x.roll(1, dims=0)
    assert (of_own ^ of_other).all()
    assert of_own.any(dim=1).all() and of_other.any(dim=1).all()


@pytest.mark.parametrize(
    "dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64]
)
def test_hybrids_keep_the_dtype(dtype):
    x = torch.rand(4, 784).to(dtype)
    mixed = hybrids(x)
    assert mixed.dtype == dtype
    assert ((mixed == x) | (mixed == x.roll(1, dims=0))).all()


def test_any_square_will_do():
    assert hybrids(torch.rand(2, 9)).shape == (2, 9)
    assert hybrids(torch.rand(5, 64)).shape == (5, 64)


def test_the_channels_of_an_image_share_its_mask():
    x = torch.rand(5, 3 * 16)
    own = (hybrids(x, blurs=1, channels=3) == x).view(5, 3, 16)
    assert (own == own[:, :1]).all() and own.any() and not own.all()


def test_hybrids_lie_where_their_images_do():
    """Whatever the default device is."""
    images = torch.rand(3, 784)
    torch.set_default_device("meta")
    try:
        assert hybrids(images).device == images.device
    finally:
        torch.set_default_device(None)


def test_masks_do_not_need_the_usual_default_dtype():
    torch.set_default_dtype(torch.float64)
    try:
        assert blurred_masks(3).dtype == torch.float32
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize(
    "x, channels, message",
    [
        (torch.rand(1, 784), 1, "at least 2"),
        (torch.rand(4, 785), 1, "square images"),
        (torch.rand(4, 3 * 32 * 32), 1, "channels=3"),
        (torch.rand(4, 784), 3, "square images of 3"),
        (torch.rand(4, 28, 28), 1, r"\(4, 28, 28\)"),
        (torch.rand(784), 1, r"\(784,\)"),
        (torch.rand(0, 784), 1, "empty"),
    ],
)
def test_bad_shapes_are_refused(x, channels, message):
    with pytest.raises(ValueError, match=message):
        hybrids(x, channels=channels)


@pytest.mark.parametrize("x", [torch.zeros(4, 784, dtype=torch.uint8), [[0.0] * 784]])
def test_what_is_no_image_is_refused(x):
    with pytest.raises(TypeError, match="floating-point tensor"):
        hybrids(x)


@pytest.mark.parametrize(
    "bad", [{"count": 0}, {"count": 3, "side": 0}, {"count": 3, "blurs": -1}]
)
def test_bad_sizes_are_refused(bad):
    with pytest.raises(ValueError, match="whole number"):
        blurred_masks(**bad)
