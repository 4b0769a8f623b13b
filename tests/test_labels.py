"""Chapter 02's module: labels in the first ten pixels, and wrong ones that are never the true one."""

import torch

from ffutils.labels import neutral, overlay, wrong_labels


def test_overlay_writes_one_pixel_and_clears_the_nine_others():
    x = torch.tensor([[0.5] * 10 + [0.25, 0.75], [1.0] * 12])
    expected = torch.tensor([[0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0.25, 0.75], [0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1]])
    assert torch.equal(overlay(x, torch.tensor([2, 9])), expected)


def test_overlay_writes_the_strength_that_was_asked_for():
    marked = overlay(torch.zeros(1, 12), torch.tensor([0]), strength=0.3)
    assert torch.equal(marked, torch.tensor([[0.3] + [0.0] * 11]))


def test_neutral_spreads_the_strength_over_ten_pixels():
    x = torch.tensor([[0.5] * 10 + [0.25, 0.75]])
    assert torch.equal(neutral(x), torch.tensor([[0.1] * 10 + [0.25, 0.75]]))
    assert torch.equal(neutral(x, strength=2.0), torch.tensor([[0.2] * 10 + [0.25, 0.75]]))


def test_the_input_is_left_as_it_was():
    x, y = torch.rand(5, 12), torch.tensor([0, 1, 2, 3, 9])
    x_before, y_before = x.clone(), y.clone()
    overlay(x, y)
    neutral(x)
    wrong_labels(y)
    assert torch.equal(x, x_before)
    assert torch.equal(y, y_before)


def test_the_dtype_is_kept():
    x, y = torch.rand(2, 12, dtype=torch.float64), torch.tensor([1, 2])
    assert overlay(x, y).dtype == neutral(x).dtype == torch.float64
    assert wrong_labels(y).dtype == torch.int64


def test_wrong_labels_are_never_the_true_ones():
    torch.manual_seed(0)
    y = torch.arange(10).repeat(10_000)
    wrong = wrong_labels(y)
    assert not (wrong == y).any()
    assert wrong.min() == 0
    assert wrong.max() == 9


def test_wrong_labels_are_uniform_over_the_nine_others():
    torch.manual_seed(0)
    for label in range(10):
        counts = wrong_labels(torch.full((9_000,), label)).bincount(minlength=10).double()
        others = torch.cat([counts[:label], counts[label + 1 :]])
        chi_square = ((others - 1_000) ** 2 / 1_000).sum()
        assert chi_square < 26.1, f"label {label}: beyond the 0.1 % bound of chi-square with 8 degrees of freedom"


def test_wrong_labels_repeat_with_the_seed_and_change_with_each_draw():
    y = torch.arange(10).repeat(10)
    torch.manual_seed(1)
    first, second = wrong_labels(y), wrong_labels(y)
    torch.manual_seed(1)
    assert torch.equal(wrong_labels(y), first)
    assert not torch.equal(first, second)
