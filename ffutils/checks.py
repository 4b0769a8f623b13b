"""Clear errors for bad input: what was wrong, what was expected and what to do.

`check_batch` and `check_label_batch` look at types and shapes only, so they cost
nothing in a training step. `check_images` and `check_labels` look at the values,
too: `train` and `predict` call them once, at the door.
"""

from __future__ import annotations

import math
import numbers
import sys
import warnings
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

EXPECTED = "a floating-point tensor (batch, pixels) in [0, 1]"


def check_batch(x, width=None, least=1, name="images"):
    """Raise unless x is a non-empty floating-point tensor (B, width); no value is read.

    Raises TypeError for another type or dtype, ValueError for another shape or fewer
    than `least` columns.
    """
    if not torch.is_tensor(x):
        raise TypeError(f"{name} must be {EXPECTED}, got {kind(x)}{advice_for(x)}")
    if not x.is_floating_point():
        scale = "images.float() / 255" if x.dtype == torch.uint8 else "images.float()"
        raise TypeError(f"{name} must be {EXPECTED}, got {x.dtype}; try {scale}")
    shape = tuple(x.shape)
    expected = f"(batch, {width or 'pixels'})"
    if x.dim() != 2 or (width is not None and shape[1] != width):
        advice = "; try images.flatten(1)" if x.dim() > 2 else ""
        if x.dim() == 1 or x.numel() == width:  # a single image
            advice = "; try images.reshape(1, -1)"
        if x.dim() == 2 and not advice and name == "images":
            advice = (
                f"; prepare them as for the net's training, or make a net for them: "
                f"FFNet({shape[1]}, …)"
            )
        raise ValueError(f"{name} must have the shape {expected}, got {shape}{advice}")
    if shape[0] == 0:
        raise ValueError(f"the batch of {name} is empty; expected at least one row")
    if shape[1] < least:
        raise ValueError(
            f"{name} must have {least} pixels or more, one per class and the image's "
            f"own, got the shape {shape}"
        )


def check_images(x, width=None, least=1):
    """Raise like `check_batch`, and ValueError for values outside [0, 1] or NaN."""
    check_batch(x, width, least)
    low, high = torch.stack(x.detach().aminmax()).tolist()
    if not (low >= 0 and high <= 1):  # false for NaN, too
        if low != low:
            raise ValueError(
                "images must be finite, got NaN; look for a division by zero where "
                "they were made"
            )
        raw = low >= 0 and high <= 255
        advice = "try images / 255" if raw else "scale them, and do not standardise"
        raise ValueError(
            f"images must lie in [0, 1], got {low:g} to {high:g}; {advice}"
        )


def check_label_batch(y, count=None):
    """Raise unless y is a non-empty int64 tensor (B,), B = count; no value is read."""
    if not torch.is_tensor(y):
        raise TypeError(f"labels must be an int64 tensor, got {kind(y)}{advice_for(y)}")
    one_hot = y.dim() == 2 and y.shape[1] > 1 and count in (None, len(y))
    if y.dtype != torch.int64:
        advice = "labels.argmax(1)" if one_hot else "labels.long()"
        if one_hot and y.dtype == torch.bool:
            advice = "labels.int().argmax(1)"
        raise TypeError(f"labels must be an int64 tensor, got {y.dtype}; try {advice}")
    if y.dim() != 1 or (count is not None and len(y) != count):
        expected = "(batch,)" if count is None else f"({count},), one per image"
        advice = "; try labels.argmax(1)" if one_hot else ""
        if y.dim() != 1 and (y.numel() == count or (count is None and not one_hot)):
            advice = "; try labels.flatten()"
        raise ValueError(
            f"labels must have the shape {expected}, got {tuple(y.shape)}{advice}"
        )
    if len(y) == 0:
        raise ValueError("the batch of labels is empty; expected at least one label")


def check_labels(y, n_classes, count=None):
    """Raise like `check_label_batch`, and ValueError for labels of no class.

    n_classes: None where any label from 0 upwards will do.
    """
    check_label_batch(y, count)
    low, high = torch.stack(y.aminmax()).tolist()
    if low < 0 or (n_classes is not None and high >= n_classes):
        top = "" if n_classes is None else n_classes - 1
        advice = "the number of classes is the net's: FFNet(…, n_classes=…)"
        if low == 1 and high == n_classes:
            advice = "they seem to be counted from 1; try labels - 1"
        raise ValueError(
            f"labels must be in 0..{top}, got {low if low < 0 else high}; {advice}"
        )


