"""Chapter 12's methods: targets worked out by hand, who learns from what, and what is refused."""

import json
from types import SimpleNamespace

import pytest
import torch

from experiments import rivals, rivals_tuning, runner
from ffutils import Split
from ffutils.rivals import (
    MLP,
    TargetNet,
    backprop_step,
    find_targets,
    inverse_loss,
    target_optimizers,
    target_step,
    train_backprop,
    train_targets,
)


@pytest.fixture
def split():
    """Ten noisy prototypes, which any of the methods can learn."""
    torch.manual_seed(1)
    y = torch.arange(400) % 10
    return Split((torch.rand(10, 30)[y] * 0.6 + 0.4 * torch.rand(400, 30)), y)


@pytest.fixture
def linear():
    """Eleven pixels, two linear hidden layers of two units; an inverse that is wrong, and known."""
    net = TargetNet(11, 2, 2, activation=lambda h: h)
    with torch.no_grad():
        net.layers[1].weight.copy_(torch.tensor([[1.0, 0.0], [-1.0, 2.0]]))
        net.inverses[0].weight.copy_(torch.tensor([[2.0, 0.0], [1.0, 1.0]]))
        net.inverses[0].bias.copy_(torch.tensor([0.5, -0.25]))
        net.output.weight.zero_()
        net.output.weight[0, 0] = 1.0  # label 0 is scored by the first unit, the others by none
        net.output.bias.zero_()
    return net


# States (0, 1) below (0, 2). All ten scores are 0, so each label has a chance of 0.1, and the gradient for label 0
# is (0.1 - 1) on the first unit. A step of 0.5 takes the upper state to (0.45, 2).
STATES = [torch.tensor([[0.0, 1.0]]), torch.tensor([[0.0, 2.0]])]
Y = torch.tensor([0])


def test_first_proposed_targets_by_hand(linear):
    below, above = find_targets(linear, STATES, Y, step=0.5, difference=False)
    torch.testing.assert_close(above, torch.tensor([[0.45, 2.0]]))
    torch.testing.assert_close(below, torch.tensor([[2 * 0.45 + 0.5, 0.45 + 2.0 - 0.25]]))


def test_difference_targets_by_hand(linear):
    below, above = find_targets(linear, STATES, Y, step=0.5)
    torch.testing.assert_close(above, torch.tensor([[0.45, 2.0]]))
    torch.testing.assert_close(below, torch.tensor([[0.0 + 2 * 0.45, 1.0 + 0.45]]))  # the inverse's bias is gone


def test_without_a_step_only_the_difference_leaves_the_states_alone(linear):
    for target, state in zip(find_targets(linear, STATES, Y, step=0.0), STATES, strict=True):
        torch.testing.assert_close(target, state)
    below, above = find_targets(linear, STATES, Y, step=0.0, difference=False)
    torch.testing.assert_close(above, STATES[1])
    assert not torch.allclose(below, STATES[0])


def test_with_an_exact_inverse_both_agree_and_the_target_is_reached(linear):
    with torch.no_grad():
        linear.inverses[0].weight.copy_(torch.linalg.inv(linear.layers[1].weight))
        linear.inverses[0].bias.zero_()
    plain = find_targets(linear, STATES, Y, step=0.5, difference=False)
    for one, other in zip(plain, find_targets(linear, STATES, Y, step=0.5), strict=True):
        torch.testing.assert_close(one, other)
    torch.testing.assert_close(linear.layers[1](plain[0]), plain[1])


def test_each_image_takes_the_step_of_its_own(linear):
    """Twice the batch is not half the step."""
    one = find_targets(linear, STATES, Y)
    two = find_targets(linear, [h.repeat(2, 1) for h in STATES], Y.repeat(2))
    for single, double in zip(one, two, strict=True):
        torch.testing.assert_close(single.repeat(2, 1), double)


def test_targets_pass_through_every_inverse():
    net = TargetNet(12, 5, 6, 7)
    states = net.states(torch.rand(3, 12))
    targets = find_targets(net, states, torch.tensor([1, 2, 3]), difference=False)
    torch.testing.assert_close(targets[1], net.back(1, targets[2]))
    torch.testing.assert_close(targets[0], net.back(0, targets[1]))
    assert not any(target.requires_grad for target in targets)


def test_inverse_loss_by_hand(linear):
    """Below (1, 1): the layer makes (1, 1), the inverse of that is (2.5, 1.75), off by (1.5, 0.75)."""
    with torch.no_grad():
        linear.layers[1].bias.zero_()
    value = inverse_loss(linear, 0, torch.ones(4, 2), noise=0.0)
    torch.testing.assert_close(value, torch.tensor((1.5**2 + 0.75**2) / 2))


def test_only_the_inverse_learns_from_its_loss():
    net = TargetNet(12, 5, 6, 7)
    inverse_loss(net, 1, net.states(torch.rand(3, 12))[1]).backward()
    assert [name for name, p in net.named_parameters() if p.grad is not None] == [
        "inverses.1.weight",
        "inverses.1.bias",
    ]


def test_a_layer_learns_from_its_own_distance_alone(monkeypatch):
    """Its gradient is the same, whatever targets the other layers have."""
    net, x, y = TargetNet(12, 5, 6, 7), torch.rand(3, 12), torch.tensor([1, 2, 3])
    still = [torch.optim.SGD(net.inverses.parameters(), lr=0.0), torch.optim.SGD(net.parameters(), lr=0.0)]
    goals = [torch.zeros(3, width) for width in (5, 6, 7)]
    monkeypatch.setattr("ffutils.rivals.find_targets", lambda *_: goals)
    target_step(net, still, x, y)
    before = net.layers[1].weight.grad.clone()
    goals[0], goals[2] = goals[0] + 1, goals[2] - 1
    target_step(net, still, x, y)
    assert torch.equal(net.layers[1].weight.grad, before)
    goals[1] = goals[1] + 1
    target_step(net, still, x, y)
    assert not torch.equal(net.layers[1].weight.grad, before)


