"""The playground's JavaScript against `ffutils`: goodness, steps and runs, to 5e-9."""

import json
import math
import shutil
import subprocess
import sys

import pytest

from tests.browser.conftest import CHROMIUM, skip_or_fail
from tools.chapters import ROOT
from tools.lab import export_digits, golden

NODE = shutil.which("node")
STORED = json.loads(golden.TARGET.read_text(encoding="utf-8"))


def numbers(thing):
    """All numbers in nested lists and dictionaries, in order."""
    if isinstance(thing, dict):
        return [number for key in sorted(thing) for number in numbers(thing[key])]
    if isinstance(thing, list):
        return [number for part in thing for number in numbers(part)]
    return [thing] if isinstance(thing, int | float) else []


def batched(values, size=10):
    return [values[start : start + size] for start in range(0, len(values), size)]


def greatest_difference(actual, expected):
    actual, expected = numbers(actual), numbers(expected)
    assert len(actual) == len(expected) > 0
    assert all(map(math.isfinite, actual + expected))
    return max(abs(a - b) for a, b in zip(actual, expected, strict=True))


@pytest.fixture(scope="module", params=["node", "chromium"])
def javascript(request):
    """What the JavaScript comes to, by Node and by Chromium: one must be there."""
    if request.param == "node":
        if NODE is None:
            pytest.skip("no Node here: Chromium alone runs the JavaScript")
        command = [NODE, "tests/lab/node.mjs"]
    else:
        if CHROMIUM is None:
            skip_or_fail("no Chromium here: Node alone runs the JavaScript")
        pytest.importorskip("playwright")
        command = [sys.executable, "-m", "tests.lab.chromium", CHROMIUM]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def test_the_golden_file_is_what_ffutils_says_today():
    today = json.loads(json.dumps(golden.content()))
    assert today.keys() == STORED.keys()
    assert greatest_difference(today, STORED) < 1e-9, "run python tools/lab/golden.py"
    for new, old in zip(today["steps"], STORED["steps"], strict=True):
        for key in ("normalization", "options"):
            assert new[key] == old[key], "run python tools/lab/golden.py"


def test_the_golden_cases_differ_from_one_another():
    """A file in which every case had the same answer would prove nothing."""
    goodness = [STORED["forward"][kind]["goodness"] for kind in golden.NORMALIZATIONS]
    assert all(
        greatest_difference(a, b) > 0.01
        for a in goodness
        for b in goodness
        if a is not b
    )
    layers = [case["layers"] for case in STORED["steps"]]
    assert len(layers) == 5 * 4 * 2
    # A layer's first step with Adam is all but lr · sign(gradient), so two losses may
    # agree on most weights.
    assert all(
        greatest_difference(a, b) > 1e-7
        for k, a in enumerate(layers)
        for b in layers[:k]
    )


@pytest.mark.parametrize("normalization", golden.NORMALIZATIONS)
def test_forward_passes(javascript, normalization):
    actual = javascript["forward"][normalization]
    assert greatest_difference(actual, STORED["forward"][normalization]) < 5e-9


@pytest.mark.parametrize(
    "number",
    range(len(STORED["steps"])),
    ids=[
        f"{c['normalization']}-{'-'.join(map(str, c['options'].values()))}"
        for c in STORED["steps"]
    ],
)
def test_one_training_step(javascript, number):
    expected = {key: STORED["steps"][number][key] for key in ("layers", "losses")}
    assert greatest_difference(javascript["steps"][number], expected) < 5e-9


@pytest.mark.parametrize("number", range(len(STORED["runs"])))
def test_a_short_training_run(javascript, number):
    expected = {key: STORED["runs"][number][key] for key in ("goodness", "losses")}
    before = STORED["forward"][STORED["runs"][number]["normalization"]]["goodness"]
    change = greatest_difference(expected["goodness"], before)
    assert change > 0.1, "a run that changes nothing would prove nothing"
    assert greatest_difference(javascript["runs"][number], expected) < 5e-9


@pytest.mark.parametrize("number", range(len(STORED["judged"])))
def test_another_goodness_and_goodness_upside_down(javascript, number):
    expected = {key: STORED["judged"][number][key] for key in ("losses", "scores")}
    assert greatest_difference(javascript["judged"][number], expected) < 5e-9
    others = [case["scores"] for k, case in enumerate(STORED["judged"]) if k != number]
    assert all(greatest_difference(expected["scores"], one) > 1e-3 for one in others)


def test_hard_negatives_are_drawn_as_often_as_they_should_be(javascript):
    """Four standard errors of a share of 4,000 draws are at most 0.032."""
    goodness, shares = (
        javascript["forward"]["rms"]["goodness"],
        javascript["drawn"]["hard"],
    )
    expected = STORED["hard"]
    assert greatest_difference(goodness[0], expected["goodness"]) < 5e-9
    assert greatest_difference(shares, expected["probabilities"]) < 0.032
    assert max(expected["probabilities"]) > 0.3
    drawn = zip(batched(shares), STORED["inputs"]["y"], strict=True)
    assert all(row[y] == 0 for row, y in drawn), "the true label was drawn"


def test_the_other_negatives(javascript):
    for kind, wrong, true in [
        ("random", 1 / 9, 0),
        ("any", 1 / 10, 1 / 10),
        ("once", 0, 1),
    ]:
        expected = [
            true if label == y else wrong
            for y in STORED["inputs"]["y"]
            for label in range(10)
        ]
        assert greatest_difference(javascript["drawn"][kind], expected) < 0.02, kind


def test_the_digits_are_scikit_learns():
    assert export_digits.TARGET.read_bytes() == export_digits.content()
