"""Chapter 01's module: the digits, the splits, and batches of anything."""

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from ffutils.data import Split, batches, load_dataset, load_digits, split_validation

# The digits


def test_digits_have_the_shape_of_mnist():
    train, test = load_digits()
    assert train.images.shape == (1500, 784)
    assert test.images.shape == (297, 784)
    for images, labels in (train, test):
        assert images.dtype == torch.float32
        assert labels.dtype == torch.int64
        assert images.min() == 0
        assert 0.9 < images.max() <= 1
        assert labels.unique().tolist() == list(range(10))


def test_digits_have_a_blank_border_for_the_label():
    for images, _ in load_digits():
        images = images.view(-1, 28, 28).clone()
        images[:, 4:24, 4:24] = 0
        assert not images.any()


def test_digits_are_the_same_on_each_call_and_leave_the_generator_alone():
    first, state = load_digits(), torch.get_rng_state()
    torch.manual_seed(99)
    second = load_digits()
    torch.set_rng_state(state)
    for a, b in zip(first, second, strict=True):
        assert torch.equal(a.images, b.images)
        assert torch.equal(a.labels, b.labels)


def test_no_digit_is_in_both_splits():
    train, test = load_digits()
    known = {image.numpy().tobytes() for image in train.images}
    assert not any(image.numpy().tobytes() in known for image in test.images)


@pytest.mark.parametrize("where", ["cpu", "meta"])
def test_the_tensors_lie_where_they_were_asked_for(where):
    _, train, test = load_dataset("digits", device=where)
    for tensor in (*train, *test):
        assert tensor.device.type == where


# Splits


def test_a_sixth_is_set_aside_for_validation_and_no_row_is_lost():
    rows = torch.arange(60_000)
    train, validation = split_validation(Split(rows[:, None].float(), rows % 10))
    assert (len(train.labels), len(validation.labels)) == (50_000, 10_000)
    together = torch.cat([train.images, validation.images]).flatten()
    assert torch.equal(together.sort().values, rows.float())
    for images, labels in (train, validation):
        assert torch.equal(images.flatten().long() % 10, labels)
    # Drawn at random, not cut off at the end.
    assert validation.labels.bincount().min() > 900


def test_the_rows_set_aside_are_those_of_the_stored_runs():
    _, validation = split_validation(
        Split(torch.zeros(60_000, 1), torch.arange(60_000))
    )
    generator = torch.Generator().manual_seed(0)
    order = torch.randperm(60_000, generator=generator)
    assert torch.equal(validation.labels, order[:10_000])


def test_the_split_is_the_same_on_each_call_and_leaves_the_generator_alone():
    split = Split(torch.rand(30, 12), torch.arange(30) % 10)
    first, state = split_validation(split), torch.get_rng_state()
    second = split_validation(split)
    assert torch.equal(torch.get_rng_state(), state)
    for a, b in zip(first, second, strict=True):
        assert torch.equal(a.images, b.images)
    assert [len(part.labels) for part in first] == [25, 5]


# Batches of a split


def test_batches_cover_each_row_once_with_its_label():
    split = Split(torch.arange(10.0)[:, None], torch.arange(10))
    parts = list(batches(split, 4))
    assert [len(y) for _, y in parts] == [4, 4, 2]
    labels = torch.cat([y for _, y in parts])
    assert labels.sort().values.tolist() == list(range(10))
    assert labels.tolist() != list(range(10))
    assert torch.equal(torch.cat([x for x, _ in parts]).flatten().long(), labels)


def test_batches_keep_the_order_where_shuffle_is_off():
    split = Split(torch.arange(10.0)[:, None], torch.arange(10))
    labels = [y.tolist() for _, y in batches(split, 4, shuffle=False)]
    assert labels == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_batches_follow_the_seed():
    split = Split(torch.arange(50.0)[:, None], torch.arange(50))
    orders = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        orders.append(torch.cat([y for _, y in batches(split, 8)]).tolist())
    assert orders[0] == orders[1] != orders[2]


def test_the_order_is_drawn_on_the_cpu_wherever_the_data_lie():
    """So that a seed means the same batches on every machine."""
    torch.manual_seed(1)
    order = torch.randperm(50)
    torch.manual_seed(1)
    split = Split(torch.arange(50.0)[:, None], torch.arange(50))
    assert torch.equal(torch.cat([y for _, y in batches(split, 8)]), order)
    torch.manual_seed(1)
    list(batches(Split(split.images.to("meta"), split.labels.to("meta")), 8))
    after = torch.get_rng_state()
    torch.manual_seed(1)
    torch.randperm(50)
    assert torch.equal(torch.get_rng_state(), after)


@pytest.mark.parametrize("size", [0, -1])
def test_batches_need_a_size_of_at_least_1(size):
    message = f"batch_size must be a whole number of at least 1, got {size}"
    with pytest.raises(ValueError, match=message):
        next(batches(Split(torch.rand(3, 12), torch.arange(3)), size))


# Batches of anything else


@pytest.mark.parametrize("box", [list, tuple, iter])
def test_other_batches_keep_their_size_and_order(box):
    parts = [(torch.rand(n, 12), torch.arange(n)) for n in (3, 1, 2)]
    passed = list(batches(box(parts), 2))
    for (x, y), (x_before, y_before) in zip(passed, parts, strict=True):
        assert torch.equal(x, x_before) and torch.equal(y, y_before)


def test_a_loader_brings_batches_of_its_own():
    data = TensorDataset(torch.rand(7, 12), torch.arange(7))
    passed = list(batches(DataLoader(data, batch_size=3), 100))
    assert [len(y) for _, y in passed] == [3, 3, 1]
    assert torch.equal(passed[0][0], data.tensors[0][:3])


def test_other_batches_are_moved():
    parts = [(torch.rand(3, 12), torch.arange(3))]
    ((x, y),) = batches(parts, 2, device=torch.device("meta"))
    assert x.device.type == y.device.type == "meta"