def kind(value):
    """What a value is, for an error message."""
    return f"{type(value).__module__}.{type(value).__name__}".removeprefix("builtins.")


def advice_for(value):
    """What to do with something that is no tensor."""
    if holds_text(value):
        return "; number the names: numpy.unique(names, return_inverse=True)"
    if kind(value) == "numpy.ndarray":
        return "; try torch.from_numpy(array)"
    if type(value).__module__.startswith("PIL."):
        return "; try torchvision.transforms.functional.to_tensor(image).view(1, -1)"
    if isinstance(value, (list, tuple)) and value and torch.is_tensor(value[0]):
        return "; try torch.stack(values)"
    if isinstance(value, (Sequence, numbers.Number)) and not isinstance(value, str):
        return "; try torch.tensor(values)"
    if hasattr(value, "__array__"):  # such as pandas.DataFrame
        return "; try torch.from_numpy(numpy.asarray(values))"
    return ""


def holds_text(value):
    """Whether a list, tuple or array holds names where numbers were expected."""
    if isinstance(value, (list, tuple)):
        return bool(value) and isinstance(value[0], str)
    return getattr(getattr(value, "dtype", None), "kind", "") in ("U", "S", "O", "T")


def check_dataset(name):
    """Raise ValueError unless name is that of a data set, or "auto"."""
    if name not in ("auto", "mnist", "fashion", "digits"):
        raise ValueError(
            f"unknown data set {name!r}: expected 'auto', 'mnist', 'fashion' or "
            "'digits' (see FF_DATASET)"
        )


def check_number_formats():
    """Let NumPy look at its number formats while the smallest numbers still count.

    NumPy 2.1 does so when it is first asked, and then warns that they are zero.
    """
    for name in ("float32", "float64"):
        np.finfo(name)


def check_number(name, value, low, high=math.inf, ends="[]"):
    """Raise unless value is a finite number between low and high; ends: "[)" etc."""
    ok = isinstance(value, numbers.Real) and -math.inf < value < math.inf
    if ok:
        above = value >= low if ends[0] == "[" else value > low
        below = value <= high if ends[1] == "]" else value < high
        ok = above and below
    if not ok:
        top = "∞" if high == math.inf else f"{high:g}"
        where = "" if low == -math.inf else f" in {ends[0]}{low:g}, {top}{ends[1]}"
        raise ValueError(f"{name} must be a finite number{where}, got {value!r}")


def check_count(name, count, least=1):
    """Raise ValueError unless count is a whole number of at least `least`."""
    whole = isinstance(count, numbers.Integral) and not isinstance(count, bool)
    if not whole or count < least:
        raise ValueError(
            f"{name} must be a whole number of at least {least}, got {count!r}"
        )


