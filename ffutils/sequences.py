"""Chapter 11: text as windows of ten characters, and negatives that the net writes."""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from importlib.resources import files

import torch
from torch import Tensor
from torch.nn.functional import one_hot, softplus

from ffutils.checks import check_count
from ffutils.data import Split, batches, split_validation
from ffutils.layers import goodness
from ffutils.prediction import label_goodness
from ffutils.recipe import sample_wrong_labels

ALPHABET = "abcdefghijklmnopqrstuvwxyz ,;."
CONTEXT = 10  # how many characters the net sees before it predicts the next one


def load_fables() -> str:
    """Aesop's Fables as they were printed: the 35 that come with the book.

    Source: translated by V. S. Vernon Jones, 1912; in the public domain; chapter 11.
    """
    text = files("ffutils").joinpath("texts", "aesop.txt").read_text(encoding="utf-8")
    return text.partition("\n\n")[2]  # the lines before it say where it comes from


def simplify(text: str) -> str:
    """Write a text with the thirty characters of ALPHABET.

    Capitals become small, accents and apostrophes go, a question mark becomes a full
    stop, a colon a semicolon, and anything else a space. No two spaces stand together.

    Args:
        text: in Latin letters.

    Source: chapter 11.
    """
    text = unicodedata.normalize("NFKD", text.lower().replace("æ", "ae"))
    text = re.sub("['’\u0300-\u036f]", "", text)  # and the accents, now apart
    text = text.translate(str.maketrans("?!:", "..;"))
    return " ".join(re.sub(f"[^{ALPHABET}]", " ", text).split())


def encode(text: str) -> Tensor:
    """The place of each character in ALPHABET, (characters,) int64.

    Raises:
        ValueError: for a character that is not in it.

    Source: chapter 11.
    """
    unknown = sorted(set(text) - set(ALPHABET))
    if unknown:
        raise ValueError(
            f"expected characters of {ALPHABET!r}, got {unknown[:5]}; "
            "try simplify(text)"
        )
    return torch.tensor([ALPHABET.index(c) for c in text], dtype=torch.int64)


def decode(codes: Tensor) -> str:
    """The text of codes (characters,): the inverse of `encode`.

    Source: chapter 11.
    """
    return "".join(ALPHABET[code] for code in codes.tolist())


def cut_strings(text: str, length: int = 100, count: int | None = None) -> Tensor:
    """Cut a text into strings of one length.

    Args:
        text: of the characters of ALPHABET.
        length: of a string, in characters; longer than CONTEXT.
        count: how many strings; as many as there are, unless given.

    Returns:
        Codes (strings, length), int64.

    Raises:
        ValueError: for a text that is too short, or holds other characters.

    Source: Hinton 2022, who has 248 strings of 100 characters; chapter 11.
    """
    check_count("length", length, least=CONTEXT + 1)
    codes = encode(text)
    count = len(codes) // length if count is None else count
    check_count("count", count, least=7)  # of which one is for the test
    if count * length > len(codes):
        raise ValueError(
            f"expected {count} strings of {length} characters, got a text of "
            f"{len(codes):,} characters: take a longer text or fewer strings"
        )
    return codes[: count * length].view(count, length)


def hold_out_end(strings: Tensor) -> tuple[Tensor, Tensor]:
    """Set the last seventh of the strings aside: fables of which training sees nothing.

    Args:
        strings: (strings, length), codes.

    Returns:
        The strings before, and the last seventh.

    Source: chapter 11.
    """
    count = len(strings) // 7
    return strings[:-count], strings[-count:]


