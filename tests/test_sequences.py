"""Chapter 11: windows of text, negatives that the net makes, days and nights, counting."""

import math
import random
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import softplus

from ffutils import FFLayer, FFNet, Split, goodness, logistic_loss
from ffutils.sequences import (
    ALPHABET,
    CONTEXT,
    NGrams,
    cut_strings,
    decode,
    encode,
    hold_out_end,
    join,
    load_fables,
    phase_loss,
    read_contexts,
    run_on,
    sample_next,
    self_generated,
    simplify,
    split_strings,
    teacher_forced,
    train_in_phases,
    train_phase,
    windows,
    write_contexts,
)

TEXTS = st.text(alphabet=ALPHABET, max_size=60)
INPUTS = len(ALPHABET) * (CONTEXT + 1)


@pytest.fixture
def strings():
    return cut_strings(simplify(load_fables()), count=14)


@pytest.fixture
def net():
    return FFNet(INPUTS, 12, 10, n_classes=len(ALPHABET))


def favour(net, code):
    """Make a net find one next character likely, whatever came before it."""
    with torch.no_grad():
        net.layers[0].weight[:, code] = 100


# ---- The text


def test_the_fables_make_248_strings_and_say_nothing_of_their_source():
    text = load_fables()
    assert text.startswith("THE FOX AND THE GRAPES\nA hungry Fox saw")
    assert text.rstrip().endswith("tore him in pieces.")
    assert "Gutenberg" not in text
    assert len(simplify(text)) >= 24_800


def test_simplify_by_hand():
    assert simplify("Don’t GO!  \n'Wait':  12 cafés, æons; (why?)") == (
        "dont go. wait; cafes, aeons; why."
    )


@given(st.text(max_size=60))
def test_simplify_leaves_thirty_characters_and_no_two_spaces(text):
    simple = simplify(text)
    assert set(simple) <= set(ALPHABET) and "  " not in simple
    assert simple == simple.strip() == simplify(simple)


@given(TEXTS)
def test_decode_is_the_inverse_of_encode(text):
    codes = encode(text)
    assert codes.dtype == torch.int64 and codes.shape == (len(text),)
    assert decode(codes) == text


def test_encode_says_what_it_does_not_know():
    with pytest.raises(ValueError, match=r"got \['!', 'A'\]; try simplify"):
        encode("A fox!")


def test_strings_are_the_text_in_order():
    text = simplify(load_fables())
    assert "".join(map(decode, cut_strings(text, 50, 9))) == text[:450]
    assert cut_strings(text).shape == (len(text) // 100, 100)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"length": 10}, "length must be .*11"),
        ({"count": 6}, "count must be .*7"),
        ({"count": 12}, "expected 12 strings of 100 characters, got a text of 1,000"),
    ],
)
def test_a_text_that_is_too_short_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        cut_strings("a fox " * 166 + "abcd", **settings)


def test_each_string_is_in_one_split_and_the_test_has_the_last():
    strings = torch.arange(248)[:, None] * 100 + torch.arange(100)
    train, validation, test = split_strings(strings)
    assert [len(part) for part in (train, validation, test)] == [178, 35, 35]
    together = torch.cat([train, validation, test])
    assert torch.equal(together.sort(dim=0).values, strings)  # and rows are whole
    assert torch.equal(test, strings[-35:]) and torch.equal(
        test, hold_out_end(strings)[1]
    )
    assert torch.equal(validation, split_strings(strings)[1])  # the same each time


# ---- Windows


def test_a_window_by_hand():
    x, y = windows(encode("abcdefghijk.")[None])
    assert decode(y) == "k." and x.shape == (2, INPUTS)
    characters = x.view(2, 11, 30)
    assert not characters[:, 0].any()  # where the next character will be written
    assert characters[1, 1:].nonzero().tolist() == [[k, k + 1] for k in range(10)]
    assert characters[1, 1:].sum() == 10


@given(st.lists(st.text(alphabet=ALPHABET, min_size=14, max_size=14), min_size=1))
def test_windows_hold_every_ten_characters_and_the_next(texts):
    x, y = windows(torch.stack([encode(text) for text in texts]))
    found = [
        decode(row) + decode(code[None])
        for row, code in zip(read_contexts(x), y, strict=True)
    ]
    assert found == [text[k : k + 11] for text in texts for k in range(4)]
    assert torch.equal(write_contexts(read_contexts(x)), x)


def test_the_net_writes_the_next_character_where_the_window_is_blank(net, strings):
    x, y = windows(strings)
    written = net.write_label(x, y).view(-1, 11, 30)
    assert torch.equal(written[:, 0].argmax(dim=1), y)
    assert torch.equal(written[:, 1:].flatten(1), x[:, 30:])