def check_square(x, channels=1, advice="; for colour images say channels=3"):
    """Raise ValueError unless each row of x (B, pixels) is a square image."""
    check_batch(x)
    check_count("channels", channels)
    side = math.isqrt(x.shape[1] // channels)
    if channels * side * side != x.shape[1]:
        raise ValueError(
            f"expected square images of {channels} channel(s), got rows of "
            f"{x.shape[1]} pixels{advice if channels == 1 else ''}"
        )


def check_fit(features, labels, n_classes, epochs, lr):
    """Raise unless a softmax can be fitted on features (N, width) in this way."""
    check_count("epochs", epochs)
    check_number("lr", lr, 0, 1e30, ends="(]")
    check_batch(features, name="features")
    if not features.isfinite().all():
        raise ValueError(
            "features must be finite, got NaN or infinity; look at what made them"
        )
    if features.requires_grad:
        raise ValueError(
            "features still hang on the net that made them, which is not to learn "
            "here; pass features.detach()"
        )
    check_labels(labels, n_classes, count=len(features))
    check_autocast(features.device)


def check_room(x, n_classes):
    """Raise unless x is a batch (B, pixels) with room for a label of n_classes."""
    check_count("n_classes", n_classes, least=2)
    check_batch(x, least=n_classes + 1)


def check_dropping(x, p):
    """Raise unless pixels of the images x can be dropped with the probability p."""
    check_batch(x)
    check_number("p", p, 0, 1, ends="[)")


def check_sizes(sizes, n_classes, label_strength):
    """Raise unless an `FFNet` can be made of these sizes, for so many classes."""
    check_count("n_classes", n_classes, least=2)
    check_number("label_strength", label_strength, -math.inf)
    if len(sizes) < 2:
        raise ValueError(
            "expected the number of pixels and one layer or more, such as "
            f"FFNet(784, 500, 500), got {sizes}"
        )
    check_count("the number of pixels", sizes[0])
    if sizes[0] <= n_classes:
        raise ValueError(
            f"{sizes[0]} pixels cannot hold the label of {n_classes} classes and an "
            "image: add n_classes inputs to each image, torch.nn.functional.pad"
            "(images, (n_classes, 0))"
        )
    for size in sizes[1:]:
        if not isinstance(size, nn.Module):
            check_count("the number of units of a layer", size)


def check_layer(layer, in_features, normalize):
    """Raise unless a layer can stand in an `FFNet` above so many inputs.

    A warning says where it has another normalize than the net.
    """
    sizes = [getattr(layer, name, None) for name in ("in_features", "out_features")]
    if not all(isinstance(size, numbers.Integral) for size in sizes):
        raise TypeError(
            f"a layer must be a module (B, in_features) → (B, out_features) with these "
            f"two attributes as whole numbers; {kind(layer)} has {sizes}"
        )
    if sizes[0] != in_features:
        raise ValueError(
            f"{kind(layer)} takes {sizes[0]} inputs, but {in_features} come from below"
        )
    if getattr(layer, "normalize", normalize) is not normalize:
        warn_caller(
            f"this {kind(layer)} keeps the normalize that it was made with, which is "
            "not the net's: hand the same function to both"
        )


def check_net(net):
    """Raise TypeError unless net is an `FFNet`, or shaped like one."""
    inner = getattr(net, "module", None)
    if isinstance(inner, nn.Module) and hasattr(inner, "write_label"):
        raise TypeError(f"expected an FFNet, got {kind(net)}; pass net.module")
    if not hasattr(net, "write_label") or not hasattr(net, "layers"):
        raise TypeError(f"expected an FFNet, got {kind(net)}")


def check_pieces(net, x):
    """Raise unless a net's own overlay and goodness do what training builds on.

    The overlay is tried on two of the images x (B, pixels), and must leave them as they
    are, or both passes would be one. The goodness is tried on rows of each layer's
    width, and must be one number for each. And labels must be written by the overlay,
    since hard negatives ask for that alone.
    """
    if getattr(net.write_label, "__qualname__", "") != "FFNet.write_label":
        raise TypeError(
            "this net has a write_label of its own, which hard negatives would pass "
            "by; hand the function in instead: FFNet(…, overlay=…)"
        )
    if x.device.type == "meta":
        return
    x = x[:2].to(next(net.parameters()).device, copy=True)
    before = x.clone()
    with torch.no_grad():
        net.write_label(x, torch.zeros(len(x), dtype=torch.int64, device=x.device))
    if not torch.equal(x, before):
        raise ValueError(
            "the net's overlay changes the images that it is given, so the positive "
            "and the negative pass would be the same; begin it with x = x.clone()"
        )
    for width in dict.fromkeys(layer.out_features for layer in net.layers):
        h = x.new_ones(3 + (width == 3), width)  # a square would hide a wrong dim
        with torch.no_grad():
            check_one_per_row(net.goodness(h), h)


def check_one_per_row(goodness, h):
    """Raise ValueError unless goodness is one number for each row of h."""
    shape = tuple(goodness.shape) if torch.is_tensor(goodness) else kind(goodness)
    if shape != (len(h),):
        raise ValueError(
            f"goodness must be one number for each row, {(len(h),)}, got {shape} for "
            f"activations {tuple(h.shape)}; such as h.square().mean(dim=1)"
        )


def check_loss(loss, positive, negative):
    """Raise unless a layer can learn from this loss of its activations on two passes.

    No value is read.
    """
    if len(positive) != len(negative) and 1 in (len(positive), len(negative)):
        raise ValueError(
            "one row of one pass would serve for all of the other, got activations of "
            f"the shapes {tuple(positive.shape)} and {tuple(negative.shape)}"
        )
    if not torch.is_tensor(loss):
        raise TypeError(f"a loss must be a tensor with one value, got {kind(loss)}")
    if loss.dim():
        raise ValueError(
            f"a loss must be one number, got the shape {tuple(loss.shape)}; such as "
            "its .mean()"
        )
    if not loss.requires_grad:
        raise ValueError(
            "the loss does not depend on the layer's weights, so nothing can be learnt "
            "from it: look for detach(), .item(), a comparison such as h > 0, a frozen "
            "layer, or torch.no_grad()"
        )


def check_unfrozen(net):
    """Raise ValueError where a weight is frozen, which `fast_train` cannot heed."""
    if not all(p.requires_grad for p in net.parameters()):
        raise ValueError(
            "fast_train trains all weights, and some of this net are frozen "
            "(requires_grad is False); thaw them, or use ffutils.train_epoch with the "
            "layers that are to learn"
        )


def check_same_place(net, x):
    """Raise unless images x lie on the net's device and have its dtype."""
    weight = next(net.parameters())
    if weight.device != x.device:
        raise ValueError(
            f"the net is on {weight.device} but its images are on {x.device}; move one "
            "of them with .to(device)"
        )
    if weight.dtype != x.dtype:
        raise TypeError(
            f"the net computes in {weight.dtype} but its images are {x.dtype}; try "
            f"images.to({weight.dtype}) or net.float()"
        )


def check_input(net, x):
    """Raise unless x is a batch of images that the net can take."""
    check_net(net)
    check_images(x, net.layers[0].in_features)
    check_same_place(net, x)
    check_pieces(net, x)


def check_data(data, batch_size):
    """Raise unless data is a `Split` or something that yields batches again."""
    check_count("batch_size", batch_size)
    if hasattr(data, "images"):
        return check_split(data)
    pair = isinstance(data, (tuple, list)) and len(data) == 2
    if pair and hasattr(data[0], "shape"):
        raise TypeError(
            "data is a pair of tensors or arrays; wrap it: Split(images, labels)"
        )
    if pair and hasattr(data[0], "images"):
        raise TypeError(
            "data is a pair of Splits, of which the second is not for training; pass "
            "the first, data[0]"
        )
    whole = isinstance(data, torch.utils.data.IterableDataset)
    if isinstance(data, torch.utils.data.Dataset) and not whole:
        raise TypeError(f"{kind(data)} yields single images; wrap it in a DataLoader")
    if torch.is_tensor(data) or not hasattr(data, "__iter__"):
        raise TypeError(
            "data must be a Split or an iterable of batches (x, y), such as a "
            f"DataLoader, got {kind(data)}"
        )
    if hasattr(data, "__next__"):
        raise TypeError(
            f"{kind(data)} can be gone through only once; pass a list or a DataLoader"
        )


def check_split(split):
    """Raise unless split is a `Split`, or shaped like one, on one device."""
    if not hasattr(split, "images") or not hasattr(split, "labels"):
        advice = "wrap tensors: Split(images, labels)"
        if isinstance(split, torch.utils.data.DataLoader):
            advice = "join its batches: Split(*map(torch.cat, zip(*loader)))"
        if isinstance(split, torch.utils.data.Dataset):
            advice = "put a DataLoader around it and join its batches into a Split"
        raise TypeError(f"expected a Split, got {kind(split)}; {advice}")
    check_batch(split.images)
    check_label_batch(split.labels, count=len(split.images))
    places = split.images.device, split.labels.device
    if places[0] != places[1]:
        raise ValueError(
            f"the images are on {places[0]} but their labels on {places[1]}; move one"
        )


def check_training(net, data, epochs, batch_size, lr):
    """Raise TypeError or ValueError unless data and settings can train an `FFNet`."""
    check_net(net)
    check_pieces(net, check_run(net, data, epochs, batch_size, lr))


def check_run(net, data, epochs, batch_size, lr):
    """Raise like `check_training`, for any net that has layers and n_classes.

    Returns the images that it has looked at: all of a `Split`, or a first batch.
    """
    check_data(data, batch_size)
    x, y = (data.images, data.labels) if hasattr(data, "images") else first_batch(data)
    check_images(x, net.layers[0].in_features)
    check_labels(y, net.n_classes, count=len(x))
    weight = next(net.parameters())
    check_same_place(net, x if hasattr(data, "images") else x.to(weight.device))
    if weight.dtype == torch.float16:
        raise TypeError(
            "weights in float16 are too coarse to learn; use net.float(), and "
            "torch.autocast around the training for matrix products in half precision"
        )
    check_autocast(weight.device)
    check_count("epochs", epochs)
    check_number("lr", lr, 0, 1e30, ends="(]")
    return x


def check_autocast(device):
    """Raise RuntimeError under an autocast whose copies of the weights grow stale."""
    if torch.is_autocast_enabled(device.type) and torch.is_autocast_cache_enabled():
        raise RuntimeError(
            "torch.autocast goes on with the weights of the first step, so nothing "
            "would be learnt; add cache_enabled=False to it"
        )


def first_batch(data):
    """The first batch (x, y) of an iterable; raises unless it yields such pairs."""
    for batch in data:
        if isinstance(batch, (tuple, list)) and len(batch) == 2:
            return batch
        raise TypeError(f"data must yield batches (x, y), got a {kind(batch)}")
    raise ValueError("the data is empty; expected at least one batch")


def check_losses(losses, layer_indices, epoch, net=None):
    """Raise FloatingPointError unless an epoch's losses and all weights are finite."""
    for k in layer_indices:
        if not losses[k].isfinite():
            raise FloatingPointError(
                f"the loss of layer {k + 1} is {losses[k]:g} in epoch {epoch + 1}: the "
                "training has diverged; lower lr and start from a new net (or a batch, "
                "or a function of your own, has brought a NaN)"
            )
    if net is not None:
        check_weights(net)


def check_weights(net):
    """Raise FloatingPointError unless all weights are finite; one wait for a GPU."""
    if not torch.stack([p.isfinite().all() for p in net.parameters()]).all():
        raise FloatingPointError(
            "a weight is not finite: the training has diverged; lower lr and start "
            "from a new net"
        )


def check_goodness(values):
    """Raise FloatingPointError unless all values of goodness are finite."""
    if not values.isfinite().all():
        raise FloatingPointError(
            "a goodness is not finite, so there is nothing to choose by: the net has "
            "diverged; train a new one with a lower lr"
        )


def check_layers(net, layers, first=0):
    """Raise unless layers names some of a net's layers, each once, or is None.

    first: the first of the layers that None stands for.
    """
    check_net(net)
    count = len(net.layers)
    if layers is None:
        if first < count:
            return
        raise ValueError("this net has no layer above the first, so say layers=[0]")
    names = layers.tolist() if hasattr(layers, "tolist") else layers
    if isinstance(names, numbers.Integral) or hasattr(names, "__next__"):
        raise TypeError(f"layers must be a list such as [0, 1], got {kind(layers)}")
    names = list(names)
    known = all(k in range(count) and not isinstance(k, bool) for k in names)
    if not names or not known or len(set(names)) < len(names):
        raise ValueError(
            f"layers must name some of the net's layers 0..{count - 1}, counted from "
            f"0, each once, got {names}"
        )


def warn_of_ties(scores):
    """Warn where every label of an image ties, so that 0 is only a guess."""
    tied = (scores.amax(dim=1) == scores.amin(dim=1)).float().mean().item()
    if tied > 0:
        warn_caller(
            f"for {100 * tied:.1f} % of the images all labels have the same goodness, "
            "and label 0 is no more than a guess: units may be dead; train a new net "
            "with a lower lr"
        )


def warn_of_dead_layers(net, x):
    """Warn where hardly a unit of a layer is ever on, whatever the image and label."""
    if len(x) < 100:  # too few to tell
        return
    x = x[:1000]
    labels = torch.arange(len(x), device=x.device) % net.n_classes
    for k, h in enumerate(net(net.write_label(x, labels))):
        dead = 1 - h.any(dim=0).float().mean().item()
        if dead > 0.95:
            warn_caller(
                f"layer {k + 1} is dead: {100 * dead:.0f} % of its units are 0 for "
                "every image and label; train a new net with a lower lr"
            )


def warn_caller(message):
    """Warn at the line that called ffutils, so that each such line may warn once."""
    frame, level = sys._getframe(1), 2
    while frame.f_back and frame.f_globals.get("__name__", "").startswith(
        ("ffutils.", "torch.")
    ):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, stacklevel=level)
