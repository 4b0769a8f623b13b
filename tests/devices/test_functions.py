"""Every public function of ffutils on a pretended GPU: a tensor left on the CPU fails as on CUDA.

A new function, or a new class, is missing here by name until it has a line of its own.
"""

import importlib
import inspect
import pkgutil
import sys
from types import SimpleNamespace

import matplotlib.pyplot as plt
import pytest
import torch
from pretend_cuda import pretended_cuda

import ffutils
from ffutils import (
    RECIPE,
    FFLayer,
    FFNet,
    Split,
    augment,
    checks,
    claims,
    compare,
    data,
    depth,
    fast,
    hybrids,
    labels,
    layers,
    local,
    memory,
    pipeline,
    plots,
    prediction,
    recipe,
    recurrent,
    rivals,
    saving,
    sequences,
    training,
)  # fmt: skip
from ffutils import __main__ as command_line


def train_settings(**changes):
    return {"epochs": 2, "batch_size": 40, "progress": False} | changes


@pytest.fixture
def gpu(few, tmp_path):
    """What the functions are called with; all of it lies on the GPU."""
    net = FFNet(784, 12, 10).to("cuda")
    x, y = few
    return SimpleNamespace(
        x=x, y=y, few=few, net=net, wrong=(y + 1) % 10, folder=tmp_path, layer=net.layers[0],
        adam=[torch.optim.Adam(layer.parameters()) for layer in net.layers],
        written=(net.write_label(x, y), net.write_label(x, (y + 1) % 10)),
        h=net(x)[0].detach(), other=net(x.flip(0))[0].detach(),
        field=local.LocallyConnected2d(28, 1, 10, 6, 3).to("cuda"),
        settling=recurrent.RecurrentNet(784, 12, 10, 10).to("cuda"),
        mlp=rivals.MLP(784, 12, 10).to("cuda"), targets=rivals.TargetPropNet(784, 12, 10).to("cuda"),
        scores=torch.rand(100, 10, device="cuda"),
        every=depth.BroadcastNet(784, 12, 10).to("cuda"),
    )  # fmt: skip


def fresh_layer(gpu):
    layer = FFLayer(784, 5).to("cuda")
    layer(gpu.x).sum().backward()
    return layer.weight.grad


def own_overlay(x, y, n_classes, strength):
    return torch.cat(
        [strength * torch.nn.functional.one_hot(y, n_classes), x[:, n_classes:]], dim=1
    )


def a_net_of_own_pieces(gpu):
    net = FFNet(784, local.LocallyConnected2d(28, 1, 10, 6, 3), overlay=own_overlay).to(
        "cuda"
    )
    training.train(
        net, gpu.few, **train_settings(negative_labels=recipe.hard_negatives)
    )
    return [
        recipe.label_goodness_first_layer(net, gpu.x),
        net.write_neutral(gpu.x),
        *net(gpu.x),
    ]


def by_the_book(gpu):
    for settings in (
        {},
        RECIPE | {"augment": recipe.jitter},
        {"augment": recipe.drop_pixels, "greedy": True},
    ):
        yield training.train(gpu.net, gpu.few, **(settings | train_settings()))
    batches = list(zip(gpu.x.cpu().split(40), gpu.y.cpu().split(40), strict=True))
    yield training.train(gpu.net, batches, **train_settings())


def peers(gpu):
    loss = local.peer_loss(
        gpu.field.preactivation(gpu.x), torch.zeros(48, device="cuda")
    )
    loss.backward()
    return loss, gpu.field.weight.grad


def settled(gpu):
    loss = recurrent.recurrent_loss(gpu.settling, gpu.x, gpu.y, gpu.wrong)
    loss.backward()
    return loss, gpu.settling.up[0].weight.grad


def text_net():
    return FFNet(330, 12, 10, n_classes=30).to("cuda")


def text():
    return sequences.cut_strings("a fox and some grapes. " * 7, length=20).to("cuda")


def day_and_night(gpu):
    net, data = text_net(), sequences.windows(text())
    optimizers = [torch.optim.Adam(layer.parameters()) for layer in net.layers]
    for negatives in (sequences.teacher_forced, sequences.self_generated):
        sequences.train_in_phases(net, optimizers, data, negatives, phase=2)
    sequences.train_phase(net, optimizers, [data], positive=True)
    return [parameter.grad for parameter in net.parameters()]


def settle(gpu):
    net = recurrent.RecurrentNet(784, 12, 10, 10).to("cuda")
    return [*net(gpu.x, torch.stack([gpu.y, gpu.wrong]), steps=2)][-1]


