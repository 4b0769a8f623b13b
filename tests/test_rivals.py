"""Chapter 12's methods: targets worked out by hand, and who learns from what."""

import dataclasses

import pytest
import torch

from experiments import runner
from experiments.tables import stored
from experiments.trials.rivals import (
    DROPPED,
    METHODS,
    RIVALS,
    RIVALS_TUNING,
    SECOND,
    TARGETS,
    TARGETS_TUNING,
)
from ffutils import Split, normalize
from ffutils.rivals import (
    MLP,
    NormalizedMLP,
    TargetPropNet,
    backprop_step,
    compute_targets,
    inverse_loss,
    target_optimizers,
    target_step,
    train_backprop,
    train_steps,
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
    """Eleven pixels, two linear layers of two units; an inverse that is wrong."""
    net = TargetPropNet(11, 2, 2, activation=lambda h: h)
    with torch.no_grad():
        net.layers[1].weight.copy_(torch.tensor([[1.0, 0.0], [-1.0, 2.0]]))
        net.inverses[0].weight.copy_(torch.tensor([[2.0, 0.0], [1.0, 1.0]]))
        net.inverses[0].bias.copy_(torch.tensor([0.5, -0.25]))
        net.output.weight.zero_()
        net.output.weight[0, 0] = (
            1.0  # label 0 is scored by the first unit, the others by none
        )
        net.output.bias.zero_()
    return net


# States (0, 1) below (0, 2). All ten scores are 0, so each label has a probability of
# 0.1, and the gradient for label 0 is (0.1 - 1) on the first unit. A step of 0.5 takes
# the upper state to (0.45, 2).
STATES = [torch.tensor([[0.0, 1.0]]), torch.tensor([[0.0, 2.0]])]
Y = torch.tensor([0])


def test_first_proposed_targets_by_hand(linear):
    below, above = compute_targets(linear, STATES, Y, step=0.5, difference=False)
    torch.testing.assert_close(above, torch.tensor([[0.45, 2.0]]))
    torch.testing.assert_close(
        below, torch.tensor([[2 * 0.45 + 0.5, 0.45 + 2.0 - 0.25]])
    )


def test_difference_targets_by_hand(linear):
    below, above = compute_targets(linear, STATES, Y, step=0.5)
    torch.testing.assert_close(above, torch.tensor([[0.45, 2.0]]))
    # The inverse's bias is gone.
    torch.testing.assert_close(below, torch.tensor([[0.0 + 2 * 0.45, 1.0 + 0.45]]))


def test_without_a_step_only_the_difference_leaves_the_states_alone(linear):
    for target, state in zip(
        compute_targets(linear, STATES, Y, step=0.0), STATES, strict=True
    ):
        torch.testing.assert_close(target, state)
    below, above = compute_targets(linear, STATES, Y, step=0.0, difference=False)
    torch.testing.assert_close(above, STATES[1])
    assert not torch.allclose(below, STATES[0])


def test_with_an_exact_inverse_both_agree_and_the_target_is_reached(linear):
    with torch.no_grad():
        linear.inverses[0].weight.copy_(torch.linalg.inv(linear.layers[1].weight))
        linear.inverses[0].bias.zero_()
    plain = compute_targets(linear, STATES, Y, step=0.5, difference=False)
    for one, other in zip(
        plain, compute_targets(linear, STATES, Y, step=0.5), strict=True
    ):
        torch.testing.assert_close(one, other)
    torch.testing.assert_close(linear.layers[1](plain[0]), plain[1])


def test_each_image_takes_the_step_of_its_own(linear):
    """Twice the batch is not half the step."""
    one = compute_targets(linear, STATES, Y)
    two = compute_targets(linear, [h.repeat(2, 1) for h in STATES], Y.repeat(2))
    for single, double in zip(one, two, strict=True):
        torch.testing.assert_close(single.repeat(2, 1), double)


def test_targets_pass_through_every_inverse():
    net = TargetPropNet(12, 5, 6, 7)
    states = net.states(torch.rand(3, 12))
    targets = compute_targets(net, states, torch.tensor([1, 2, 3]), difference=False)
    torch.testing.assert_close(targets[1], net.invert(1, targets[2]))
    torch.testing.assert_close(targets[0], net.invert(0, targets[1]))
    assert not any(target.requires_grad for target in targets)


def test_inverse_loss_by_hand(linear):
    """(1, 1) becomes (1, 1), whose inverse is (2.5, 1.75): off by (1.5, 0.75)."""
    with torch.no_grad():
        linear.layers[1].bias.zero_()
    value = inverse_loss(linear, 0, torch.ones(4, 2), noise=0.0)
    torch.testing.assert_close(value, torch.tensor((1.5**2 + 0.75**2) / 2))


def test_only_the_inverse_learns_from_its_loss():
    net = TargetPropNet(12, 5, 6, 7)
    inverse_loss(net, 1, net.states(torch.rand(3, 12))[1]).backward()
    assert [name for name, p in net.named_parameters() if p.grad is not None] == [
        "inverses.1.weight",
        "inverses.1.bias",
    ]


def test_a_layer_learns_from_its_own_distance_alone(monkeypatch):
    """Its gradient is the same, whatever targets the other layers have."""
    net, x, y = TargetPropNet(12, 5, 6, 7), torch.rand(3, 12), torch.tensor([1, 2, 3])
    still = [
        torch.optim.SGD(net.inverses.parameters(), lr=0.0),
        torch.optim.SGD(net.parameters(), lr=0.0),
    ]
    goals = [torch.zeros(3, width) for width in (5, 6, 7)]
    monkeypatch.setattr("ffutils.rivals.compute_targets", lambda *_: goals)
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
    grads = torch.autograd.grad(loss, list(net.parameters()))
    before = [p.detach().clone() for p in net.parameters()]
    loss_before = backprop_step(net, torch.optim.SGD(net.parameters(), lr=0.5), x, y)
    torch.testing.assert_close(loss_before, loss.detach())
    for p, old, grad in zip(net.parameters(), before, grads, strict=True):
        torch.testing.assert_close(p.detach(), old - 0.5 * grad)


def test_the_normalised_net_sees_directions_and_starts_as_forward_forward():
    torch.manual_seed(0)
    net, x = NormalizedMLP(784, 400, 300), torch.rand(4, 784)
    torch.testing.assert_close(net(x), net(7 * x))
    assert not torch.allclose(net(x), MLP.forward(net, x))
    h = torch.relu(net.layers[0](normalize(x)))
    torch.testing.assert_close(net(x), net.output(torch.relu(net.layers[1](h))))
    for layer in net.layers:
        expected = (2 / layer.in_features) ** 0.5
        assert layer.weight.std().item() == pytest.approx(expected, rel=0.03)
        assert not layer.bias.any()


@pytest.mark.parametrize("n_classes", [2, 3, 26])
@pytest.mark.parametrize("kind", [MLP, NormalizedMLP, TargetPropNet])
def test_any_number_of_classes(kind, n_classes):
    net = kind(30, 6, 5, n_classes=n_classes)
    assert net.n_classes == n_classes
    assert net(torch.rand(4, 30)).shape == (4, n_classes)


def test_first_weights_are_what_they_were():
    """In this order, since stored runs depend on it: layers, output, inverses."""
    torch.manual_seed(2)
    net = MLP(30, 6, 5)
    torch.manual_seed(2)
    for linear in [*net.layers, net.output]:
        fresh = torch.nn.Linear(linear.in_features, linear.out_features)
        assert torch.equal(linear.weight, fresh.weight)
    torch.manual_seed(2)
    net = TargetPropNet(30, 6, 5)
    torch.manual_seed(2)
    for sizes in ((30, 6), (6, 5), (5, 10), (5, 6)):
        torch.nn.Linear(*sizes)  # the draws that the orthogonal ones then replace
    for linear in [*net.layers, *net.inverses]:
        expected = torch.nn.init.orthogonal_(torch.empty_like(linear.weight))
        assert torch.equal(linear.weight, expected)


TRAINERS = pytest.mark.parametrize("trainer", [train_backprop, train_targets])


@TRAINERS
def test_trainers_learn_repeat_and_report(split, trainer):
    reports, nets = [], []
    for _ in range(2):
        torch.manual_seed(3)
        net = trainer(
            (30, 20, 20), split, epochs=30, batch_size=20, lr=0.01,
            on_epoch=lambda *report: reports.append(report),
        )  # fmt: skip
        nets.append(net)
    assert [epoch for _, epoch, _ in reports] == 2 * list(range(1, 31))
    assert reports[0][0] is nets[0] and reports[29][2] < reports[0][2]
    wrong = [(net(split.images).argmax(dim=1) != split.labels).float() for net in nets]
    assert torch.equal(*wrong) and wrong[0].mean() < 0.1
    assert torch.equal(nets[0].layers[0].weight, nets[1].layers[0].weight)


def test_the_schedule_scales_the_rate(split):
    torch.manual_seed(3)
    still = train_targets((30, 20, 20), split, epochs=2, lr_schedule=lambda fraction: 0)
    torch.manual_seed(3)
    fresh = TargetPropNet(30, 20, 20)
    for one, other in zip(still.parameters(), fresh.parameters(), strict=True):
        assert torch.equal(one, other)


@TRAINERS
def test_any_iterable_of_batches_will_do(split, trainer):
    """A DataLoader, a list of batches: as a split whose batches are the same."""
    loader = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(*split), batch_size=150
    )
    batch_list = list(zip(*(part.split(150) for part in split), strict=True))
    # A loader draws a seed of its own, so there must be no noise to be drawn after it.
    settings = {} if trainer is train_backprop else {"noise": 0.0}
    nets, losses = [], []
    for data in (loader, batch_list):
        torch.manual_seed(3)
        report = lambda net, epoch, loss: losses.append(loss)  # noqa: E731
        net = trainer((30, 20, 20), data, epochs=2, on_epoch=report, **settings)
        nets.append(net)
    assert torch.equal(nets[0].layers[0].weight, nets[1].layers[0].weight)
    assert torch.equal(torch.stack(losses[:2]), torch.stack(losses[2:]))


