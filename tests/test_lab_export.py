"""The net of "Draw a digit": its manifest describes it, its golden file is fresh."""

import hashlib
import json
import shutil
import subprocess

import pytest
import torch

from ffutils.data import load_dataset, split_validation
from ffutils.layers import FFNet
from ffutils.prediction import layer_errors, predict
from ffutils.saving import save_net
from tools.lab import export_weights as export

MANIFEST = export.read_manifest()


def exported():
    data = (export.LAB / MANIFEST["file"]).read_bytes()
    return export.unpack(data, MANIFEST["widths"])


def test_the_file_is_the_one_that_the_manifest_describes():
    data = (export.LAB / MANIFEST["file"]).read_bytes()
    assert len(data) == MANIFEST["bytes"] <= 1_500_000
    assert hashlib.sha256(data).hexdigest() == MANIFEST["sha256"]
    assert MANIFEST["widths"][0] == 784
    assert len(MANIFEST["widths"]) == 4, "three trained layers"
    assert "CC BY-SA 3.0" in MANIFEST["license"]


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
    whole, scale = export.quantize(torch.tensor([[0.0, 0.0], [1.0, -0.5]]))
    assert whole.tolist() == [[0, 0], [127, -64]] and (scale > 0).all()


def test_the_golden_file_is_not_stale():
    stored = json.loads(export.GOLDEN.read_text(encoding="utf-8"))
    fresh = export.golden()
    advice = "run python tools/lab/export_weights.py --golden"
    assert stored["sha256"] == fresh["sha256"], advice
    assert stored["small"].keys() == fresh["small"].keys()
    assert stored["small"]["widths"] == fresh["small"]["widths"]
    pairs = [(stored["exported"], fresh["exported"])]
    pairs += [
        (stored["small"][key], fresh["small"][key])
        for key in stored["small"]
        if key != "widths"
    ]
    # Processors add up in different orders: 4e-6 has been seen between two of them.
    for old, new in pairs:
        torch.testing.assert_close(
            torch.tensor(old), torch.tensor(new), rtol=0, atol=1e-5, msg=advice
        )


def test_the_samples_have_every_digit_and_the_answers_of_the_net():
    assert {sample["label"] for sample in MANIFEST["samples"]} == set(range(10))
    answers = predict(exported(), export.sample_images(MANIFEST))
    assert answers.tolist() == [sample["answer"] for sample in MANIFEST["samples"]]


def test_the_test_error_after_rounding_is_the_one_that_the_manifest_records():
    try:
        _, _, test = load_dataset("mnist")
    except (ConnectionError, OSError) as error:
        pytest.skip(f"MNIST is not here: {error}")
    errors = layer_errors(exported(), test)
    assert errors.keys() == MANIFEST["test_error"]["int8"].keys()
    for name, error in MANIFEST["test_error"]["int8"].items():
        # one image: a tie may break another way elsewhere
        assert errors[name] == pytest.approx(error, abs=0.011), name
    for sample in MANIFEST["samples"]:
        assert sample["label"] == test.labels[sample["row"]]


def test_the_calibration_is_what_the_net_does_on_images_that_it_has_not_seen():
    assert MANIFEST["training"]["images"] == 50_000
    try:
        _, train, _ = load_dataset("mnist")
    except (ConnectionError, OSError) as error:
        pytest.skip(f"MNIST is not here: {error}")
    stored = MANIFEST["calibration"]
    _, validation = split_validation(train)
    fresh = export.calibrate(exported(), validation, {})
    assert sum(row["images"] for row in stored["leads"]) == 10_000
    for old, new in zip(stored["leads"], fresh["leads"], strict=True):
        # a lead on the border may fall on its other side elsewhere
        assert old["below"] == new["below"]
        assert new["images"] == pytest.approx(old["images"], abs=2)
        assert new["wrong"] == pytest.approx(old["wrong"], abs=2)
    for name, band in stored["bands"].items():
        assert fresh["bands"][name] == pytest.approx(band, abs=0.01), name
    assert fresh["outside"]["validation"] <= 0.02


def test_signs_of_a_digit_are_measured_on_the_image():
    net = FFNet(784, 5)
    images = torch.zeros(2, 28, 28)
    images[0, 4:10, 3:5] = 1.0
    images[1, 20, 3] = 0.2  # too pale to count for a row
    labels, lead, signs = export.features(net, images.view(2, 784))
    assert signs["ink"].tolist() == pytest.approx([12, 0.2])
    assert signs["rows"][0] == 6
    assert (lead >= 0).all() and signs["standout"][0] >= 0
    bands = {"ink": [1, 20], "rows": [2, None]}
    assert export.outside(signs, bands).tolist() == [False, True]


def test_a_saved_net_is_taken_up_if_it_never_saw_the_validation_images(tmp_path):
    net, path = FFNet(784, 6, 5, 4), tmp_path / "net.pt"
    save_net(net, path, dataset="mnist", images=50_000, seed=3, epochs=2)
    loaded, training = export.load_trained(path)
    assert export.pack(loaded) == export.pack(net)
    assert training == {"images": 50_000, "seed": 3, "epochs": 2}
    save_net(net, path, dataset="fashion", images=50_000, seed=3, epochs=2)
    with pytest.raises(ValueError, match="trained on 'fashion'"):
        export.load_trained(path)
    save_net(net, path, dataset="mnist", images=60_000, seed=3, epochs=2)
    with pytest.raises(ValueError, match="trained on 60000 images: expected 50,000"):
        export.load_trained(path)


@pytest.mark.parametrize("tests", ["draw", "worker"])
def test_the_modules_pass_their_own_tests(tests):
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node: tests/browser/test_draw.py checks them in Chromium")
    ran = subprocess.run(
        [node, "--test", f"tests/lab/{tests}.test.mjs"],
        cwd=export.ROOT,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
