"""The count of what is saved for the backward pass, on graphs that are known."""

import gc

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from ffutils import FFNet, overlay, pair_loss, train_batch, wrong_labels
from ffutils.memory import SavedTensorMemory

BATCH, WIDTH = 16, 10
ACTIVATIONS = 4 * BATCH * WIDTH  # bytes of one layer's activations


def chain(depth):
    return nn.Sequential(
        *(part for _ in range(depth) for part in (nn.Linear(WIDTH, WIDTH), nn.ReLU()))
    )


def test_a_product_and_a_square():
    x, w = torch.rand(BATCH, WIDTH), nn.Parameter(torch.rand(WIDTH, 3))
    with SavedTensorMemory([w]) as saved:
        # The product saves x for w's gradient, the square saves its input (16, 3).
        loss = (x @ w).square().sum()
        assert saved.now == saved.peak == 4 * BATCH * (WIDTH + 3)
        loss.backward()
    assert saved.now == 0 and saved.peak == 4 * BATCH * (WIDTH + 3)


def test_parameters_count_unless_they_are_named():
    x = torch.rand(BATCH, WIDTH, requires_grad=True)
    w = nn.Parameter(torch.rand(WIDTH, 3))
    with SavedTensorMemory() as saved:
        kept = x @ w
    assert saved.now == 4 * (BATCH * WIDTH + WIDTH * 3) and kept.requires_grad


def test_a_storage_counts_once():
    x = torch.rand(BATCH, WIDTH, requires_grad=True)
    with SavedTensorMemory() as saved:
        # Three times the same memory, once as a view.
        kept = x * x + x[:, :5].square().sum()
    assert saved.now == ACTIVATIONS
    del kept
    gc.collect()
    assert saved.now == 0


@pytest.mark.parametrize("depth", [1, 5])
def test_a_chain_keeps_its_input_and_every_layers_activations(depth):
    net = chain(depth)
    with SavedTensorMemory(net.parameters()) as saved:
        net(torch.rand(BATCH, WIDTH)).sum().backward()
    # Each is saved twice, by its ReLU and by the next product.
    assert saved.peak == (1 + depth) * ACTIVATIONS


def test_recomputing_counts_too():
    net, x = chain(5), torch.rand(BATCH, WIDTH, requires_grad=True)
    with SavedTensorMemory(net.parameters()) as saved:
        loss = checkpoint(net, x, use_reentrant=True).sum()
        assert saved.now == ACTIVATIONS  # the input alone
        loss.backward()
    # In the backward pass all of it is there again.
    assert saved.peak == (1 + 5) * ACTIVATIONS


@pytest.mark.parametrize("depth", [1, 4, 16])
def test_forward_forward_holds_one_layer_at_a_time(depth):
    net = FFNet(784, *[WIDTH] * depth)
    optimizers = [torch.optim.Adam(layer.parameters()) for layer in net.layers]
    x, y = torch.rand(BATCH, 784), torch.randint(10, (BATCH,))
    positive, negative = overlay(x, y), overlay(x, wrong_labels(y))
    with SavedTensorMemory(net.parameters()) as saved:
        train_batch(net, optimizers, positive, negative, list(range(depth)), pair_loss)
    # The first layer's normalised input and its activations, on both passes, and one
    # number per image for the loss.
    assert saved.peak == 4 * BATCH * (2 * 784 + 2 * WIDTH + 1)
    assert saved.now == 0