def split_strings(strings: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Split strings, and never windows, which overlap.

    Args:
        strings: (strings, length), codes.

    Returns:
        Strings for training, validation and test: of 248 strings 178, 35 and 35. The
        test strings are the last ones, the validation strings a random sixth of the
        others, the same on every call.

    Source: chapter 11.
    """
    rest, test = hold_out_end(strings)
    parts = split_validation(Split(rest, rest[:, -1]))
    return *(part.images for part in parts), test


def write_contexts(contexts: Tensor) -> Tensor:
    """Lay out contexts as inputs of a net: no next character yet, then ten characters.

    Args:
        contexts: (B, 10), codes.

    Returns:
        (B, 330) float32, thirty values for each character, of which one is 1. The
        first thirty are 0: there `overlay` writes the next character.

    Source: chapter 11.
    """
    known = one_hot(contexts, len(ALPHABET)).float().flatten(1)
    return torch.cat([known.new_zeros(len(known), len(ALPHABET)), known], dim=1)


def read_contexts(x: Tensor) -> Tensor:
    """The codes (B, 10) of windows (B, 330): the inverse of `write_contexts`.

    Source: chapter 11.
    """
    return x.view(len(x), CONTEXT + 1, len(ALPHABET))[:, 1:].argmax(dim=2)


def windows(strings: Tensor) -> Split:
    """Every ten characters of each string as an input, and the next one as its label.

    Args:
        strings: (strings, length), codes.

    Returns:
        A `Split` of strings · (length − 10) windows, string by string: inputs (N, 330)
        and the codes of the next characters (N,).

    Source: Hinton 2022; chapter 11.
    """
    rows = strings.unfold(1, CONTEXT + 1, 1).flatten(0, 1)
    return Split(write_contexts(rows[:, :CONTEXT]), rows[:, CONTEXT].contiguous())


# ---- Predicting, and running on


def sample_next(net, x: Tensor, scale: float = 10.0) -> Tensor:
    """Draw the next character of each window in proportion to exp(scale · goodness).

    Args:
        net: an `FFNet` of thirty classes.
        x: windows (B, 330).
        scale: of the goodness, summed over the layers; the larger, the surer.

    Returns:
        Codes (B,).

    Source: chapter 11.
    """
    probabilities = (scale * label_goodness(net, x)).softmax(dim=1)
    return torch.multinomial(probabilities, 1)[:, 0]


def run_on(net, start: Tensor, count: int, scale: float = 10.0) -> Tensor:
    """Let the net continue strings by itself: it reads what it has written.

    Args:
        net: an `FFNet` of thirty classes.
        start: (B, 10 or more), codes.
        count: how many characters to add to each string.
        scale: as in `sample_next`.

    Returns:
        (B, columns of start + count), codes.

    Source: Hinton 2022; chapter 11.
    """
    strings = start
    for _ in range(count):
        x = write_contexts(strings[:, -CONTEXT:])
        strings = torch.cat([strings, sample_next(net, x, scale)[:, None]], dim=1)
    return strings


# ---- Negative data


def teacher_forced(net, data: Split, scale: float = 10.0) -> Split:
    """Real windows, each with a wrong next character that the net finds likely.

    Args:
        net: an `FFNet` of thirty classes.
        data: real windows and their next characters.
        scale: as in `sample_next`.

    Returns:
        A `Split` of as many windows.

    Source: Hinton 2022; chapter 11.
    """
    scores = scale * label_goodness(net, data.images)
    return Split(data.images, sample_wrong_labels(scores, data.labels))


def self_generated(net, data: Split, scale: float = 10.0, length: int = 100) -> Split:
    """Windows of strings that the net has written, each from ten real characters.

    Args:
        net: an `FFNet` of thirty classes.
        data: real windows, some of which are the beginnings.
        scale: as in `sample_next`.
        length: of a string, in characters.

    Returns:
        A `Split` of as many windows.

    Source: Hinton 2022; chapter 11.
    """
    count, added = len(data.labels), length - CONTEXT
    strings = math.ceil(count / added)
    rows = torch.randint(count, (strings,), device=data.labels.device)
    start = read_contexts(data.images[rows])
    x, y = windows(run_on(net, start, added, scale))
    return Split(x[:count], y[:count])


# ---- Two phases


def phase_loss(
    h: Tensor, positive: bool, goodness: Callable = goodness, scale: float = 10.0
) -> Tensor:
    """Half of the logistic loss: what one kind of data has to say.

    Args:
        h: one layer's activations (B, width).
        positive: whether the goodness is to be above the threshold of 1, or below.
        goodness: a function (B, width) → (B,).
        scale: of the goodness, in the exponent.

    Returns:
        A scalar.

    Source: Hinton 2022, §2; chapter 11.
    """
    over = scale * (goodness(h) - 1)
    return softplus(-over if positive else over).mean()


def train_phase(
    net, optimizers: Sequence, data, positive: bool, scale: float = 10.0
) -> None:
    """Update every layer on batches of one kind, positive or negative.

    Args:
        net: an `FFNet`; optimizers: one for each of its layers.
        data: batches (x, y), windows and the characters to be written into them.
        positive: of which kind they are.
        scale: of `phase_loss`.

    Source: Hinton 2022, §2 and §5; chapter 11.
    """
    for x, y in data:
        h = net.write_label(x, y)
        for layer, optimizer in zip(net.layers, optimizers, strict=True):
            h = layer(h.detach())
            loss = phase_loss(h, positive, net.goodness, scale)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def join(pieces: Sequence) -> Split:
    """Join batches (x, y) into one `Split`.

    Source: chapter 11.
    """
    x, y = zip(*pieces, strict=True)
    return Split(torch.cat(x), torch.cat(y))


def train_in_phases(
    net, optimizers: Sequence, data: Split, make_negatives: Callable,
    phase: int = 1, batch_size: int = 128, scale: float = 10.0,
) -> None:  # fmt: skip
    """Train on every window once, in days and nights of equal length.

    A day has positive batches alone. At its end the net makes as many negatives, and
    the night has these alone.

    Args:
        net, optimizers, scale: as in `train_phase`.
        data: real windows.
        make_negatives: called as make_negatives(net, day) with the day's windows, a
            `Split`; returns a `Split`.
        phase: how many batches a day has; with 1, the two kinds take turns.
        batch_size: windows in each batch.

    Source: Hinton 2022, §5; chapter 11.
    """
    check_count("phase", phase)
    positive = list(batches(data, batch_size))
    for start in range(0, len(positive), phase):
        day = positive[start : start + phase]
        train_phase(net, optimizers, day, True, scale)
        night = batches(make_negatives(net, join(day)), batch_size)
        train_phase(net, optimizers, night, False, scale)


# ---- Counting instead of learning


class NGrams:
    """Predicts the next character by counting what came after the same characters.

    A prediction from k characters is mixed with one from k − 1: the more often the k
    characters came, and the fewer different ones came next, the less weight has the
    shorter context (Witten and Bell 1991).

    Args:
        strings: (strings, length), codes.
        order: the longest context, in characters.

    Source: chapter 11.
    """

    def __init__(self, strings: Tensor, order: int = 3) -> None:
        check_count("order", order, least=0)
        self.order, self.counts = order, {}
        for row in strings.tolist():
            for end, code in enumerate(row):
                for k in range(min(order, end) + 1):
                    context = tuple(row[end - k : end])
                    self.counts.setdefault(context, Counter())[code] += 1

    def probabilities(self, context: Sequence[int]) -> list[float]:
        """Of each of the thirty next characters, after at least `order` codes."""
        mixed = [1 / len(ALPHABET)] * len(ALPHABET)
        for k in range(self.order + 1):
            seen = self.counts.get(tuple(context[len(context) - k :]))
            if seen is None:
                break
            total = len(seen) + seen.total()
            mixed = [(seen[c] + len(seen) * p) / total for c, p in enumerate(mixed)]
        return mixed

    def predict(self, x: Tensor) -> Tensor:
        """The likeliest next character of each window (B, 330), codes (B,)."""
        rows = [self.probabilities(row) for row in read_contexts(x).tolist()]
        return torch.tensor(rows).argmax(dim=1).to(x.device)
