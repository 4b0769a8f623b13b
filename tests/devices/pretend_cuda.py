"""A GPU that is not there: with it, PyTorch refuses on the CPU what CUDA would refuse.

Inside `with pretended_cuda():` a tensor on "cuda:0" is a CPU tensor whose storage is marked,
so that its views, its `.data` and what autograd saves of it are marked, too.

- `METHODS` of torch.Tensor say where a tensor is, and move it.
- `Calls` sees each function of PyTorch that Python calls. It turns device="cuda" into a CPU
  tensor with a mark, and looks after generators and autocast.
- `Operations` sees every operation below autograd, in the backward pass, too. It refuses
  those that mix devices, but for what CUDA lets mix, and marks their results.

Random numbers on the GPU come from a stream of their own, as they do on CUDA; another
`stream` is another such GPU. What stays the CPU's: rounding (no TF32), speed, memory, what
autocast leaves in float32, kernels that CUDA has not (but for `NOT_ON_CUDA`). There is one
device, "cuda:0", and the pretence holds in the thread that began it.
"""

from contextlib import ExitStack, contextmanager, nullcontext
from unittest.mock import patch

import numpy
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils import _device as default_devices
from torch.utils._python_dispatch import TorchDispatchMode

CUDA, CPU = torch.device("cuda:0"), torch.device("cpu")
Base = torch._C.TensorBase  # whose methods are those of Tensor that are changed
aten = torch.ops.aten
FACTORIES = default_devices._device_constructors()  # what makes a tensor out of nothing
DATA = {torch.tensor, torch.as_tensor, torch.asarray}
NEW = {Tensor.new_tensor, Tensor.new}
COPIES = {aten.copy_, aten._to_copy}
INDEXING = {
    aten.index,
    aten._unsafe_index,
    aten.index_put,
    aten.index_put_,
    aten._index_put_impl_,
}
TAKE_A_NUMBER = {
    aten.masked_fill,
    aten.masked_fill_,
    aten.fill_,
    aten.index_fill,
    aten.index_fill_,
}
NOT_ON_CUDA = {
    aten.histogram,
    aten._histogramdd_from_bin_cts,
    aten._histogramdd_from_bin_tensors,
}


# ---- Marks


def is_real(tensor):
    """Whether it has a place of its own in memory: "meta" and sparse tensors have none."""
    return tensor.layout is torch.strided and Base.device.__get__(tensor).type == "cpu"


def has_mark(tensor):
    return getattr(tensor.untyped_storage(), "on_cuda", False)


def marked(tensor):
    with torch._C.DisableTorchFunction():
        return is_real(tensor) and has_mark(tensor)


def mark(tensor, on_cuda=True):
    with torch._C.DisableTorchFunction():
        if is_real(tensor):
            tensor.untyped_storage().on_cuda = on_cuda
    return tensor


def tensors(items):
    """All tensors in some arguments."""
    for item in items:
        if isinstance(item, Tensor):
            yield item
        elif isinstance(item, list | tuple):
            yield from tensors(item)
        elif isinstance(item, dict):
            yield from tensors(item.values())


class Move(torch.autograd.Function):
    """A copy on the other device; its gradient goes the way back."""

    @staticmethod
    def forward(ctx, tensor, on_cuda):
        ctx.came_from = marked(tensor)
        return mark(tensor.clone(), on_cuda)

    @staticmethod
    def backward(ctx, gradient):
        return move(gradient, ctx.came_from), None


def move(tensor, on_cuda):
    return tensor if marked(tensor) == on_cuda else Move.apply(tensor, on_cuda)


# ---- Below autograd: every operation


