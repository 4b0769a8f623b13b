"""The net of the exhibit "Draw a digit": its file is what its manifest says, and the golden file is not stale."""

import hashlib
import json
import shutil
import subprocess

import pytest
import torch

from ffutils import FFNet, layer_goodness, load_mnist
from tools import export_weights as export

MANIFEST = export.read_manifest()


def exported():
    return export.unpack((export.LAB / MANIFEST["file"]).read_bytes(), MANIFEST["widths"])


def test_the_file_is_the_one_that_the_manifest_describes():
    data = (export.LAB / MANIFEST["file"]).read_bytes()
    assert len(data) == MANIFEST["bytes"] <= 1_500_000
    assert hashlib.sha256(data).hexdigest() == MANIFEST["sha256"]
    assert MANIFEST["widths"][0] == 784 and len(MANIFEST["widths"]) == 4, "three trained layers"
    assert "CC BY-SA 3.0" in MANIFEST["licence"]


def test_rounding_moves_no_weight_by_more_than_half_a_step():
    net = FFNet(784, 20, 10)
    back = export.unpack(export.pack(net), [784, 20, 10])
    for layer, rounded in zip(net.layers, back.layers, strict=True):
        step = layer.weight.abs().amax(dim=1, keepdim=True) / 127
        assert ((layer.weight - rounded.weight).abs() <= 0.501 * step).all()
        assert torch.equal(layer.bias, rounded.bias)
    with pytest.raises(ValueError, match="expected 16120 bytes"):
        export.unpack(b"short", [784, 20, 10])


def test_a_row_of_zeros_stays_zero():
    whole, scale = export.quantise(torch.tensor([[0.0, 0.0], [1.0, -0.5]]))
    assert whole.tolist() == [[0, 0], [127, -64]] and (scale > 0).all()


def test_the_golden_file_is_not_stale():
    stored, fresh = json.loads(export.GOLDEN.read_text(encoding="utf-8")), export.golden()
    advice = "run python tools/export_weights.py --golden"
    assert stored["sha256"] == fresh["sha256"], advice
    assert stored["small"].keys() == fresh["small"].keys() and stored["small"]["widths"] == fresh["small"]["widths"]
    pairs = [(stored["exported"], fresh["exported"])]
    pairs += [(stored["small"][key], fresh["small"][key]) for key in stored["small"] if key != "widths"]
    for old, new in pairs:
        torch.testing.assert_close(torch.tensor(old), torch.tensor(new), rtol=0, atol=2e-6, msg=advice)


def test_the_samples_have_every_digit_and_the_answers_of_the_net():
    assert {sample["label"] for sample in MANIFEST["samples"]} == set(range(10))
    answers = layer_goodness(exported(), export.sample_images(MANIFEST)).sum(dim=2).argmax(dim=1)
    assert answers.tolist() == [sample["answer"] for sample in MANIFEST["samples"]]


def test_the_test_error_after_rounding_is_the_one_that_the_manifest_records():
    try:
        _, test = load_mnist()
    except (ConnectionError, OSError) as error:
        pytest.skip(f"MNIST is not here: {error}")
    found = export.errors(layer_goodness(exported(), test.images), test.labels)
    for name, error in MANIFEST["test error"]["8 bits"].items():
        assert found[name] == pytest.approx(error, abs=0.011), name  # one image: a tie may break another way elsewhere
    for sample in MANIFEST["samples"]:
        assert sample["label"] == test.labels[sample["row"]]


def test_the_modules_pass_their_own_tests():
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node: tests/browser/test_draw.py checks the modules in Chromium")
    ran = subprocess.run([node, "--test", "tests/lab/draw.test.mjs"], cwd=export.ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