@TRAINERS
@pytest.mark.parametrize(
    "data, error, message",
    [
        ([], ValueError, "the data is empty"),
        (iter([]), TypeError, "only once"),
        (torch.utils.data.TensorDataset(torch.rand(4, 30)), TypeError, "DataLoader"),
        ((torch.rand(4, 30), torch.arange(4)), TypeError, r"Split\(images, labels\)"),
        (7, TypeError, "iterable of batches"),
    ],
)
def test_what_brings_no_batches_is_refused(trainer, data, error, message):
    with pytest.raises(error, match=message):
        trainer((30, 20, 20), data, epochs=1)


def test_the_mean_loss_counts_images_not_batches(split):
    """Batches of 300 and 100 images, whose losses are 1 and 5: 2, not 3."""
    net = MLP(30, 5)
    parts = [torch.optim.SGD(net.parameters(), lr=0.0)]
    step = lambda x, y: torch.tensor(1.0 if len(x) == 300 else 5.0)  # noqa: E731
    assert train_steps(net, parts, step, split, 2, 300, 0.1).tolist() == [2.0, 2.0]


@TRAINERS
def test_three_classes(split, trainer):
    net = trainer(
        (30, 20, 20), Split(split.images, split.labels % 3), n_classes=3, epochs=1
    )
    assert net(split.images).shape == (400, 3)