class Operations(TorchDispatchMode):
    place = False  # where a result lies that is made of no tensor
    forced = None  # where every result lies, if a device was named

    def __init__(self, stream):
        super().__init__()
        self.stream = stream

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        with torch._C.DisableTorchFunction():
            found = [t for t in tensors([args, kwargs]) if is_real(t)]
            strays = [t for t in found if not has_mark(t)]
            on_cuda = self.place if not found else len(strays) < len(found)
            if (
                getattr(kwargs.get("device"), "type", None) == "cuda"
            ):  # asked for within PyTorch's own Python
                kwargs, on_cuda = kwargs | {"device": CPU}, True
            elif self.forced is not None:
                on_cuda = self.forced
            elif on_cuda and strays and not may_mix(operation, args, kwargs, strays):
                raise RuntimeError(
                    "Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu! "
                    f"({operation}: of {[tuple(t.shape) for t in found]}, {[tuple(t.shape) for t in strays]} on the CPU)"
                )
            elif on_cuda and operation.overloadpacket in NOT_ON_CUDA:
                raise NotImplementedError(
                    f"Could not run '{operation}' with arguments from the 'CUDA' backend."
                )
            random = torch.Tag.nondeterministic_seeded in operation.tags
            with self.stream if on_cuda and random else nullcontext():
                result = operation(*args, **kwargs)
            if on_cuda or self.forced is not None:
                old = {t.untyped_storage()._cdata for t in found}
                for t in tensors([result]):
                    if is_real(t) and t.untyped_storage()._cdata not in old:
                        mark(t, on_cuda)
            return result


def may_mix(operation, args, kwargs, strays):
    """Does CUDA take these tensors of the CPU, the strays? As copies, indices and single numbers."""
    kind, schema = operation.overloadpacket, operation._schema
    if kind in COPIES:
        return True
    if kind in INDEXING:
        if not marked(args[0]):
            raise RuntimeError(
                "indices should be either on cpu or on the same device as the indexed tensor (cpu)"
            )
        return len(args) < 3 or marked(args[2]) or args[2].dim() == 0
    values = zip(schema.arguments, args, strict=False)
    values = [
        *values,
        *((a, kwargs[a.name]) for a in schema.arguments if a.name in kwargs),
    ]
    written = [
        value
        for argument, value in values
        if argument.alias_info and argument.alias_info.is_write
    ]
    pointwise = torch.Tag.pointwise in operation.tags or kind in TAKE_A_NUMBER
    return (
        pointwise
        and all(t.dim() == 0 for t in strays)
        and all(map(marked, tensors(written)))
    )


class Stream:
    """The GPU's random numbers: inside `with`, they take the place of the CPU's."""

    def __init__(self, number):
        self.number = number
        self.seed(torch.initial_seed())

    def seed(self, seed):
        generator = torch._C.Generator("cpu").manual_seed(
            (seed + 1_000_003 * self.number) % 2**63
        )
        self.state = generator.get_state()

    def set_state(self, state):
        self.state = on_cpu_only(state).clone()

    def __enter__(self):
        self.of_the_cpu = torch.default_generator.get_state()
        torch.default_generator.set_state(self.state)

    def __exit__(self, *error):
        self.state = torch.default_generator.get_state()
        torch.default_generator.set_state(self.of_the_cpu)


# ---- What Python asks for


def wants_cuda(device):
    """Whether a device is the GPU; None for those that are neither that nor the CPU."""
    device = (
        torch.device("cuda", device)
        if isinstance(device, int)
        else torch.device(device)
    )
    if device.type == "cuda" and device.index not in (None, 0):
        raise RuntimeError("CUDA error: invalid device ordinal")
    return {"cuda": True, "cpu": False}.get(device.type)


class Calls(TorchFunctionMode):
    def __init__(self, operations):
        super().__init__()
        self.operations = operations

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if isinstance(
            function, torch._ops.OpOverload
        ):  # from another mode, which passes on what PyTorch did
            return function(*args, **kwargs)
        device = kwargs.get("device")
        of_a_tensor = function in DATA and args and isinstance(args[0], Tensor)
        if device is None and function in FACTORIES and kwargs.get("out") is None:
            device = (
                default_devices.CURRENT_DEVICE
            )  # of `with torch.device(…)` or torch.set_default_device
            if device is None and not of_a_tensor:
                device = CPU  # whatever numbers it is given
        on_cuda = any(map(marked, tensors([args, kwargs])))
        if device is not None:
            on_cuda = wants_cuda(device)
            if on_cuda is None:  # such as "meta"
                return function(*args, **kwargs)
            kwargs["device"] = CPU
            if of_a_tensor:
                args = move(args[0], on_cuda), *args[1:]
        check_generator(kwargs.get("generator"), on_cuda)
        operations, before = (
            self.operations,
            (self.operations.place, self.operations.forced),
        )
        operations.place, operations.forced = (
            on_cuda,
            None if device is None else on_cuda,
        )
        try:
            with autocast_of(on_cuda):
                result = function(*args, **kwargs)
        finally:
            operations.place, operations.forced = before
        if device is not None or function in DATA or function in NEW:
            mark(result, on_cuda)
        return result