def a_stage(gpu):
    incoming = ((pipeline.clock(), *gpu.written) for _ in range(2))
    sent = []
    losses, _ = pipeline.train_stage(
        gpu.net.layers,
        gpu.adam,
        incoming,
        lambda *pair: sent.extend(pair),
        [0.1, 0.1],
        gpu.net.goodness,
    )
    return [losses, *sent]


def in_parallel(gpu):
    losses, spans = pipeline.train_parallel(
        gpu.net, gpu.few, 2, epochs=1, batch_size=50, threads=2
    )
    assert all(on_gpu(p) for p in gpu.net.parameters())
    return [losses, *spans]


def saved(gpu):
    """A file of a net on the GPU holds nothing of it: it is read without one."""
    found = []
    for net in (
        gpu.net,
        gpu.settling,
        gpu.mlp,
        gpu.targets,
        torch.nn.ModuleList([gpu.field]),
    ):
        saving.save_net(net, gpu.folder / "net", errors=[1.0])
        content = torch.load(gpu.folder / "net", weights_only=True)  # each where it was
        found += content["weights"].values()
        found += saving.load_net(gpu.folder / "net").parameters()
    return found


def counted(gpu):
    net = FFNet(784, 12).to("cuda")
    with memory.SavedTensorMemory(net.parameters()) as count:
        kept = net(gpu.x)
    assert count.now > 0
    kept[0].sum().backward()
    assert count.now == 0
    return kept


def softmax(gpu):
    features = prediction.neutral_activations(gpu.net, gpu.x)
    head = prediction.fit_softmax(features, gpu.y, epochs=1)
    return [features, head(features), head.weight]


def draw(function):
    def call(gpu):
        figure = function(gpu)
        plt.close("all")
        return figure

    return call


def histograms(gpu):
    figure, ax = plt.subplots()
    plots.show_goodness(ax, gpu.h.square().mean(dim=1), gpu.other.square().mean(dim=1))
    return figure