@TRAINERS
def test_a_true_value_of_on_epoch_ends_the_training(split, trainer):
    epochs = []

    def stop(net, epoch, loss):
        epochs.append(epoch)
        return epoch == 2

    trainer((30, 20, 20), split, epochs=5, on_epoch=stop)
    assert epochs == [1, 2]


@TRAINERS
def test_an_interrupt_keeps_what_has_been_learnt(split, trainer, capsys):
    weights = []

    def interrupt(net, epoch, loss):
        weights.append(net.layers[0].weight.clone())
        if epoch == 2:
            raise KeyboardInterrupt

    net = trainer((30, 20, 20), split, epochs=5, on_epoch=interrupt)
    assert len(weights) == 2 and torch.equal(net.layers[0].weight, weights[1])
    assert "keeps what it has learnt" in capsys.readouterr().out


def test_epochs_that_were_not_finished_have_no_loss(split):
    net = MLP(30, 5)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    losses = train_steps(
        net, [optimizer], lambda x, y: backprop_step(net, optimizer, x, y), split,
        4, 100, 0.1, on_epoch=lambda net, epoch, loss: epoch == 3,
    )  # fmt: skip
    assert losses.isnan().tolist() == [False, False, False, True]


@TRAINERS
@pytest.mark.parametrize("lr", [1e10, 1e20, 1e30])
@pytest.mark.parametrize("batch_size", [100, 400])
def test_divergence_is_an_error(split, trainer, lr, batch_size):
    with pytest.raises(FloatingPointError, match="diverged"):
        trainer((30, 20, 20), split, epochs=3, lr=lr, batch_size=batch_size)