def check_generator(generator, on_cuda):
    names = {True: "cuda", False: "cpu"}
    found = getattr(generator, "on_cuda", False)
    if generator is not None and found != on_cuda:
        raise RuntimeError(
            f"Expected a '{names[on_cuda]}' device type for generator but found '{names[found]}'"
        )


def autocast_of(on_cuda):
    """Let operations on the GPU follow torch.autocast("cuda"), and those on the CPU not."""
    on, here = torch.is_autocast_enabled("cuda"), torch.is_autocast_enabled("cpu")
    dtype = torch.get_autocast_dtype("cuda")
    if (
        not on_cuda
        or not (on or here)
        or (on and here and torch.get_autocast_dtype("cpu") == dtype)
    ):
        return nullcontext()
    return torch.autocast(
        "cpu", dtype=dtype, enabled=on, cache_enabled=torch.is_autocast_cache_enabled()
    )


# ---- What a tensor says of itself, and where it goes


def to(tensor, *args, copy=False, **kwargs):
    if args and isinstance(args[0], Tensor):
        args = args[0].device, args[0].dtype, *args[1:]
    with torch._C.DisableTorchFunction():
        device, dtype, _, layout = torch._C._nn._parse_to(*args, **kwargs)
    layout = {} if layout is None else {"memory_format": layout}
    on_cuda = marked(tensor) if device is None else wants_cuda(device)
    if on_cuda is None:
        return Base.to(tensor, device, dtype or tensor.dtype, copy=copy, **layout)
    moved = move(tensor, on_cuda)
    return Base.to(
        moved, dtype or tensor.dtype, copy=copy and moved is tensor, **layout
    )


def copy_(tensor, source, *rest, **kwargs):
    return Base.copy_(tensor, move(source, marked(tensor)), *rest, **kwargs)


def set_item(tensor, index, value):
    parts = index if isinstance(index, tuple) else (index,)
    plain = not any(isinstance(part, Tensor | list | numpy.ndarray) for part in parts)
    if plain and isinstance(value, Tensor):  # a copy into a slice
        value = move(value, marked(tensor))
    return Base.__setitem__(tensor, index, value)


def set_gradient(tensor, gradient):
    if gradient is not None and marked(gradient) != marked(tensor):
        raise RuntimeError("assigned grad has data located on a different device")
    Base.grad.__set__(tensor, gradient)


def only_on_cpu(function):
    def method(tensor, *args, **kwargs):
        if marked(tensor):
            raise TypeError(
                "can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() to copy it first."
            )
        return function(tensor, *args, **kwargs)

    return method


def pin_memory(tensor, *device):
    if marked(tensor):
        raise RuntimeError(
            "cannot pin 'torch.cuda.FloatTensor' only dense CPU tensors can be pinned"
        )
    return tensor


deep_copy = Tensor.__deepcopy__
METHODS = {
    "device": property(
        lambda tensor: CUDA if marked(tensor) else Base.device.__get__(tensor)
    ),
    "is_cuda": property(lambda tensor: marked(tensor) or Base.is_cuda.__get__(tensor)),
    "is_cpu": property(
        lambda tensor: not marked(tensor) and Base.is_cpu.__get__(tensor)
    ),
    "get_device": lambda tensor: 0 if marked(tensor) else Base.get_device(tensor),
    "to": to,
    "cpu": lambda tensor, *args, **kwargs: to(tensor, CPU, **kwargs),
    "cuda": lambda tensor, device=None, *args, **kwargs: to(tensor, CUDA, **kwargs),
    "copy_": copy_,
    "__setitem__": set_item,
    "grad": property(
        Base.grad.__get__, set_gradient, lambda tensor: set_gradient(tensor, None)
    ),
    "numpy": only_on_cpu(Base.numpy),
    "apply_": only_on_cpu(Base.apply_),
    "map_": only_on_cpu(Base.map_),
    "pin_memory": pin_memory,
    "__deepcopy__": lambda tensor, memo: mark(deep_copy(tensor, memo), marked(tensor)),
}