# What each is called with, and where its tensors are then.
ON_THE_GPU = {
    "augment.affine": lambda gpu: augment.affine(gpu.x),
    "data.Split": lambda gpu: Split(gpu.x, gpu.y),
    "data.batches": lambda gpu: [
        *data.batches(gpu.few, 30),
        *data.batches([(gpu.x.cpu(), gpu.y.cpu())], 9, device="cuda"),
    ],
    "data.load_digits": lambda gpu: data.load_digits("cuda"),
    "data.split_validation": lambda gpu: data.split_validation(gpu.few),
    "hybrids.blurred_masks": lambda gpu: hybrids.blurred_masks(3, device="cuda"),
    "hybrids.hybrids": lambda gpu: hybrids.hybrids(gpu.x),
    "labels.neutral": lambda gpu: labels.neutral(gpu.x),
    "labels.overlay": lambda gpu: labels.overlay(gpu.x, gpu.y),
    "labels.wrong_labels": lambda gpu: labels.wrong_labels(gpu.y),
    "layers.FFLayer": fresh_layer,
    "layers.FFNet": a_net_of_own_pieces,
    "layers.full_precision": lambda gpu: layers.full_precision(gpu.h.bfloat16()),
    "layers.goodness": lambda gpu: layers.goodness(gpu.h),
    "layers.normalize": lambda gpu: layers.normalize(gpu.h),
    "local.LocallyConnected2d": lambda gpu: local.LocallyConnected2d(
        28, 1, 10, 6, 3
    ).to("cuda")(gpu.x),
    "local.peer_loss": peers,
    "memory.SavedTensor": counted,
    "memory.SavedTensorMemory": counted,
    "pipeline.first_stage_batches": lambda gpu: [
        p for _, *p in pipeline.first_stage_batches(gpu.net, gpu.few, 50, 1)
    ],
    "pipeline.train_stage": a_stage,
    "prediction.fit_softmax": softmax,
    "prediction.label_goodness": lambda gpu: prediction.label_goodness(
        gpu.net, gpu.x, [1]
    ),
    "prediction.label_goodness_per_layer": lambda gpu: (
        prediction.label_goodness_per_layer(gpu.net, gpu.x)
    ),
    "prediction.neutral_activations": softmax,
    "prediction.predict": lambda gpu: prediction.predict(gpu.net, gpu.x),
    "recipe.drop_pixels": lambda gpu: recipe.drop_pixels(gpu.x),
    "recipe.hard_negatives": lambda gpu: recipe.hard_negatives(gpu.net, gpu.x, gpu.y),
    "recipe.jitter": lambda gpu: recipe.jitter(gpu.x, 2),
    "recipe.label_goodness_first_layer": lambda gpu: recipe.label_goodness_first_layer(
        gpu.net, gpu.x
    ),
    "recipe.pair_loss": lambda gpu: recipe.pair_loss(gpu.h, gpu.other),
    "recipe.sample_wrong_labels": lambda gpu: recipe.sample_wrong_labels(
        gpu.scores, gpu.y
    ),
    "recurrent.RecurrentNet": settle,
    "recurrent.goodness_over_time": lambda gpu: recurrent.goodness_over_time(
        gpu.settling, gpu.x
    ),
    "recurrent.recurrent_loss": settled,
    "sequences.NGrams": lambda gpu: sequences.NGrams(text()).predict(
        sequences.windows(text()).images
    ),
    "sequences.hold_out_end": lambda gpu: sequences.hold_out_end(text()),
    "sequences.join": lambda gpu: sequences.join([sequences.windows(text())] * 2),
    "sequences.phase_loss": lambda gpu: sequences.phase_loss(gpu.h, positive=True),
    "sequences.read_contexts": lambda gpu: sequences.read_contexts(
        sequences.windows(text()).images
    ),
    "sequences.run_on": lambda gpu: sequences.run_on(text_net(), text(), 3),
    "sequences.sample_next": lambda gpu: sequences.sample_next(
        text_net(), sequences.windows(text()).images
    ),
    "sequences.self_generated": lambda gpu: sequences.self_generated(
        text_net(), sequences.windows(text()), length=12
    ),
    "sequences.split_strings": lambda gpu: sequences.split_strings(text()),
    "sequences.teacher_forced": lambda gpu: sequences.teacher_forced(
        text_net(), sequences.windows(text())
    ),
    "sequences.train_in_phases": day_and_night,
    "sequences.train_phase": day_and_night,
    "sequences.windows": lambda gpu: sequences.windows(text()),
    "sequences.write_contexts": lambda gpu: sequences.write_contexts(text()[:, :10]),
    "depth.BroadcastLayer": lambda gpu: gpu.every.layers[0].neutral(
        gpu.every.layers[0].sums(gpu.x)
    ),
    "depth.BroadcastNet": lambda gpu: gpu.every(gpu.x),
    "depth.broadcast_goodness_per_layer": lambda gpu: (
        depth.broadcast_goodness_per_layer(gpu.every, gpu.x)
    ),
    "depth.broadcast_step": lambda gpu: depth.broadcast_step(
        gpu.every,
        [torch.optim.Adam(layer.parameters()) for layer in gpu.every.layers],
        gpu.x,
        gpu.y,
    ),
    "fast.broadcast_gradients": lambda gpu: [
        fast.broadcast_gradients(gpu.every, gpu.x, gpu.y, half=True),
        *(parameter.grad for parameter in gpu.every.parameters()),
    ],
    "fast.ff_gradients": lambda gpu: [
        fast.ff_gradients(gpu.net, gpu.x, gpu.y),
        *(parameter.grad for parameter in gpu.net.parameters()),
    ],
    "fast.first_layer": lambda gpu: fast.first_layer(gpu.net, gpu.x, False),
    "fast.layer_gradients": lambda gpu: fast.layer_gradients(
        gpu.net.layers, gpu.x, gpu.x, 30.0, False
    ),
    "fast.pair_gradients": lambda gpu: fast.pair_gradients(gpu.h, gpu.other, 30.0),
    "fast.product": lambda gpu: fast.product(gpu.x, gpu.x.T, True),
    "fast.lowered": lambda gpu: fast.lowered(gpu.x, True),
    "fast.scaled": lambda gpu: fast.scaled(gpu.h),
    "fast.mean_square": lambda gpu: fast.mean_square(gpu.h),
    "fast.sum_of_goodness": lambda gpu: fast.sum_of_goodness(
        gpu.net.layers[1:], gpu.h[:, None].expand(-1, 10, -1), False
    ),
    "rivals.MLP": lambda gpu: rivals.MLP(784, 9).to("cuda")(gpu.x),
    "rivals.NormalizedMLP": lambda gpu: rivals.NormalizedMLP(784, 9).to("cuda")(gpu.x),
    "rivals.TargetPropNet": lambda gpu: rivals.TargetPropNet(784, 9, 8).to("cuda")(
        gpu.x
    ),
    "rivals.backprop_step": lambda gpu: rivals.backprop_step(
        gpu.mlp, torch.optim.Adam(gpu.mlp.parameters()), gpu.x, gpu.y
    ),
    "rivals.compute_targets": lambda gpu: rivals.compute_targets(
        gpu.targets, gpu.targets.states(gpu.x), gpu.y
    ),
    "rivals.inverse_loss": lambda gpu: rivals.inverse_loss(
        gpu.targets, 0, gpu.targets.states(gpu.x)[0]
    ),
    "rivals.target_optimizers": lambda gpu: [
        p
        for o in rivals.target_optimizers(gpu.targets)
        for group in o.param_groups
        for p in group["params"]
    ],
    "rivals.target_step": lambda gpu: rivals.target_step(
        gpu.targets, rivals.target_optimizers(gpu.targets), gpu.x, gpu.y
    ),
    "rivals.train_backprop": lambda gpu: rivals.train_backprop(
        (784, 12, 10), gpu.few, 1, 40
    )(gpu.x),
    "rivals.train_targets": lambda gpu: rivals.train_targets(
        (784, 12, 10), gpu.few, 1, 40
    )(gpu.x),
    "training.logistic_loss": lambda gpu: training.logistic_loss(gpu.h, gpu.other),
    "training.random_negatives": lambda gpu: training.random_negatives(
        gpu.net, gpu.x, gpu.y
    ),
    "training.train_batch": lambda gpu: training.train_batch(
        gpu.net, gpu.adam, *gpu.written, [1]
    ),
    "training.train_layer": lambda gpu: training.train_layer(
        gpu.layer, gpu.adam[0], *gpu.written
    ),
}
ON_THE_CPU = {
    "fast.fast_train": lambda gpu: [
        fast.fast_train(net, gpu.few, 2, 40, augment=recipe.jitter, progress=False)
        for net in (gpu.net, gpu.every)
    ],
    "data.fixed_order": lambda gpu: data.fixed_order(9),
    "pipeline.train_parallel": in_parallel,
    "rivals.train_steps": lambda gpu: rivals.train_steps(
        gpu.mlp, [], lambda x, y: gpu.mlp(x).sum().detach(), gpu.few, 1, 50, 0.1
    ),
    "saving.load_net": saved,
    "saving.save_net": saved,
    "sequences.cut_strings": lambda gpu: sequences.cut_strings("a fox" * 20, 11),
    "sequences.encode": lambda gpu: sequences.encode("a fox"),
    "training.train": by_the_book,
    "training.train_epoch": lambda gpu: training.train_epoch(
        gpu.net, gpu.adam, gpu.few, [0, 1], 40
    ),
}
NO_TENSOR = {
    "checks.check_autocast": lambda gpu: checks.check_autocast(gpu.x.device),
    "checks.check_batch": lambda gpu: checks.check_batch(gpu.x),
    "checks.check_data": lambda gpu: checks.check_data(gpu.few, 9),
    "checks.check_dropping": lambda gpu: checks.check_dropping(gpu.x, 0.3),
    "checks.check_fit": lambda gpu: checks.check_fit(gpu.h, gpu.y, 10, 1, 0.1),
    "checks.check_goodness": lambda gpu: checks.check_goodness(gpu.scores),
    "checks.check_images": lambda gpu: checks.check_images(gpu.x),
    "checks.check_input": lambda gpu: checks.check_input(gpu.net, gpu.x),
    "checks.check_label_batch": lambda gpu: checks.check_label_batch(gpu.y),
    "checks.check_labels": lambda gpu: checks.check_labels(gpu.y, 10),
    "checks.check_layers": lambda gpu: checks.check_layers(
        gpu.net, torch.tensor([0, 1], device="cuda")
    ),
    "checks.check_loss": lambda gpu: checks.check_loss(
        gpu.net.layers[0](gpu.x).mean(), gpu.x, gpu.x
    ),
    "checks.check_losses": lambda gpu: checks.check_losses(
        torch.zeros(2), [0, 1], 0, gpu.net
    ),
    "checks.check_net": lambda gpu: checks.check_net(gpu.net),
    "checks.check_one_per_row": lambda gpu: checks.check_one_per_row(
        gpu.net.goodness(gpu.h), gpu.h
    ),
    "checks.check_pieces": lambda gpu: checks.check_pieces(gpu.net, gpu.x),
    "checks.check_room": lambda gpu: checks.check_room(gpu.x, 10),
    "checks.check_run": lambda gpu: (
        checks.check_run(gpu.mlp, gpu.few, 1, 9, 0.1) is None
    ),
    "checks.check_same_place": lambda gpu: checks.check_same_place(gpu.net, gpu.x),
    "checks.check_split": lambda gpu: checks.check_split(gpu.few),
    "checks.check_square": lambda gpu: checks.check_square(gpu.x),
    "checks.check_training": lambda gpu: checks.check_training(
        gpu.net, gpu.few, 1, 9, 0.1
    ),
    "checks.check_unfrozen": lambda gpu: checks.check_unfrozen(gpu.net),
    "checks.check_weights": lambda gpu: checks.check_weights(gpu.net),
    "checks.first_batch": lambda gpu: checks.first_batch([gpu.few]) is None,
    "checks.warn_of_dead_layers": lambda gpu: checks.warn_of_dead_layers(
        gpu.net, gpu.x
    ),
    "checks.warn_of_ties": lambda gpu: checks.warn_of_ties(gpu.scores),
    "claims.check_claims": lambda gpu: claims.check_claims(
        "mnist",
        ("a figure", gpu.x.mean(), {"mnist": (None, 1)}),
        ("all", gpu.x.isfinite().all()),
    ),
    "compare.compare": lambda gpu: compare(
        {}, {"lr": 0.01}, sizes=(6, 5), images=60, epochs=1, seeds=(0,)
    ),
    "fast.bfloat16_is_quicker": lambda gpu: fast.bfloat16_is_quicker(gpu.x.device),
    "fast.gradients_of": lambda gpu: fast.gradients_of(gpu.every),
    "plots.show_goodness": draw(histograms),
    "plots.show_images": draw(lambda gpu: plots.show_images(gpu.x[:3], list("abc"))),
    "plots.show_receptive_fields": draw(
        lambda gpu: plots.show_receptive_fields(gpu.layer.weight)
    ),
    "prediction.error_rate": lambda gpu: prediction.error_rate(gpu.wrong, gpu.y),
    "prediction.layer_errors": lambda gpu: prediction.layer_errors(gpu.net, gpu.few),
    "recipe.is_by_the_book": lambda gpu: recipe.is_by_the_book(gpu.net),
    "recurrent.check_label_rows": lambda gpu: recurrent.check_label_rows(
        gpu.y[None], 100
    ),
    "rivals.check_converging": lambda gpu: rivals.check_converging(
        gpu.mlp, torch.zeros(()), 0
    ),
    "saving.all_own_functions": lambda gpu: saving.all_own_functions(gpu.net),
    "saving.check_broadcast": lambda gpu: saving.check_broadcast(
        depth.BroadcastNet(784, 9).to("cuda")
    ),
    "saving.check_facts": lambda gpu: saving.check_facts({"labels": gpu.y}),
    "saving.describe": lambda gpu: saving.describe(gpu.net),
    "saving.describe_layer": lambda gpu: saving.describe_layer(gpu.layer),
    "saving.own_functions": lambda gpu: saving.own_functions(gpu.net),
    "sequences.decode": lambda gpu: sequences.decode(gpu.y),
    "training.set_lr": lambda gpu: training.set_lr(gpu.adam, 0.1),
}
CALLS = ON_THE_GPU | ON_THE_CPU | NO_TENSOR
# Those that are handed no tensor and make none.
WITHOUT = {
    "checks": {"advice_for", "check_count", "check_dataset", "check_layer", "check_number", "check_number_formats", "holds_text",
               "check_sizes", "kind", "warn_caller"},
    "local": {"check_fields"},
    "pipeline": {"assign_layers", "check_processes", "clock", "end_with_parent"},
    "plots": {"flipbook", "picture", "use_style"},
    "recipe": {"cosine_decay"},
    "recurrent": {"check_hidden_layers"},
    "rivals": {"check_hidden_sizes", "check_inverses"},
    "saving": {"build", "check_functions", "check_target", "may_be_replaced", "write_whole"},
    "sequences": {"load_fables", "simplify"},
}  # fmt: skip
WITHOUT = {f"{module}.{name}" for module, names in WITHOUT.items() for name in names}
MODULES_WITHOUT = {"files", "progress", "results", "tables"}
# In processes of their own, which know of no GPU: `train_parallel` starts them.
ELSEWHERE = {
    "pipeline.launch",
    "pipeline.make_sender",
    "pipeline.receive_batches",
    "pipeline.run_stage",
}
# They read files of 55 MB; the chapters do, on a few images (test_chapters_run.py).
OF_CHAPTERS = {"data.load_dataset", "data.load_mnist"}


