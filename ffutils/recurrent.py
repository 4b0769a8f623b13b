"""Chapter 10: layers that also listen to the layer above, and settle in steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from ffutils.checks import (
    check_batch,
    check_count,
    check_goodness,
    check_images,
    check_number,
    check_same_place,
)
from ffutils.layers import goodness, normalize
from ffutils.recipe import pair_loss


class RecurrentNet(nn.Module):
    """Hidden layers between an image below and a label above, which settle in steps.

    RecurrentNet(784, 500, 500, 10) has two layers of 500 units between 784 pixels and
    10 classes. At each step a layer hears the old states of both its neighbours. No
    gradient passes from layer to layer, or from step to step.

    Args:
        sizes: the number of pixels, the width of each hidden layer, and the number of
            classes.
        damping: the share of its old state that a layer keeps at each step.
        label_strength: the value of the one label unit that is on.
        normalize: a function (B, width) → (B, width) of what a layer hears.
        goodness: a function of a layer's states (B, width) that returns (B,).

    Raises:
        ValueError: for fewer than three sizes, or a bad size, damping or strength.

    Source: Hinton 2022, §3.4; chapter 10.
    """

    def __init__(
        self,
        *sizes: int,
        damping: float = 0.3,
        label_strength: float = 3.0,
        normalize: Callable = normalize,
        goodness: Callable = goodness,
    ) -> None:
        check_hidden_layers(sizes)
        check_number("damping", damping, 0, 1, ends="[)")
        check_number("label_strength", label_strength, -math.inf)
        super().__init__()
        self.sizes, self.n_classes = sizes, sizes[-1]
        self.damping, self.label_strength = damping, label_strength
        self.normalize, self.goodness = normalize, goodness
        layers = list(pairwise(sizes))
        self.up = nn.ModuleList(nn.Linear(below, size) for below, size in layers[:-1])
        self.down = nn.ModuleList(
            nn.Linear(above, size, bias=False) for size, above in layers[1:]
        )
        for linear in [*self.up, *self.down]:
            nn.init.normal_(linear.weight, std=linear.in_features**-0.5)
        for linear in self.up:
            nn.init.zeros_(linear.bias)

    @property
    def settings(self) -> dict[str, float]:
        """What `save_net` keeps beside the sizes."""
        return {"damping": self.damping, "label_strength": self.label_strength}

    def start(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Pass the images (B, pixels) up once, without a label.

        Returns:
            What the image sends to the first layer at every step, (B, width), and the
            states to start from, [(B, width), …], the lowest first.
        """
        from_image = self.send(self.up[0], x)
        states = [torch.relu(from_image)]
        for up in self.up[1:]:
            states.append(torch.relu(self.send(up, states[-1].detach())))
        return from_image, states

    def send(self, weights: nn.Linear, h: Tensor) -> Tensor:
        """What a layer's states h (B, n) bring to a neighbour, in the dtype of h."""
        return weights(self.normalize(h).to(h.dtype)).to(h.dtype)

    def step(
        self, states: list[Tensor], from_image: Tensor, from_label: Tensor
    ) -> list[Tensor]:
        """Let all layers take one step at once, each from its neighbours' old states.

        Args:
            states: [(rows, width), …], one for each hidden layer, the lowest first.
            from_image: (rows, width), what the image sends to the lowest layer.
            from_label: (rows, width), what the label sends to the highest layer.

        Returns:
            The new states, shaped as the old ones.
        """
        last = len(states) - 1
        new_states = []
        for k, old in enumerate(states):
            below = from_image if k == 0 else self.send(self.up[k], states[k - 1])
            above = from_label if k == last else self.send(self.down[k], states[k + 1])
            new = torch.relu(below + above)
            new_states.append(self.damping * old + (1 - self.damping) * new)
        return new_states

    def forward(
        self, x: Tensor, labels: Tensor, steps: int = 8
    ) -> Iterator[list[Tensor]]:
        """Settle K copies of each image, one for each of its K labels.

        Args:
            x: (B, pixels) in [0, 1].
            labels: (K, B) int64, K labels for each image.
            steps: how many steps to take.

        Yields:
            After each step the states [(K · B, width), …], the lowest layer first. The
            images run fastest: row j · B + i is image i with the label labels[j, i].

        Raises:
            TypeError, ValueError: for a wrong dtype or shape; at the first step.
        """
        check_batch(x, self.up[0].in_features)
        check_label_rows(labels, len(x))
        check_count("steps", steps)
        from_image, states = self.start(x)
        from_image = from_image.repeat(len(labels), 1)
        states = [h.repeat(len(labels), 1) for h in states]
        label = x.new_zeros(labels.numel(), self.n_classes)
        label = label.scatter(1, labels.reshape(-1, 1), self.label_strength)
        from_label = self.down[-1](label)
        for _ in range(steps):
            states = self.step([h.detach() for h in states], from_image, from_label)
            yield states


