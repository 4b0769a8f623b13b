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
functorch = torch._C._functorch
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
ONE_DEVICE = {  # pointwise, and yet no number of the CPU is taken
    aten.clamp,
    aten.clamp_,
    aten.clamp_min,
    aten.clamp_min_,
    aten.clamp_max,
    aten.clamp_max_,
    aten.logaddexp,
    aten.logaddexp2,
    aten.nextafter,
    aten.gcd,
    aten.igamma,
    aten.igammac,
    aten.lcm,
}
ASK_NOTHING = {aten._has_compatible_shallow_copy_type, aten.is_same_size}
NO_INTEGERS = {
    aten.mm,
    aten.addmm,
    aten.bmm,
    aten.baddbmm,
    aten.mv,
    aten.addmv,
    aten.dot,
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
        while functorch.is_functorch_wrapped_tensor(tensor):  # of vmap or grad
            tensor = functorch.get_unwrapped(tensor)
        return is_real(tensor) and has_mark(tensor)


def mark(tensor, on_cuda=True):
    with torch._C.DisableTorchFunction():
        while functorch.is_functorch_wrapped_tensor(tensor):
            tensor = functorch.get_unwrapped(tensor)
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
            elif on_cuda and (
                operation.overloadpacket in NOT_ON_CUDA
                or operation.overloadpacket in NO_INTEGERS
                and not (found[0].is_floating_point() or found[0].is_complex())
            ):
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
    if kind in ASK_NOTHING:
        return True
    if kind is aten.fill_:  # reads a single number, wherever it is
        return True
    if kind is aten.floor_divide or kind is aten.binary_cross_entropy_with_logits:
        return all(t.dim() == 0 for t in strays)
    if kind in INDEXING:
        if len(args) > 2 and args[2].dim() == 0 and not marked(args[0]):
            return not any(map(marked, tensors(args[1])))
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
    if kind in TAKE_A_NUMBER:  # as the value, the last argument
        return args[-1] is strays[0] and len(strays) == 1
    pointwise = torch.Tag.pointwise in operation.tags and kind not in ONE_DEVICE
    return (
        pointwise
        and (len(strays) == 1 or kind is aten.where)
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


ARITHMETIC = {
    f"{before}{name}{after}"
    for name in ("add", "sub", "mul", "div", "truediv", "pow")
    for before, after in (("", ""), ("__", "__"), ("__r", "__"))
} | {"rsub", "where", "true_divide", "subtract", "multiply", "divide"}


def number_of_the_cpu(value):
    """So that the gradient of a single number that stays on the CPU goes there, too."""
    if isinstance(value, Tensor) and value.requires_grad and value.dim() == 0:
        return value if marked(value) else Move.apply(value, False)
    return value


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
        if on_cuda and torch.is_grad_enabled() and function.__name__ in ARITHMETIC:
            args = tuple(map(number_of_the_cpu, args))
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


def same_place(gradient, on_cuda):
    """What the engine asks of a gradient that Python hands it; a single number is moved."""
    if not isinstance(gradient, Tensor) or marked(gradient) == on_cuda:
        return gradient
    if gradient.dim() == 0:
        return move(gradient, on_cuda)
    raise RuntimeError("invalid gradient: on a different device than expected")


def register_hook(tensor, hook):
    def checked(gradient):
        result = hook(gradient)
        if isinstance(result, Tensor) and marked(result) != marked(gradient):
            raise RuntimeError("hook has changed the type of value: a different device")
        return result

    return add_hook(tensor, checked)


def to_numpy(tensor, *, force=False):
    if force and marked(tensor):
        tensor = to(tensor.detach(), CPU)
    return only_on_cpu(Base.numpy)(tensor, force=force)


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


deep_copy, add_hook = Tensor.__deepcopy__, Tensor.register_hook
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
    "cuda": lambda tensor, device=None, *args, **kwargs: to(
        tensor,
        torch.device("cuda", device)
        if isinstance(device, int)
        else torch.device(device or "cuda"),
        **kwargs,
    ),
    "type_as": lambda tensor, other: to(tensor, other),
    "register_hook": register_hook,
    "__dlpack__": only_on_cpu(Tensor.__dlpack__),
    "copy_": copy_,
    "__setitem__": set_item,
    "grad": property(
        Base.grad.__get__, set_gradient, lambda tensor: set_gradient(tensor, None)
    ),
    "numpy": to_numpy,
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

    def set_state(self, state):
        return super().set_state(on_cpu_only(state))


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


def pinned(data, device=None):
    for tensor in tensors([data]):
        pin_memory(tensor)
    return data


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
BackwardCFunction = torch.autograd.function.BackwardCFunction
apply_function = torch.autograd.Function.__dict__["apply"]  # of C: a descriptor
apply_backward = BackwardCFunction.apply


def apply(cls, *args, **kwargs):
    """Function.apply, which leaves the places of its arguments for its gradients."""
    places = [isinstance(a, Tensor) and marked(a) for a in args]
    results = apply_function.__get__(None, cls)(*args, **kwargs)
    for result in tensors([results]):
        node = result.grad_fn
        if isinstance(node, BackwardCFunction) and not hasattr(node, "places"):
            node.places = places
    return results


def backward_of_python(node, *gradients):
    results = apply_backward(node, *gradients)
    places = getattr(node, "places", None)
    if places is None:
        return results
    several = isinstance(results, tuple)
    found = results if several else (results,)
    found = tuple(map(same_place, found, places)) + found[len(places) :]
    return found if several else found[0]


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
        roots, gradients, *rest = args
        gradients = tuple(
            same_place(g, marked(r)) if isinstance(r, Tensor) else g
            for r, g in zip(roots, gradients, strict=True)
        )
        args = roots, gradients, *rest
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
            (torch.nn.RNNBase, {"flatten_parameters": lambda net: None}),  # of cuDNN
            (pins, {"pin_memory": pinned}),
            (torch.autograd.Function, {"apply": classmethod(apply)}),
            (BackwardCFunction, {"apply": backward_of_python}),
        ):
            stack.enter_context(patch.multiple(owner, **changes))
        packages.insert(0, PACKAGE)
        stack.callback(packages.remove, PACKAGE)
        stack.enter_context(operations)
        stack.enter_context(calls)
        yield
