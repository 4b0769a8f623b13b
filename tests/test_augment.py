"""What varies the images leaves them the images that they were."""

import pytest
import torch

from experiments.trials.affine import mirror
from ffutils import load_digits
from ffutils.augment import affine


def test_affine_is_the_same_image_a_little_elsewhere():
    x = load_digits()[0].images[:200]
    assert torch.allclose(affine(x, degrees=0, share=0, pixels=0), x, atol=1e-5)
    moved = affine(x)
    assert moved.shape == x.shape and moved.min() >= 0 and moved.max() <= 1 + 1e-5
    assert (moved - x).abs().amax(dim=1).min() > 0.1  # every image, and
    ink = moved.sum(dim=1) / x.sum(dim=1)
    assert ink.min() > 0.7 and ink.max() < 1.5  # hardly any of it is lost
    assert not torch.equal(affine(x[:1].expand(2, -1))[0], affine(x[:1])[0])


def test_affine_turns_and_shifts_by_no_more_than_it_says():
    x = torch.zeros(500, 28, 28)
    x[:, 14, 14] = 1
    y = affine(x.flatten(1), degrees=0, share=0, pixels=2).view(-1, 28, 28)
    rows, columns = (y.sum(dim=d) @ torch.arange(28.0) - 14 for d in (2, 1))
    for shift in (rows, columns):
        assert 1.5 < shift.abs().max() <= 2.001 and shift.mean().abs() < 0.3
    x[:, 14, 14], x[:, 14, 24] = 0, 1
    y = affine(x.flatten(1), degrees=12, share=0, pixels=0).view(-1, 28, 28)
    rows = y.sum(dim=2) @ torch.arange(28.0) / y.sum(dim=(1, 2)) - 14
    assert 1.5 < rows.abs().max() < 2.6  # 10.5 pixels · sin 12° is 2.2


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_affine_keeps_the_dtype_and_its_input(dtype):
    x = torch.rand(5, 49).to(dtype)
    before = x.clone()
    assert affine(x).dtype == dtype and torch.equal(x, before)


def test_bad_input():
    x = torch.rand(4, 784)
    with pytest.raises(ValueError, match="expected square images of 1 channel"):
        affine(x[:, 1:])
    with pytest.raises(ValueError, match="degrees must be a finite number"):
        affine(x, degrees=-1)
    with pytest.raises(ValueError, match="share must be a finite number"):
        affine(x, share=1)
    with pytest.raises(ValueError, match="pixels must be a finite number"):
        affine(x, pixels=-0.5)


def test_half_of_the_images_are_mirrored_left_to_right():
    x = torch.arange(9.0).expand(1000, -1)
    before, y = x.clone(), mirror(x)
    seen_from_behind = torch.tensor([2.0, 1, 0, 5, 4, 3, 8, 7, 6])
    kept, mirrored = (y == x).all(dim=1), (y == seen_from_behind).all(dim=1)
    assert (kept ^ mirrored).all() and torch.equal(x, before)
    assert 400 < mirrored.sum() < 600