# ---- The pretence


class Generator(torch.Generator):
    """A torch.Generator that remembers its device."""

    def __new__(cls, device="cpu"):
        generator = super().__new__(cls, "cpu")
        generator.on_cuda = bool(wants_cuda(device))
        return generator

    @property
    def device(self):
        return CUDA if self.on_cuda else CPU


def functions_of_cuda(gpu):
    """What torch.cuda says of the GPU."""
    answers = {
        "is_available": True, "is_initialized": True, "is_bf16_supported": True,
        "device_count": 1, "current_device": 0, "get_device_capability": (8, 0),
        "get_device_name": "a pretended GPU", "is_current_stream_capturing": False,
        "memory_allocated": 0, "max_memory_allocated": 0, "synchronize": None,
        "empty_cache": None, "reset_peak_memory_stats": None, "set_device": None,
        "_lazy_init": None, "device": nullcontext(),
    }  # fmt: skip
    functions = {
        name: lambda *args, answer=answer, **kwargs: answer
        for name, answer in answers.items()
    }
    return functions | {
        "manual_seed": gpu.seed, "manual_seed_all": gpu.seed,
        "get_rng_state": lambda device=0: gpu.state.clone(),
        "set_rng_state": lambda state, device=0: gpu.set_state(state),
    }  # fmt: skip


def set_rng_state(state):
    torch.default_generator.set_state(on_cpu_only(state))


def on_cpu_only(state):
    if marked(state):
        raise TypeError("RNG state must be a torch.ByteTensor")
    return state


# For torch.save and torch.load: what comes first, where a storage lies, and how it is put
# where the file, or map_location, says. Without the pretence PyTorch's own answer is that
# there is no CUDA.
def location(storage):
    return "cuda:0" if getattr(storage, "on_cuda", False) else None


def restore(storage, location):
    if not location.startswith("cuda"):
        return None
    wants_cuda(location)
    storage.on_cuda = True
    return storage


PACKAGE = 5, location, restore
Optimizer = torch.optim.Optimizer
CHECKS = [
    name for name in dir(Optimizer) if name.endswith("graph_capture_health_check")
]
group = torch._C._group_tensors_by_device_and_dtype
run_backward = torch.autograd._engine_run_backward


def grouped(*args):
    """What an optimiser takes together, by device and dtype."""
    groups = group(*args).items()
    return {(found[0][0][0].device, dtype): found for (_, dtype), found in groups}


@contextmanager
def pretended_cuda(stream=1):
    """Have a GPU, "cuda:0", in this thread; `stream` is the number of its random numbers."""
    gpu = Stream(stream)
    operations = Operations(gpu)
    calls = Calls(operations)

    def backward(*args, **kwargs):
        with calls:  # the backward pass may call Python again, as checkpoints do
            return run_backward(*args, **kwargs)

    pins, packages = (
        torch.utils.data._utils.pin_memory,
        torch.serialization._package_registry,
    )
    with ExitStack() as stack:
        for owner, changes in (
            (Tensor, METHODS),
            (torch, {"Generator": Generator, "set_rng_state": set_rng_state}),
            (torch.random, {"set_rng_state": set_rng_state}),
            (torch.cuda, functions_of_cuda(gpu)),
            (torch.autograd, {"_engine_run_backward": backward}),
            (torch._C, {"_group_tensors_by_device_and_dtype": grouped}),
            (
                Optimizer,
                dict.fromkeys(CHECKS, lambda optimizer: None),
            ),  # they ask the driver
            (pins, {"pin_memory": lambda data, device=None: data}),
        ):
            stack.enter_context(patch.multiple(owner, **changes))
        packages.insert(0, PACKAGE)
        stack.callback(packages.remove, PACKAGE)
        stack.enter_context(operations)
        stack.enter_context(calls)
        yield