# ---- Predicting, and running on


def test_characters_are_drawn_in_proportion_to_the_goodness():
    """Two next characters may come; one has a goodness larger by ln 3 / scale."""

    def ask(h):
        return h[:, 0]

    net = FFNet(INPUTS, 5, n_classes=30, normalize=lambda h: h, goodness=ask)
    with torch.no_grad():
        net.layers[0].weight.zero_()
        net.layers[0].weight[0, 4], net.layers[0].weight[0, 9] = 50, 50 + math.log(3)
    codes = sample_next(net, write_contexts(torch.zeros(4000, 10).long()), scale=1.0)
    assert set(codes.tolist()) == {4, 9}
    assert (codes == 9).float().mean().item() == pytest.approx(0.75, abs=0.03)


def test_running_on_keeps_the_start_and_reads_what_it_has_written(strings):
    """A net whose favourite is the character after the last one of its context."""

    def after_the_last(h):
        x = h.view(len(h), 11, 30)
        expected = (x[:, -1].argmax(dim=1) + 1) % 30
        return 1000.0 * (x[:, 0].argmax(dim=1) == expected)

    copy = FFLayer(INPUTS, INPUTS, normalize=lambda h: h)
    with torch.no_grad():
        copy.weight.copy_(torch.eye(INPUTS))
    net = FFNet(
        INPUTS, copy, n_classes=30, normalize=copy.normalize, goodness=after_the_last
    )
    start = strings[:3, :12]
    written = run_on(net, start, 35)
    assert torch.equal(written[:, :12], start) and written.shape == (3, 47)
    assert (written[:, 12:] == (written[:, 11:-1] + 1) % 30).all()


def test_teacher_forcing_leaves_the_context_and_is_never_right(net, strings):
    data = windows(strings)
    negatives = teacher_forced(net, data)
    assert torch.equal(negatives.images, data.images)
    assert not (negatives.labels == data.labels).any()
    favour(net, 4)
    likely = teacher_forced(net, data, scale=50.0).labels[data.labels != 4]
    assert (likely == 4).float().mean() > 0.9


def test_what_the_net_writes_begins_with_real_characters(net, strings):
    data = windows(strings)
    favour(net, 4)  # an e, and another one
    x, y = self_generated(net, data, scale=50.0, length=13)
    assert x.shape == data.images.shape and y.shape == data.labels.shape
    contexts = read_contexts(x)
    real = {tuple(row) for row in read_contexts(data.images).tolist()}
    begins = [tuple(row) in real for row in contexts.tolist()]
    assert all(begins[::3])  # every third window is the first of a string
    assert (y == 4).float().mean() > 0.9 and (
        contexts[2::3, -1] == 4
    ).float().mean() > 0.9
    same = contexts[1::3, -1] == y[::3][: len(contexts[1::3])]
    assert same.all()  # the second window has the character drawn for the first


# ---- Two phases


def test_two_phases_are_the_logistic_loss_in_two_halves():
    positive, negative = torch.rand(9, 5), torch.rand(9, 5)
    halves = phase_loss(positive, True, scale=5.0), phase_loss(negative, False, scale=5)
    assert sum(halves) / 2 == logistic_loss(positive, negative)
    h = torch.tensor([[2.0, 0.0]])  # goodness 2
    assert phase_loss(h, True, scale=3.0) == softplus(torch.tensor(-3.0))
    assert phase_loss(h, False, scale=3.0) == softplus(torch.tensor(3.0))
    twice = phase_loss(h, False, lambda h: 2 * goodness(h), scale=3.0)
    assert twice == softplus(torch.tensor(9.0))


def test_joined_batches_are_one_after_the_other(strings):
    data = windows(strings)
    pieces = [(data.images[k : k + 500], data.labels[k : k + 500]) for k in (0, 500)]
    joined = join(pieces)
    assert torch.equal(joined.images, data.images[:1000])
    assert torch.equal(joined.labels, data.labels[:1000])


def optimizers_of(net, lr=0.01):
    return [torch.optim.SGD(layer.parameters(), lr) for layer in net.layers]


@pytest.mark.parametrize("positive", [True, False])
def test_a_phase_moves_the_goodness_of_every_layer_one_way(net, strings, positive):
    data = windows(strings)
    x = net.write_label(*data)
    before = [goodness(h).mean() for h in net(x)]
    train_phase(net, optimizers_of(net), [data] * 5, positive)
    after = [goodness(h).mean() for h in net(x)]
    for old, new in zip(before, after, strict=True):
        assert (new > old) == positive