def recurrent_loss(
    net: RecurrentNet,
    x: Tensor,
    y: Tensor,
    wrong: Tensor,
    steps: int = 8,
    scale: float = 10.0,
) -> Tensor:
    """Add up the pair losses of all layers at all steps.

    Args:
        net: whose `goodness` is compared.
        x: (B, pixels) in [0, 1].
        y: (B,), the true labels.
        wrong: (B,), a wrong label for each image.
        steps: how many steps the net settles for.
        scale: of `pair_loss`.

    Returns:
        A scalar. One call of its `backward` gives each layer the gradients of its own
        losses, and no other.

    Source: Hinton 2022, §3.4, with the loss of chapter 06; chapter 10.
    """
    loss = 0
    for states in net(x, torch.stack([y, wrong]), steps):
        for h in states:
            positive, negative = h.chunk(2)
            loss = loss + pair_loss(positive, negative, net.goodness, scale=scale)
    return loss


@torch.no_grad()
def goodness_over_time(
    net: RecurrentNet, x: Tensor, steps: int = 8, batch_size: int = 500
) -> Tensor:
    """Measure the goodness of each layer after each step, with each label.

    Args:
        net: a `RecurrentNet` of L hidden layers.
        x: (B, pixels) in [0, 1].
        steps: how many steps the net settles for.
        batch_size: how many images settle at once, each with all labels.

    Returns:
        (B, n_classes, L, steps). The predicted label is the one with the largest sum
        over the layers and the steps 3 to 5: `[:, :, :, 2:5]`.

    Raises:
        TypeError, ValueError: for bad images or numbers.

    Source: Hinton 2022, §3.4; chapter 10.
    """
    check_images(x, net.up[0].in_features)
    check_same_place(net, x)
    check_count("batch_size", batch_size)
    rows = []
    for images in x.split(batch_size):
        labels = torch.arange(net.n_classes, device=x.device)[:, None]
        labels = labels.expand(-1, len(images))
        settling = [
            torch.stack([net.goodness(h) for h in states], dim=1)
            for states in net(images, labels, steps)
        ]
        by_label = torch.stack(settling, dim=2)  # (n_classes · B, layers, steps)
        by_label = by_label.unflatten(0, (net.n_classes, len(images)))
        check_goodness(by_label)
        rows.append(by_label.transpose(0, 1))
    return torch.cat(rows)  # (B, n_classes, layers, steps)


def check_hidden_layers(sizes: Sequence[int]) -> None:
    """Raise ValueError unless there is a layer between the pixels and the label."""
    if len(sizes) < 3:
        raise ValueError(
            "a recurrent net needs a hidden layer or more: expected the number of "
            "pixels, the width of each layer and the number of classes, such as "
            f"(784, 500, 10), got {tuple(sizes)}"
        )
    for size in sizes:
        check_count("each size", size)


def check_label_rows(labels: Tensor, images: int) -> None:
    """Raise unless labels is an int64 tensor (K, images)."""
    if not torch.is_tensor(labels) or labels.dtype != torch.int64:
        kind = labels.dtype if torch.is_tensor(labels) else type(labels).__name__
        raise TypeError(f"labels must be an int64 tensor, got {kind}")
    if labels.dim() != 2 or labels.shape[1] != images:
        raise ValueError(
            f"labels must have the shape (K, {images}), K for each image, got "
            f"{tuple(labels.shape)}; try labels[None] for one label for each"
        )