def public():
    """Each function and class of ffutils, "module.name"."""
    for found in pkgutil.iter_modules(ffutils.__path__):
        if found.name == "__main__" or found.name in MODULES_WITHOUT:
            continue
        module = importlib.import_module(f"ffutils.{found.name}")
        for name, value in vars(module).items():
            if (
                not name.startswith("_")
                and callable(value)
                and getattr(value, "__module__", "") == module.__name__
            ):
                yield f"{found.name}.{name}", value


def test_every_public_function_is_here():
    names = {name for name, _ in public()}
    listed = CALLS.keys() | WITHOUT | ELSEWHERE | OF_CHAPTERS
    assert not names - listed, f"no test on a GPU: {sorted(names - listed)}"
    assert not listed - names, (
        f"there is no such function any more: {sorted(listed - names)}"
    )
    exported = {name for name in ffutils.__all__ if callable(getattr(ffutils, name))}
    assert exported <= {name.split(".")[1] for name in names} | {
        "Table",
        "load_results",
    }


def on_gpu(tensor):
    return tensor.device.type == "cuda"


def all_tensors(value):
    if torch.is_tensor(value):
        yield value
    elif isinstance(value, list | tuple) or inspect.isgenerator(value):
        for part in value:
            yield from all_tensors(part)


def code_of(value):
    """The code objects of a function, or of a class's methods."""
    functions = vars(value).values() if inspect.isclass(value) else [value]
    return {
        inspect.unwrap(f).__code__
        for f in functions
        if hasattr(inspect.unwrap(f), "__code__")
    }


