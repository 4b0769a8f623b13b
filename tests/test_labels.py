"""Chapter 02's module: labels in the first pixels, and wrong ones."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ffutils.labels import neutral, overlay, wrong_labels

DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]


def test_overlay_writes_one_pixel_and_clears_the_nine_others():
    x = torch.tensor([[0.5] * 10 + [0.25, 0.75], [1.0] * 12])
    expected = torch.zeros(2, 12)
    expected[0, 2] = expected[1, 9] = 1
    expected[:, 10:] = x[:, 10:]
    assert torch.equal(overlay(x, torch.tensor([2, 9])), expected)


def test_overlay_writes_the_strength_that_was_asked_for():
    written = overlay(torch.zeros(1, 12), torch.tensor([0]), label_strength=0.3)
    assert torch.equal(written, torch.tensor([[0.3] + [0.0] * 11]))


def test_neutral_spreads_the_strength_over_ten_pixels():
    x = torch.tensor([[0.5] * 10 + [0.25, 0.75]])
    assert torch.equal(neutral(x), torch.tensor([[0.1] * 10 + [0.25, 0.75]]))
    strong = neutral(x, label_strength=2.0)
    assert torch.equal(strong, torch.tensor([[0.2] * 10 + [0.25, 0.75]]))


@given(
    n_classes=st.integers(2, 40),
    rest=st.integers(1, 9),
    # Those below 1e-38 count as 0.
    strength=st.floats(-4, 4, width=32, allow_subnormal=False),
    dtype=st.sampled_from(DTYPES),
)
def test_any_number_of_classes_any_strength_any_dtype(n_classes, rest, strength, dtype):
    x = torch.rand(2 * n_classes, n_classes + rest).to(dtype)
    y = torch.arange(n_classes).repeat(2)
    written = overlay(x, y, n_classes, strength)
    lit = torch.eye(n_classes, dtype=dtype).repeat(2, 1) * strength
    assert written.dtype == dtype and torch.equal(written[:, :n_classes], lit)
    assert torch.equal(written[:, n_classes:], x[:, n_classes:])
    blank = neutral(x, n_classes, strength)
    share = torch.full((), strength / n_classes, dtype=dtype)
    assert blank.dtype == dtype and (blank[:, :n_classes] == share).all()
    assert torch.equal(blank[:, n_classes:], x[:, n_classes:])
    wrong = wrong_labels(y, n_classes)
    assert wrong.dtype == torch.int64 and (wrong != y).all()
    assert wrong.min() >= 0 and wrong.max() < n_classes


def test_the_input_is_left_as_it_was():
    x, y = torch.rand(5, 12), torch.tensor([0, 1, 2, 3, 9])
    x_before, y_before = x.clone(), y.clone()
    overlay(x, y)
    neutral(x)
    wrong_labels(y)
    assert torch.equal(x, x_before)
    assert torch.equal(y, y_before)


@pytest.mark.parametrize("n_classes", [2, 3, 10, 26])
def test_wrong_labels_are_never_the_true_ones_and_reach_all_others(n_classes):
    y = torch.arange(n_classes).repeat(5_000)
    wrong = wrong_labels(y, n_classes)
    assert not (wrong == y).any()
    for label in range(n_classes):
        others = [k for k in range(n_classes) if k != label]
        assert wrong[y == label].unique().tolist() == others


def test_wrong_labels_are_uniform_over_the_nine_others():
    for label in range(10):
        wrong = wrong_labels(torch.full((9_000,), label))
        counts = wrong.bincount(minlength=10).double()
        others = torch.cat([counts[:label], counts[label + 1 :]])
        chi_square = ((others - 1_000) ** 2 / 1_000).sum()
        # The 0.1 % bound of chi-square with 8 degrees of freedom.
        assert chi_square < 26.1, f"label {label}"


def test_wrong_labels_repeat_with_the_seed_and_change_with_each_draw():
    y = torch.arange(10).repeat(10)
    torch.manual_seed(1)
    first, second = wrong_labels(y), wrong_labels(y)
    torch.manual_seed(1)
    assert torch.equal(wrong_labels(y), first)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("label", [-1, 3, 10])
def test_a_label_of_no_class_is_not_written(label):
    """An inner function reads no value; PyTorch itself refuses this one."""
    with pytest.raises(RuntimeError, match="out of bounds"):
        overlay(torch.rand(2, 12), torch.tensor([0, label]), n_classes=3)