def test_divergence_in_the_last_batch_is_seen(split):
    """Its loss is that of the weights before, but the weights are not finite."""
    net = MLP(30, 5)

    def train_step(x, y):
        net.output.weight.data.fill_(torch.nan)
        return torch.tensor(1.0)

    with pytest.raises(FloatingPointError, match="epoch 1"):
        train_steps(net, [], train_step, split, 3, 400, 0.1)


@TRAINERS
def test_bad_input(split, trainer):
    x, y = split
    for images, labels, message in (
        (x, y + 1, r"labels must be in 0\.\.9"),
        (255 * x, y, "images must lie in"),
        (x, y[:-1], "labels must have the shape"),
    ):
        with pytest.raises(ValueError, match=message):
            trainer((30, 5, 5), Split(images, labels))
    for sizes, settings, message in (
        ((31, 5, 5), {}, r"\(batch, 31\)"),
        ((30, 5, 5), {"lr": 0}, "lr must be a finite number"),
        ((30, 5, 5), {"epochs": 0}, "epochs must be a whole number"),
        ((30, 5, 5), {"batch_size": 0}, "batch_size must be a whole number"),
        ((30, 5, 5), {"n_classes": 9}, r"0\.\.8"),
        ((30, 0), {}, "whole number"),
    ):
        with pytest.raises(ValueError, match=message):
            trainer(sizes, split, **settings)


def test_bad_batches_and_nets(split):
    with pytest.raises(ValueError, match="needs two hidden layers or more"):
        TargetPropNet(30, 20)
    x, y = split.images[:4], split.labels[:3]
    with pytest.raises(ValueError, match="labels must have the shape"):
        backprop_step(MLP(30, 5), None, x, y)
    net = TargetPropNet(30, 5, 5)
    with pytest.raises(ValueError, match="labels must have the shape"):
        target_step(net, target_optimizers(net), x, y)


TINY = RIVALS.config.changed(network=[30, 6, 6], images=40, epochs=4, batch_size=20)


@pytest.mark.parametrize("method", METHODS)
def test_a_trial_goes_on_where_it_was_left(split, method):
    config = TINY.changed(**(METHODS[method] | {"dropped_pixels": 0.1}))
    ends = []
    for interrupted in (False, True):
        torch.manual_seed(5)
        trial = RIVALS.trial(config, split)
        for epoch in range(2):
            trial.train_epoch(epoch)
        if interrupted:
            held, rng = trial.state_dict(), torch.get_rng_state()
            trial = RIVALS.trial(config, split)
            trial.load_state_dict(held)
            torch.set_rng_state(rng)
        trial.train_epoch(2)
        ends.append(trial.errors(split)["error"])
        assert trial.errors(split)["cpu_seconds"] >= 0
    assert ends[0] == ends[1]


def test_the_runner_takes_the_experiment(split, tmp_path):
    experiment = dataclasses.replace(RIVALS, name="tiny", config=TINY, seeds=(0,))
    folders = {"folder": tmp_path, "cache": tmp_path}
    record = runner.run(experiment, **folders, splits=(split, split))
    assert [run["variant"] for run in record["runs"]] == list(METHODS | DROPPED)
    assert all(len(run["validation_history"]) == 4 for run in record["runs"])


def stored_tries(experiment):
    """By method, the error and the settings of each try; skips where one is missing."""
    record, tries = stored(experiment.name), {}
    if record is None or len(record["runs"]) < len(experiment.runs()):
        pytest.skip("not all tries are stored")
    for run in record["runs"]:
        settings = record["variants"][run["variant"]]
        errors = run["validation_error"]
        error = errors.get("sum of all layers", errors.get("output layer"))
        tries.setdefault(settings["method"], []).append((error, settings))
    return tries


def assert_best(variant, tries):
    """The settings of a variant of `rivals` are those of the try of least error."""
    _, best = min(tries, key=lambda entry: entry[0])
    assert RIVALS.config.changed(**best) == RIVALS.configs[variant]


def test_each_rival_has_the_best_of_its_tries():
    """And as many tries as the others, the control apart."""
    tries = stored_tries(RIVALS_TUNING)
    assert {len(tries[method]) for method in SECOND} == {12}
    for method in METHODS:
        assert_best(method, tries[method])


def test_target_propagation_has_the_best_of_its_further_tries():
    tries = stored_tries(TARGETS_TUNING)
    assert {method: len(entries) for method, entries in tries.items()} == dict.fromkeys(
        TARGETS, 12
    )
    for method, entries in tries.items():
        assert_best(f"{method}, pixels dropped", entries)