@pytest.mark.filterwarnings(
    "ignore:.*dead:UserWarning", "ignore:.*same goodness:UserWarning"
)
@pytest.mark.parametrize("name", CALLS)
def test_it_runs_on_a_gpu(gpu, name, monkeypatch):
    monkeypatch.setenv("FF_DATASET", "digits")
    wanted, called = code_of(dict(public())[name]), set()
    sys.setprofile(
        lambda frame, *rest: (
            called.add(frame.f_code) if frame.f_code in wanted else None
        )
    )
    try:
        found = list(all_tensors(CALLS[name](gpu)))
    finally:
        sys.setprofile(None)
    assert called or name == "data.Split", f"{name} was not called"
    assert bool(found) == (name not in NO_TENSOR)
    assert {on_gpu(tensor) for tensor in found} <= {name in ON_THE_GPU}


def test_half_precision(few):
    net = FFNet(784, 12, 10).to("cuda")
    with torch.autocast("cuda", torch.bfloat16, cache_enabled=False):
        losses = training.train(net, few, **train_settings())
    assert losses.isfinite().all()
    with (
        torch.autocast("cuda", torch.bfloat16),
        pytest.raises(RuntimeError, match="cache_enabled=False"),
    ):
        training.train(net, few, **train_settings())


def test_a_net_and_images_on_two_devices_are_told_apart(few):
    with pytest.raises(
        ValueError, match="the net is on cpu but its images are on cuda:0"
    ):
        training.train(FFNet(784, 12), few)
    with pytest.raises(
        ValueError, match="the images are on cuda:0 but their labels on cpu"
    ):
        checks.check_split(Split(few.images, few.labels.cpu()))


def test_from_the_command_line(tmp_path, monkeypatch, capsys):
    """What is trained and saved on a GPU is tested without one."""
    path = str(tmp_path / "net")
    small = data.load_digits
    monkeypatch.setattr(
        data,
        "load_digits",
        lambda device: [Split(*(p[:120] for p in part)) for part in small(device)],
    )
    with pretended_cuda():
        assert (
            command_line.main(
                [
                    "--dataset=digits",
                    "--epochs=1",
                    "--hidden",
                    "8",
                    "6",
                    f"--save={path}",
                ]
            )
            == 0
        )
        assert command_line.main([f"--load={path}"]) == 0
    assert "device  cuda" in capsys.readouterr().out
    assert command_line.main([f"--load={path}"]) == 0
    assert not any(map(on_gpu, saving.load_net(path).parameters()))


@pytest.mark.parametrize("module", sorted(MODULES_WITHOUT))
def test_these_modules_have_no_tensor(module):
    assert "import torch\n" not in inspect.getsource(
        importlib.import_module(f"ffutils.{module}")
    )