def test_backprop_step_is_the_end_to_end_gradient():
    net, x, y = MLP(12, 5, 6), torch.rand(3, 12), torch.tensor([1, 2, 3])
    loss = torch.nn.functional.cross_entropy(net(x), y)
    slopes = torch.autograd.grad(loss, list(net.parameters()))
    before = [p.detach().clone() for p in net.parameters()]
    told = backprop_step(net, torch.optim.SGD(net.parameters(), lr=0.5), x, y)
    torch.testing.assert_close(told, loss.detach())
    for p, old, slope in zip(net.parameters(), before, slopes, strict=True):
        torch.testing.assert_close(p.detach(), old - 0.5 * slope)


@pytest.mark.parametrize("trainer", [train_backprop, train_targets])
def test_trainers_learn_repeat_and_report(split, trainer):
    seen, nets = [], []
    for _ in range(2):
        torch.manual_seed(3)
        nets.append(trainer((30, 20, 20), split, epochs=30, batch_size=20, lr=0.01, on_epoch=lambda *a: seen.append(a)))
    assert [epoch for _, epoch in seen] == 2 * list(range(1, 31)) and seen[0][0] is nets[0]
    wrong = [(net(split.images).argmax(dim=1) != split.labels).float().mean() for net in nets]
    assert wrong[0] == wrong[1] < 0.1
    assert torch.equal(nets[0].layers[0].weight, nets[1].layers[0].weight)


def test_schedule_scales_the_rate(split):
    torch.manual_seed(3)
    still = train_targets((30, 20, 20), split, epochs=2, schedule=lambda done: 0.0)
    torch.manual_seed(3)
    fresh = TargetNet(30, 20, 20)
    for one, other in zip(still.parameters(), fresh.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("trainer", [train_backprop, train_targets])
def test_bad_input(split, trainer):
    x, y = split
    with pytest.raises(ValueError, match=r"labels must be in 0\.\.9"):
        trainer((30, 5, 5), Split(x, y + 1))
    with pytest.raises(ValueError, match="images must lie in"):
        trainer((30, 5, 5), Split(255 * x, y))
    with pytest.raises(ValueError, match=r"expects an input of shape \(batch, 31\)"):
        trainer((31, 5, 5), split)
    with pytest.raises(ValueError, match="lr must be a positive number"):
        trainer((30, 5, 5), split, lr=0)
    with pytest.raises(ValueError, match="epochs must be a whole number"):
        trainer((30, 5, 5), split, epochs=0)
    with pytest.raises(ValueError, match="whole numbers of at least 1"):
        trainer((30, 0), split)


def test_bad_batches_and_nets(split):
    with pytest.raises(ValueError, match="needs two hidden layers or more"):
        TargetNet(30, 20)
    x, y = split.images[:4], split.labels[:3]
    with pytest.raises(ValueError, match="labels must have the shape"):
        backprop_step(MLP(30, 5), None, x, y)
    net = TargetNet(30, 5, 5)
    with pytest.raises(ValueError, match="labels must have the shape"):
        target_step(net, target_optimizers(net), x, y)


TINY = rivals.CONFIGURATION | {"network": [30, 6, 6], "images": 40, "epochs": 4, "batch size": 20}


@pytest.mark.parametrize("method", rivals.VARIANTS)
def test_a_trial_goes_on_where_it_was_left(split, method):
    c = TINY | rivals.VARIANTS[method] | {"dropped pixels": 0.1}
    ends = []
    for interrupted in (False, True):
        torch.manual_seed(5)
        trial = rivals.Trial(c, split)
        for epoch in range(2):
            trial.train_epoch(epoch)
        if interrupted:
            held, rng = trial.state_dict(), torch.get_rng_state()
            trial = rivals.Trial(c, split)
            trial.load_state_dict(held)
            torch.set_rng_state(rng)
        trial.train_epoch(2)
        ends.append(trial.errors(split)["error"])
        assert trial.errors(split)["CPU seconds"] >= 0
    assert ends[0] == ends[1]


def test_the_runner_takes_the_experiment(split, tmp_path):
    experiment = SimpleNamespace(
        TITLE="Tiny", PAPER=None, CONFIGURATION=TINY, VARIANTS=rivals.VARIANTS, SEEDS=(0,),
        STAGES=rivals.STAGES, Trial=rivals.Trial,
    )  # fmt: skip
    record = runner.run("tiny", experiment, results=tmp_path, checkpoints=tmp_path, splits=(split, split))
    assert [run["variant"] for run in record["runs"]] == list(rivals.VARIANTS)
    assert all(len(run["validation history"]) == 4 for run in record["runs"])


def test_each_rival_has_the_best_of_its_tries():
    """And as many tries as the others, the control apart."""
    record = json.loads((runner.RESULTS / "rivals_tuning.json").read_text())
    tries = {}
    for run in record["runs"]:
        settings = record["variants"][run["variant"]]
        error = run["validation error"].get("all layers", run["validation error"].get("scores"))
        tries.setdefault(settings["method"], []).append((error, settings))
    assert {len(tries[method]) for method in rivals_tuning.SECOND} == {12}
    for variant, settings in rivals.VARIANTS.items():
        best = min(error for error, _ in tries[variant])
        chosen = next(tried for error, tried in tries[variant] if error == best)
        assert rivals.CONFIGURATION | chosen == rivals.CONFIGURATION | settings
