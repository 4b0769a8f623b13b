"""The pretence itself: it refuses what CUDA refuses, and takes what CUDA takes.

Every snippet is a function of the device. With "cpu" and without the pretence it must run: so it is the device that
it is refused for, and not a slip of the pen.
"""

import copy
import io
import pickle

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from pretend_cuda import pretended_cuda
from torch import nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.checkpoint import checkpoint
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.flop_counter import FlopCounterMode

from ffutils import FFNet, Split, train

N = 6


def rows(device, count=N, width=4):
    return torch.linspace(0, 1, count * width, device=device).view(count, width)


def labels(device):
    return torch.arange(N, device=device) % 3


# ---- What CUDA refuses


def a_gradient(device):
    weight = nn.Parameter(torch.ones(4, device=device))
    weight.grad = torch.ones(4)


def a_gradient_in_place(device):
    net = nn.Linear(4, 2).to(device)
    net(rows(device)).sum().backward()
    net.weight.grad += torch.ones(2, 4)


def a_gradient_from_a_function(device):
    class Twice(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return 2 * x

        @staticmethod
        def backward(ctx, gradient):
            return gradient * torch.full(gradient.shape, 2.0)

    x = rows(device).requires_grad_()
    Twice.apply(x).sum().backward()


def a_gradient_that_is_handed_in(device):
    x = rows(device).requires_grad_()
    (x * x).backward(torch.ones(N, 4))


def a_hook_of_a_gradient(device):
    x = rows(device).requires_grad_()
    x.register_hook(lambda gradient: gradient * torch.ones(N, 4))
    (x * x).sum().backward()


def a_mask_left_in_the_backward_pass(device):
    mask = torch.ones(N, 4)

    def loss(x):
        return (
            (x * mask.to(x.device)).sum()
            if not torch.is_grad_enabled()
            else (x * mask).sum()
        )

    x = rows(device).requires_grad_()
    checkpoint(loss, x, use_reentrant=True).backward()


def a_net_on_the_cpu(device):
    return nn.Linear(4, 2)(rows(device))


def images_on_the_cpu(device):
    return nn.Linear(4, 2).to(device)(rows("cpu"))


class Scaled(nn.Module):
    def __init__(self, register):
        super().__init__()
        scale = torch.full((4,), 2.0)
        if register:
            self.register_buffer("scale", scale)
        else:
            self.scale = scale

    def forward(self, x):
        return x * self.scale


def a_buffer_left_behind(device):
    return Scaled(register=False).to(device)(rows(device))


class Late(nn.Module):
    def forward(self, x):
        if not hasattr(self, "weight"):
            self.weight = nn.Parameter(torch.ones(x.shape[1], 2))
        return x @ self.weight


def a_parameter_made_late(device):
    return Late().to(device)(rows(device))


def a_list_of_layers(device):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = [nn.Linear(4, 4), nn.Linear(4, 2)]  # no ModuleList

    net = Net().to(device)
    return net.layers[0](rows(device))


def labels_made_in_a_loss(device):
    def loss(h):
        return F.cross_entropy(h, torch.zeros(len(h), dtype=torch.int64))

    return loss(rows(device))


def targets_made_in_a_loss(device):
    h = rows(device)
    return F.binary_cross_entropy_with_logits(
        h[:, 0], torch.cat([torch.ones(3), torch.zeros(N - 3)])
    )


def a_stored_history(device):
    history = [torch.zeros(1, 4)]
    for _ in range(3):
        history.append(rows(device, 1))
    return torch.cat(history)


def a_history_in_a_tensor(device):
    best = torch.full((4,), torch.inf)
    for _ in range(3):
        best = torch.minimum(best, rows(device).mean(dim=0))
    return best


def a_plot(device):
    figure, ax = plt.subplots()
    ax.plot(rows(device)[:, 0])
    plt.close(figure)


def a_plot_of_a_list(device):
    figure, ax = plt.subplots()
    ax.plot([rows(device).mean(), rows(device).sum()])
    plt.close(figure)


def a_picture(device):
    figure, ax = plt.subplots()
    ax.imshow(rows(device))
    plt.close(figure)


def a_histogram(device):
    figure, ax = plt.subplots()
    ax.hist(rows(device).flatten())
    plt.close(figure)


def a_number_written_in_place(device):
    total = torch.zeros(())
    total += rows(device).sum()


def numbers_written_in_place(device):
    totals = torch.zeros(N)
    totals += rows(device).sum()


def a_slice_added_to(device):
    losses = torch.zeros(3)
    losses[1] += rows(device).sum()


def an_out_argument(device):
    torch.add(rows(device), 1, out=torch.empty(N, 4))


def an_out_argument_on_the_gpu(device):
    torch.matmul(rows("cpu"), rows("cpu").T, out=torch.empty(N, N, device=device))


def advanced_writing(device):
    x = rows(device)
    x[torch.tensor([0, 2])] = torch.zeros(2, 4)


def writing_by_a_mask(device):
    x = rows(device)
    x[x > 0.5] = torch.zeros(int((x > 0.5).sum()))


def index_put(device):
    x = torch.zeros(N, 3, device=device)
    x.index_put_((torch.arange(N), labels(device)), torch.ones(N), accumulate=True)


def writing_by_an_index_of_the_gpu(device):
    x = rows("cpu")
    x[labels(device)] = 0


def adam_after_moving(device):
    net = nn.Linear(4, 2)
    optimizer = torch.optim.Adam(net.parameters())
    net(rows("cpu")).sum().backward()
    optimizer.step()
    net.to(device)
    net(rows(device)).sum().backward()
    optimizer.step()


def a_state_that_is_assigned(device):
    net = nn.Linear(4, 2).to(device)
    net.load_state_dict(nn.Linear(4, 2).state_dict(), assign=True)
    return net(rows(device))


def other_data(device):
    net = nn.Linear(4, 2).to(device)
    net.weight.data = torch.ones(2, 4)
    return net(rows(device))


def a_copy_made_before_moving(device):
    net = nn.Linear(4, 2)
    twin = copy.deepcopy(net)
    net.to(device)
    return twin(rows(device))


def a_deep_copy_of_a_net(device):
    return copy.deepcopy(nn.Linear(4, 2).to(device))(rows("cpu"))


def a_loader(device):
    net = nn.Linear(4, 2).to(device)
    for x, _ in DataLoader(TensorDataset(rows("cpu"), labels("cpu")), batch_size=3):
        net(x)


def a_loader_with_pinned_memory(device):
    net = nn.Linear(4, 2).to(device)
    for x, _ in DataLoader(
        TensorDataset(rows("cpu"), labels("cpu")),
        batch_size=3,
        pin_memory=device == "cuda",
    ):
        net(x)


def pinned(device):
    return rows(device).pin_memory() if device == "cuda" else rows(device)


def a_default_device(device):
    torch.set_default_device(device)
    try:
        return torch.ones(4) + torch.from_numpy(np.ones(4, dtype=np.float32))
    finally:
        torch.set_default_device(None)


def a_default_device_for_a_net(device):
    x = rows("cpu")
    with torch.device(device):
        net = nn.Linear(4, 2)
    return net(x)


def a_default_device_and_a_generator(device):
    with torch.device(device):
        return torch.randperm(9, generator=torch.Generator())


def a_generator_of_the_cpu(device):
    return torch.randn(3, device=device, generator=torch.Generator().manual_seed(0))


def a_generator_of_the_gpu(device):
    return torch.randn(3, generator=torch.Generator(device).manual_seed(0))


def a_generator_in_place(device):
    return torch.empty(3, device=device).normal_(generator=torch.Generator())


def a_generator_for_weights(device):
    return nn.init.kaiming_normal_(rows(device), generator=torch.Generator())


def a_generator_for_a_draw(device):
    return torch.multinomial(rows(device), 1, generator=torch.Generator())


def a_random_state(device):
    state = torch.get_rng_state().to(device)
    torch.set_rng_state(state)


def a_random_state_of_a_checkpoint(device):
    file = io.BytesIO()
    torch.save({"rng": torch.get_rng_state()}, file)
    file.seek(0)
    torch.set_rng_state(torch.load(file, map_location=device)["rng"])


def weights_of_a_checkpoint(device):
    file = io.BytesIO()
    torch.save(rows(device), file)
    file.seek(0)
    return torch.load(file, map_location="cpu") + rows(device)


def a_checkpoint_that_stays_where_it_was(device):
    file = io.BytesIO()
    torch.save(rows(device), file)
    file.seek(0)
    return torch.load(file) + rows("cpu")


def a_pickle(device):
    return pickle.loads(pickle.dumps(rows(device))).numpy()


def a_net_that_was_loaded(device):
    file = io.BytesIO()
    torch.save(nn.Linear(4, 2).to(device).state_dict(), file)
    file.seek(0)
    net = nn.Linear(4, 2)
    net.load_state_dict(torch.load(file))
    return net(rows(device))


def autocast(device):
    with torch.autocast(device, dtype=torch.bfloat16):
        return nn.Linear(4, 2).to(device)(rows("cpu"))


def a_dtype_and_no_device(device):
    return rows(device).double() + rows("cpu").double()


def a_device_of_another_tensor(device):
    return rows(device).to(rows("cpu")) + rows(device)


def a_gradient_that_a_function_returns(device):
    class One(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return 2 * x

        @staticmethod
        def backward(ctx, gradient):
            return torch.ones(N, 4)

    One.apply(rows(device).requires_grad_()).sum().backward()


def a_gradient_that_a_hook_returns(device):
    x = rows(device).requires_grad_()
    x.register_hook(lambda gradient: torch.ones(N, 4))
    (x * x).sum().backward()


def a_loader_that_pins_the_gpu(device):
    data = TensorDataset(rows(device))
    list(DataLoader(data, batch_size=3, pin_memory=device == "cuda"))


REFUSED = [
    a_gradient_that_a_function_returns, a_gradient_that_a_hook_returns, a_loader_that_pins_the_gpu,
    a_gradient, a_gradient_in_place, a_gradient_from_a_function, a_gradient_that_is_handed_in, a_hook_of_a_gradient,
    a_mask_left_in_the_backward_pass, a_net_on_the_cpu, images_on_the_cpu, a_buffer_left_behind, a_parameter_made_late,
    a_list_of_layers, labels_made_in_a_loss, targets_made_in_a_loss, a_stored_history, a_history_in_a_tensor, a_plot,
    a_plot_of_a_list, a_picture, a_histogram, a_number_written_in_place, numbers_written_in_place, a_slice_added_to,
    an_out_argument, an_out_argument_on_the_gpu, advanced_writing, writing_by_a_mask, index_put,
    writing_by_an_index_of_the_gpu, adam_after_moving, a_state_that_is_assigned, other_data, a_copy_made_before_moving,
    a_deep_copy_of_a_net, a_loader, a_loader_with_pinned_memory, a_default_device, a_default_device_for_a_net,
    a_default_device_and_a_generator, a_generator_of_the_cpu, a_generator_of_the_gpu, a_generator_in_place,
    a_generator_for_weights, a_generator_for_a_draw, a_random_state, a_random_state_of_a_checkpoint,
    weights_of_a_checkpoint, a_checkpoint_that_stays_where_it_was, a_pickle, a_net_that_was_loaded, autocast,
    a_dtype_and_no_device, a_device_of_another_tensor,
]  # fmt: skip
REFUSED = {snippet.__name__.replace("_", " "): snippet for snippet in REFUSED}
REFUSED |= {
    "two devices": lambda d: rows(d) + torch.ones(4),
    "the other way round": lambda d: rows("cpu") + torch.ones(4, device=d),
    "a comparison": lambda d: labels(d) == torch.arange(N),
    "in place": lambda d: rows(d).add_(torch.ones(4)),
    "clamp with a number of the CPU": lambda d: rows(d).clamp(min=torch.tensor(0.5)),
    "a mask that is a number": lambda d: rows(d).masked_fill(torch.tensor(True), 0.0),
    "a handed-in gradient alone": lambda d: rows(d).requires_grad_().view(-1).backward(torch.ones(N * 4)),
    "clamp": lambda d: rows(d).clamp(min=torch.zeros(4)),
    "a vector and a number of the GPU": lambda d: torch.ones(3) * rows(d).sum(),
    "a product": lambda d: rows(d) @ rows("cpu").T,
    "bmm": lambda d: torch.bmm(rows(d)[None], rows("cpu").T[None]),
    "einsum": lambda d: torch.einsum("ij,kj->ik", rows(d), rows("cpu")),
    "linear": lambda d: F.linear(rows(d), torch.ones(2, 4)),
    "a bias": lambda d: F.linear(rows(d), torch.ones(2, 4, device=d), torch.zeros(2)),
    "conv2d": lambda d: F.conv2d(rows(d, 9, 9)[None, None], torch.ones(1, 1, 3, 3)),
    "layer_norm": lambda d: F.layer_norm(rows(d), (4,), torch.ones(4)),
    "batch_norm": lambda d: F.batch_norm(rows(d), torch.zeros(4), torch.ones(4)),
    "cdist": lambda d: torch.cdist(rows(d), rows("cpu")),
    "cat": lambda d: torch.cat([rows(d), rows("cpu")]),
    "stack": lambda d: torch.stack([rows(d), rows("cpu")]),
    "stacked numbers": lambda d: torch.stack([rows(d).sum(), torch.tensor(1.0)]),
    "where": lambda d: torch.where(rows(d) > 0.5, rows("cpu"), rows(d)),
    "a condition": lambda d: torch.where(rows("cpu") > 0.5, rows(d), rows(d)),
    "masked_select": lambda d: rows(d).masked_select(rows("cpu") > 0.5),
    "masked_fill": lambda d: rows(d).masked_fill(rows("cpu") > 0.5, 0.0),
    "masked_scatter": lambda d: rows(d).masked_scatter(rows(d) > 0.5, rows("cpu")),
    "gather": lambda d: rows(d).gather(1, labels("cpu")[:, None]),
    "scatter": lambda d: rows(d).scatter(1, labels("cpu")[:, None], 1.0),
    "scatter into": lambda d: torch.zeros(N, 4).scatter_(1, labels(d)[:, None], 1.0),
    "scattered values": lambda d: rows(d).scatter(1, labels(d)[:, None], torch.ones(N, 1)),
    "scatter_add": lambda d: torch.zeros(3, device=d).scatter_add_(0, labels("cpu"), torch.ones(N, device=d)),
    "index_add": lambda d: torch.zeros(3, device=d).index_add_(0, labels(d), torch.ones(N)),
    "index_select": lambda d: rows(d).index_select(0, labels("cpu")),
    "take_along_dim": lambda d: rows(d).take_along_dim(labels("cpu")[:, None], dim=1),
    "an index of the GPU": lambda d: rows("cpu")[labels(d)],
    "a mask of the GPU": lambda d: rows("cpu")[rows(d) > 0.5],
    "two indices": lambda d: rows("cpu")[torch.arange(N), labels(d)],
    "embedding": lambda d: F.embedding(labels("cpu"), rows(d)),
    "an embedding on the CPU": lambda d: nn.Embedding(3, 4)(labels(d)),
    "one_hot": lambda d: rows(d)[:, :3] * F.one_hot(labels("cpu"), 3),
    "cross_entropy": lambda d: F.cross_entropy(rows(d), labels("cpu")),
    "class weights": lambda d: F.cross_entropy(rows(d), labels(d), weight=torch.ones(4)),
    "mse_loss": lambda d: F.mse_loss(rows(d), rows("cpu")),
    "bincount": lambda d: torch.bincount(labels(d), weights=torch.ones(N)),
    "isin": lambda d: torch.isin(labels(d), torch.tensor([1, 2])),
    "bucketize": lambda d: torch.bucketize(rows(d), torch.linspace(0, 1, 5)),
    "quantile": lambda d: rows(d).quantile(torch.tensor([0.25, 0.75]), dim=0),
    "repeat_interleave": lambda d: rows(d).repeat_interleave(torch.arange(N), dim=0),
    "dot": lambda d: torch.dot(torch.ones(3, device=d), torch.ones(3)),
    "equal": lambda d: torch.equal(rows(d), rows("cpu")),
    "allclose": lambda d: torch.allclose(rows(d), rows("cpu")),
    "assert_close": lambda d: torch.testing.assert_close(rows(d), rows("cpu")),
    "normal": lambda d: torch.normal(rows(d), torch.ones(N, 4)),
    "noise": lambda d: rows(d) + torch.randn(N, 4),
    "a random mask": lambda d: rows(d) * (torch.rand(N, 4) > 0.5),
    "an order": lambda d: rows("cpu")[torch.randperm(N, device=d)],
    "arange": lambda d: rows(d)[:, 0] + torch.arange(N),
    "eye": lambda d: rows(d, 4) @ torch.eye(4),
    "linspace": lambda d: rows(d)[:, 0] * torch.linspace(0, 1, N),
    "a tensor of a list of the GPU's numbers": lambda d: torch.tensor([v.mean() for v in rows(d)]) + rows(d)[:, 0],
    "a tensor of a list": lambda d: rows(d) * torch.tensor([1.0, 2.0, 3.0, 4.0]),
    "from_numpy": lambda d: rows(d) + torch.from_numpy(np.ones(4, dtype=np.float32)),
    "as_tensor": lambda d: torch.as_tensor(np.ones(4, dtype=np.float32)) * rows(d),
    "full with a number of the GPU": lambda d: torch.full((N,), rows(d).sum()) + rows(d)[:, 0],
    "new tensors of the CPU": lambda d: rows("cpu").new_zeros(4) + rows(d),
    "zeros like the CPU's": lambda d: torch.zeros_like(rows("cpu")) + rows(d),
    "NumPy": lambda d: rows(d).numpy(),
    "np.asarray": lambda d: np.asarray(rows(d)),
    "np.array of a list": lambda d: np.array(list(rows(d))),
    "a function of NumPy": lambda d: np.sqrt(rows(d)),
    "np.concatenate": lambda d: np.concatenate([rows(d), rows(d)]),
    "histogram": lambda d: torch.histogram(rows(d), 3),
    "map_": lambda d: rows(d).map_(rows(d), lambda a, b: a),
    "foreach": lambda d: torch._foreach_add([rows(d)], [rows("cpu")]),
    "clipping gradients": lambda d: nn.utils.parameters_to_vector([rows(d), rows("cpu")]),
}  # fmt: skip
WORDS = (
    "same device|two devices|indices should|can't convert|another|different device|device type for generator"
    "|RNG state|cannot pin|Could not run|device"
)


@pytest.mark.parametrize("mistake", REFUSED.values(), ids=REFUSED)
def test_what_cuda_refuses_is_refused(mistake):
    with (
        pretended_cuda(),
        pytest.raises((RuntimeError, TypeError, AssertionError), match=WORDS),
    ):
        mistake("cuda")


@pytest.mark.parametrize("mistake", REFUSED.values(), ids=REFUSED)
def test_each_mistake_is_none_on_the_cpu(mistake):
    mistake("cpu")


# ---- What CUDA takes


def a_training(device):
    net = nn.Sequential(
        nn.Linear(4, 8), nn.Dropout(0.5), nn.ReLU(), nn.BatchNorm1d(8), nn.Linear(8, 3)
    ).to(device)
    losses = torch.zeros(3)
    for kind in (torch.optim.Adam, torch.optim.SGD, torch.optim.AdamW):
        optimizer = kind(net.parameters(), lr=0.1)
        for step in range(3):
            loss = F.cross_entropy(net(rows(device)), labels(device))
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
            losses[step] = loss
    assert all(on(p, device) and on(p.grad, device) for p in net.parameters())
    assert on(losses, "cpu")


def on(tensor, device):
    return (
        tensor.device.type == device
        and tensor.is_cuda == (device == "cuda") != tensor.is_cpu
    )


def gradients_through_a_move(device):
    x = rows(device).requires_grad_()
    loss = (x * x).cpu() * torch.ones(4)
    (loss.to(device) * rows(device)).cpu().mean().backward()
    assert on(x.grad, device)
    y = rows("cpu").requires_grad_()
    (y.to(device) @ rows(device).T).sum().backward()
    assert on(y.grad, "cpu")


def gradients_through_a_copy(device):
    x = rows(device).requires_grad_()
    history = torch.zeros(3, N, 4)
    history[1] = (x * x).exp()
    (history * torch.ones(4)).sum().backward()
    assert on(x.grad, device)


def second_gradients(device):
    x = rows(device).requires_grad_()
    (gradient,) = torch.autograd.grad((x**3).cpu().sum(), x, create_graph=True)
    gradient.square().sum().backward()
    assert on(x.grad, device)


def a_checkpoint(device):
    for reentrant in (True, False):
        x = rows(device).requires_grad_()

        def block(x):
            return F.dropout(x * torch.ones(len(x), 4, device=x.device)).relu()

        checkpoint(block, x, use_reentrant=reentrant).sum().backward()
        assert on(x.grad, device)


def other_modes(device):
    class Counter(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            return function(*args, **(kwargs or {}))

    for mode in (Counter(), FlopCounterMode(display=False)):
        net = nn.Linear(4, 2).to(device)
        with mode:
            net(rows(device)).relu().mean().backward()
        assert on(net.weight.grad, device)


def a_registered_buffer(device):
    assert on(Scaled(register=True).to(device)(rows(device)), device)


def places(device):
    x = rows(device)
    assert x.to(device) is x and (x.cpu() is x) == (device == "cpu")
    assert on(x.cpu(), "cpu") and on(x.to("cpu", torch.float64), "cpu")
    same = [
        x.T, x.view(-1), x[0], x.detach(), x.data, x.clone(), x.double(), x.to(torch.float16), x.to(x), x > 0,
        x.argmax(dim=1), x.topk(2).indices, x.nonzero(), x.unique(), x.new_zeros(3), x.new_tensor([1.0]), x.contiguous(),
        torch.zeros_like(x), torch.rand_like(x), torch.empty_like(x), x.sum(), x.expand(2, N, 4), F.one_hot(labels(device)),
        nn.Parameter(x), torch.as_tensor(x), torch.asarray(x), copy.deepcopy(x), x.type(torch.int64),
        torch.as_tensor([1.0], device=device), torch.tensor([1], device=device), torch.arange(3, device=device),
        torch.zeros_like(rows("cpu"), device=device), rows("cpu").new_ones(2, device=device), torch.Tensor.to(x, device),
        torch.randperm(3, device=device), torch.frombuffer(bytearray(4), dtype=torch.uint8).to(device),
        torch.empty_like(x, device=device), x.softmax(dim=1).log(), rows("cpu").to(x),
    ]  # fmt: skip
    assert [on(t, device) for t in same] == [True] * len(same)
    of_the_cpu = [
        torch.zeros(3), torch.tensor([v.sum() for v in x]), torch.full((2,), x.sum()), torch.arange(x.sum().ceil()),
        torch.zeros(x.shape), torch.tensor(x.tolist()), torch.as_tensor(x, device="cpu"), torch.zeros_like(x, device="cpu"),
        torch.ones(len(x)), x.new_zeros(2, device="cpu"), torch.linspace(x.min(), x.max(), 3),
    ]  # fmt: skip
    assert [on(t, "cpu") for t in of_the_cpu] == [True] * len(of_the_cpu)
    assert x.get_device() == (0 if device == "cuda" else -1)
    assert (
        on(torch.eye(N, 4, out=x), device)
        and on(nn.init.orthogonal_(x), device)
        and on(torch.exp(x, out=x), device)
    )


def single_numbers(device):
    x, two = rows(device), torch.tensor(2.0)
    assert all(
        on(t, device)
        for t in (
            x * two,
            two - x,
            x > two,
            torch.where(x > 0, x, two),
            x.masked_fill(x > 0, two),
        )
    )
    assert on(x.sum() + two, device)
    x += two
    x[0] = two
    x[:, 1] = torch.zeros(N)  # a copy into a slice
    x[torch.tensor([0, 1])] = two
    x[x > 1] = two
    x.fill_(two)
    x.clamp_(min=2.0)
    assert (
        f"{x.mean():.2f}" == "2.00"
        and float(x[0, 0]) == 2
        and int(x.sum()) == 48
        and x.mean() > 1
    )


def indices_of_the_cpu(device):
    x = rows(device)
    for index in (
        torch.arange(3),
        [0, 1],
        rows("cpu")[:, 0] > 0.5,
        (torch.arange(N), labels(device)),
    ):
        assert on(x[index], device)
    x[torch.arange(3)] = 0.0
    x[torch.arange(2)] = torch.ones(2, 4, device=device)
    assert rows("cpu")[labels(device)[1]].shape == (4,)  # a single number is read


def copies(device):
    x, y = rows(device), torch.zeros(N, 4)
    y.copy_(x)
    x.copy_(y)
    y[1:3] = x[1:3]
    y[0, 0] = x[0, 0]
    assert on(x, device) and on(y, "cpu") and y.numpy() is not None


def nets(device):
    net, other = nn.Linear(4, 2).to(device), nn.Linear(4, 2)
    net.load_state_dict(other.state_dict())
    other.load_state_dict(net.state_dict())
    twin = copy.deepcopy(net)
    assert on(twin(rows(device)), device) and on(net.cpu()(rows("cpu")), "cpu")
    assert on(net.to(device).double().weight, device)
    assert on(nn.Linear(4, 2, device=device)(rows(device)), device)
    with torch.device("meta"):
        empty = nn.Linear(4, 2)
    assert empty.weight.is_meta and on(empty.to_empty(device=device).weight, device)


def an_optimizer_that_is_loaded(device):
    states = []
    for place in ("cpu", device):
        net = nn.Linear(4, 2).to(place)
        optimizer = torch.optim.Adam(net.parameters())
        if states:
            optimizer.load_state_dict(states[0])
        net(rows(place)).sum().backward()
        optimizer.step()
        states.append(copy.deepcopy(optimizer.state_dict()))
    assert on(states[1]["state"][0]["exp_avg"], device)


def files(device):
    net = FFNet(20, 6, 4).to(device)
    file = io.BytesIO()
    torch.save(net.state_dict(), file)
    for place in ("cpu", device, None, torch.device(device)):
        file.seek(0)
        found = torch.load(file, map_location=place)["layers.0.weight"]
        assert on(found, torch.device(place or device).type) and torch.equal(
            found.cpu(), net.layers[0].weight.cpu()
        )
    assert on(pickle.loads(pickle.dumps(rows(device))), device)


def default_devices(device):
    torch.set_default_device(device)
    try:
        assert on(torch.zeros(2) + torch.tensor([1.0, 2.0]), device) and on(
            nn.Linear(2, 2).weight, device
        )
        assert on(torch.zeros(2, device="cpu"), "cpu") and on(
            torch.from_numpy(np.ones(2)), "cpu"
        )
    finally:
        torch.set_default_device(None)
    assert on(torch.zeros(2), "cpu")
    with torch.device(device):
        assert on(torch.rand(2), device)


def generators(device):
    one, two = (torch.Generator(device).manual_seed(3) for _ in range(2))
    assert one.device.type == device and isinstance(one, torch.Generator)
    assert torch.equal(
        torch.randn(3, device=device, generator=one),
        torch.randn(3, device=device, generator=two),
    )
    assert on(
        torch.randperm(
            5, generator=torch.Generator("cpu").manual_seed(0), device="cpu"
        ),
        "cpu",
    )
    assert on(rows(device).normal_(generator=one), device)


def random_streams(device):
    drawn = []
    for _ in range(2):
        torch.manual_seed(1)
        drawn.append(
            (
                torch.rand(4),
                torch.rand(4, device=device),
                rows(device).exponential_(),
                torch.rand(4),
            )
        )
    assert all(torch.equal(a, b) for a, b in zip(*drawn, strict=True))
    state = torch.get_rng_state()
    first = torch.rand(3)
    torch.set_rng_state(state)
    assert torch.equal(first, torch.rand(3))


def half_precision(device):
    net = nn.Linear(4, 2).to(device)
    with torch.autocast(device, dtype=torch.bfloat16):
        h = net(rows(device))
    assert h.dtype == torch.bfloat16 and on(h, device)
    h.float().sum().backward()
    assert on(net.weight.grad, device) and net(rows(device)).dtype == torch.float32


def numpy_and_plots(device):
    x = rows(device)
    assert (
        np.asarray(x.cpu()).shape == (N, 4)
        and x.cpu().numpy().sum() > 0
        and len(x.tolist()) == N
    )
    figure, ax = plt.subplots()
    ax.plot(x.cpu()[:, 0])
    ax.imshow(x.cpu())
    ax.axhline(x.mean().item())
    ax.set_title(f"{x.mean():.3f}")
    plt.close(figure)
    assert torch.quantile(x, 0.5).item() > 0


def loaders(device):
    data = TensorDataset(rows("cpu"), labels("cpu"))
    for settings in (
        {},
        {"shuffle": True},
        {"num_workers": 1},
        {"pin_memory": device == "cuda"},
    ):
        batches = [
            (x.to(device, non_blocking=True), y.to(device))
            for x, y in DataLoader(data, 4, **settings)
        ]
        assert all(on(x, device) and on(y, device) for x, y in batches)


def forward_forward(device):
    net = FFNet(20, 6, 4).to(device)
    losses = train(
        net,
        Split(torch.rand(N, 20, device=device), labels(device)),
        epochs=1,
        progress=False,
    )
    assert on(losses, "cpu")


def text(device):
    place = ", device='cuda:0'" if device == "cuda" else ""
    x = torch.ones(2, device=device)
    assert repr(x) == f"tensor([1., 1.]{place})"
    assert repr(x.double()) == f"tensor([1., 1.]{place}, dtype=torch.float64)"
    assert (
        repr(x.requires_grad_() * 1)
        == f"tensor([1., 1.]{place}, grad_fn=<MulBackward0>)"
    )
    assert "cpu" not in str(x.device) or device == "cpu"


def what_is_moved_for_it(device):
    x, total, temperature = (
        rows(device),
        torch.zeros(3),
        nn.Parameter(torch.tensor(2.0)),
    )
    total.fill_(x.sum())
    total[torch.tensor([1])] = x.sum()
    (x * temperature).sum().backward()
    assert on(temperature.grad, "cpu")
    assert x.numpy(force=True).shape == (N, 4) and on(rows("cpu").type_as(x), device)
    F.binary_cross_entropy_with_logits(x, x, pos_weight=torch.tensor(3.0))
    with torch.inference_mode():
        assert on(nn.Linear(4, 2).to(device)(x), device)
    assert on(torch.func.vmap(lambda row: row.sum())(x), device)
    assert on(torch.func.jacrev(torch.square)(x[0]), device)
    assert on(nn.LSTM(4, 3).to(device)(x[:, None])[0], device)


TAKEN = [
    what_is_moved_for_it,
    a_training, gradients_through_a_move, gradients_through_a_copy, second_gradients, a_checkpoint, other_modes,
    a_registered_buffer,
    places, single_numbers, indices_of_the_cpu, copies, nets, an_optimizer_that_is_loaded, files, default_devices,
    generators, random_streams, half_precision, numpy_and_plots, loaders, forward_forward, text,
]  # fmt: skip
TAKEN = {snippet.__name__.replace("_", " "): snippet for snippet in TAKEN}


@pytest.mark.parametrize("snippet", TAKEN.values(), ids=TAKEN)
@pytest.mark.parametrize("device", ["cuda", "cpu"])
def test_what_cuda_takes_is_taken(snippet, device):
    """With "cpu", too: the pretence must leave the CPU's tensors alone."""
    with pretended_cuda():
        snippet(device)


@pytest.mark.parametrize("snippet", TAKEN.values(), ids=TAKEN)
def test_it_is_true_of_the_cpu_without_the_pretence(snippet):
    snippet("cpu")


def test_what_was_saved_on_a_gpu_cannot_be_loaded_without_one():
    file = io.BytesIO()
    with pretended_cuda():
        torch.save(torch.ones(3, device="cuda"), file)
    file.seek(0)
    if not torch.cuda.is_available():
        with pytest.raises(RuntimeError, match="deserialize object on a CUDA device"):
            torch.load(file)
        file.seek(0)
    assert torch.load(file, map_location="cpu").tolist() == [1, 1, 1]


def test_another_gpu_draws_other_numbers():
    drawn = []
    for stream in (1, 2, 1):
        torch.manual_seed(0)
        with pretended_cuda(stream):
            drawn.append(
                (torch.rand(5).tolist(), torch.rand(5, device="cuda").tolist())
            )
    (on_cpu, one), (same, two), (_, again) = drawn
    assert on_cpu == same and one == again and one not in (two, on_cpu)


def test_the_pretence_ends():
    before = (
        dict(vars(torch.Tensor)),
        dict(vars(torch.cuda)),
        torch.Generator,
        list(torch.serialization._package_registry),
    )
    with pytest.raises(ZeroDivisionError), pretended_cuda():
        torch.ones(1, device="cuda") / 0
        1 / 0  # noqa: B018
    after = (
        dict(vars(torch.Tensor)),
        dict(vars(torch.cuda)),
        torch.Generator,
        list(torch.serialization._package_registry),
    )
    assert before == after and torch.ones(1).device.type == "cpu"