def test_no_gradient_crosses_layers(net, strings):
    """The first layer learns the same, whatever lies above it."""
    alone = FFNet(INPUTS, 12, n_classes=30)
    alone.layers[0].load_state_dict(net.layers[0].state_dict())
    for one in (net, alone):
        train_phase(one, optimizers_of(one), [windows(strings)], True)
    assert torch.equal(net.layers[0].weight, alone.layers[0].weight)


@pytest.mark.parametrize("phase", [1, 3, 100])
def test_days_and_nights_are_equally_long(net, strings, phase, monkeypatch):
    data, seen = windows(strings), []

    def spy(net, optimizers, batches, positive, scale):
        batches = list(batches)
        assert scale == 4.0
        seen.append((positive, [len(y) for _, y in batches], batches))

    def negatives(net, day):
        return Split(day.images, (day.labels + 1) % 30)

    monkeypatch.setattr("ffutils.sequences.train_phase", spy)
    train_in_phases(net, [], data, negatives, phase, batch_size=200, scale=4.0)
    sizes = 6 * [200] + [1260 - 1200]  # 14 strings have 1260 windows
    days = [sizes[k : k + phase] for k in range(0, 7, phase)]
    assert [size for positive, size, _ in seen if positive] == days
    assert [positive for positive, *_ in seen] == len(days) * [True, False]
    for (_, _, day), (_, _, night) in list(pairwise(seen))[::2]:
        here = sorted((x.nonzero().tolist(), y.item()) for x, y in rows_of(day))
        there = sorted((x.nonzero().tolist(), y.item()) for x, y in rows_of(night))
        assert [x for x, _ in here] == [x for x, _ in there]
        assert sum(len(y) for _, y in day) == sum(len(y) for _, y in night)
    everything = [row for positive, _, day in seen if positive for row in rows_of(day)]
    assert len(everything) == 1260
    assert sum(y.item() for _, y in everything) == data.labels.sum()


def rows_of(batches):
    return [row for x, y in batches for row in zip(x, y, strict=True)]


def test_negatives_come_from_the_net_as_the_day_left_it(net, strings):
    goodness_at_night = []

    def look(net, day):
        x = net.write_label(*day)
        goodness_at_night.append((goodness(net(x)[0]).mean() > before).item())
        return day

    data = windows(strings)
    before = goodness(net(net.write_label(*data))[0]).mean()
    train_in_phases(net, optimizers_of(net, 0.1), data, look, phase=100)
    assert goodness_at_night == [True]


# ---- Counting


def test_two_letters_counted_by_hand():
    """After "ab", "ac", "ab": the mixture of Witten and Bell, worked out."""
    model = NGrams(torch.stack([encode("ab"), encode("ac"), encode("ab")]), order=1)
    a, b, c, d = encode("abcd").tolist()
    # Six characters of three kinds: 3 a, 2 b, 1 c, and 3 / 9 for all thirty alike.
    zero = {
        code: (count + 3 / 30) / 9 for code, count in ((a, 3), (b, 2), (c, 1), (d, 0))
    }
    found = model.probabilities([d])
    for code, p in zero.items():
        assert found[code] == pytest.approx(p)
    # After an a: 2 b and 1 c, two kinds.
    found = model.probabilities([d, a])
    expected = {b: (2 + 2 * zero[b]) / 5, c: (1 + 2 * zero[c]) / 5, a: 2 * zero[a] / 5}
    for code, p in expected.items():
        assert found[code] == pytest.approx(p)


@given(
    st.lists(TEXTS, min_size=1), st.text(alphabet="abc", min_size=4), st.integers(0, 4)
)
def test_probabilities_are_positive_and_sum_to_one(texts, context, order):
    size = max(map(len, texts)) or 1
    strings = torch.stack([encode(text.ljust(size)) for text in texts])
    p = NGrams(strings, order).probabilities(encode(context).tolist())
    assert min(p) > 0 and sum(p) == pytest.approx(1)


def test_a_longer_context_knows_what_a_shorter_one_cannot():
    rng = random.Random(0)
    text = "".join(rng.choice(["xab", "yac"]) for _ in range(300))
    strings = cut_strings(text, length=30)
    x, y = windows(strings)
    last = read_contexts(x)[:, -1] == encode("a").item()
    x, y = x[last], y[last]
    right = [(NGrams(strings, k).predict(x) == y).float().mean() for k in (1, 2)]
    assert 0.3 < right[0] < 0.7 and right[1] == 1


def test_an_order_below_zero_is_refused():
    with pytest.raises(ValueError, match="order"):
        NGrams(torch.zeros(1, 20, dtype=torch.int64), -1)
