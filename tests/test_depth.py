"""The label in every layer, and the trials that depth is compared by."""

import pytest
import torch

from experiments.tables import stored
from experiments.trials.depth import (
    DEPTH_TUNING,
    NARROW,
    WIDE_RATES,
    DepthConfig,
    DepthTrial,
    arms,
    tries,
)
from ffutils import goodness, load_digits, normalize
from ffutils.depth import BroadcastNet, broadcast_goodness_per_layer


@pytest.fixture(scope="module")
def few():
    train, test = load_digits()
    return type(train)(*(part[:300] for part in train)), test


def test_a_label_only_adds_a_row_of_its_own(few):
    """Each layer's ten goodnesses from one product equal ten passes."""
    x = few[1].images[:20]
    net = BroadcastNet(784, 12, 9)
    scores = broadcast_goodness_per_layer(net, x)
    for k, layer in enumerate(net.layers):
        sums = normalize(x) @ layer.weight.T + layer.bias
        for label in range(10):
            row = layer.label_strength * layer.label_weight[label]
            expected = goodness(torch.relu(sums + row))
            assert torch.allclose(scores[:, label, k], expected, atol=1e-5)
        neutral = layer.label_strength * layer.label_weight.mean(dim=0)
        x = torch.relu(sums + neutral)


@pytest.mark.parametrize("arm", arms(40))
def test_an_arm_learns_is_judged_and_goes_on_from_its_state(arm, few):
    config = DepthConfig(epochs=12, batch_size=50).changed(**arms(40)[arm])
    trained = DepthTrial(config, few[0])
    for epoch in range(config.epochs):
        losses = trained.train_epoch(epoch)
    assert torch.as_tensor(losses).isfinite().all()
    found = trained.errors(few[1])["error"]
    layers = len(config.network) - 1
    if config.method.startswith("backpropagation"):
        assert found.keys() == {"output layer"}
    else:
        assert len(found) == (layers + 2 if layers > 1 else 1)
    assert min(found.values()) < 65  # a guess is wrong on 90 %
    torch.manual_seed(9)
    other = DepthTrial(config, few[0])
    other.load_state_dict(trained.state_dict())
    assert other.errors(few[1])["error"] == found


def test_each_arm_has_the_best_of_its_tries():
    """A run that is judged by one layer, by its output or by the sum of its layers."""
    record = stored("depth_tuning")
    if record is None or len(record["runs"]) < len(DEPTH_TUNING.runs()):
        pytest.skip("not all tries are stored")
    for arm, config in NARROW.configs.items():
        found = {}
        for run in record["runs"]:
            if run["variant"].startswith(f"{arm}: "):
                *_, error = run["validation_error"].values()
                found[error] = record["variants"][run["variant"]]
        assert DEPTH_TUNING.config.changed(**found[min(found)]) == config


def test_every_arm_has_as_many_tries():
    counts = {arm: sum(k.startswith(f"{arm}: ") for k in tries(20)) for arm in arms(20)}
    raw = {arm for arm, c in arms(20).items() if c.get("method") == "backpropagation"}
    assert counts == {arm: 4 + (arm in raw) for arm in arms(20)}


def test_wide_layers_do_no_better_at_other_rates():
    """But for Forward-Forward's one wide layer, as chapter 07 says."""
    others, fashion = stored("depth_wide_rates"), stored("depth_wide_fashion")
    if others is None or len(others["runs"]) < len(WIDE_RATES.runs()):
        pytest.skip("not all tries are stored")
    own = {run["variant"]: run for run in fashion["runs"] if run["seed"] == 0}
    better = set()
    for run in others["runs"]:
        arm, _ = run["variant"].split(": ")
        (*_, tried), (*_, error) = (
            each["validation_error"].values() for each in (run, own[arm])
        )
        if tried < error:
            better.add(run["variant"])
    assert better == {"one layer, as many weights: lr 0.01"}
