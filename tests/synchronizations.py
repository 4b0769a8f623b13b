"""Find what would make the host wait for a GPU, on a machine that has none.

Everything is put on "meta", a device that knows shapes and dtypes but no values, so
that whatever asks for one fails. What needs none runs there as on a GPU.
"""

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Waits(TorchDispatchMode):
    """Lists what would have made the host wait in a `with` block, in `names`.

    The block ends at the first value that is asked for, except by `.cpu()`, which
    brings zeros. Copies from the host are listed, too: it waits until they have left.
    """

    def __init__(self):
        super().__init__()
        self.names = []

    def __enter__(self):
        self.originals = [
            (owner, name, getattr(owner, name))
            for owner, name in (
                (torch.Tensor, "cpu"), (torch.Tensor, "__getitem__"), (torch, "tensor"),
            )
        ]  # fmt: skip
        cpu, getitem, tensor = (original for *_, original in self.originals)

        def zeros(values, *args, **kwargs):
            if values.device.type == "cpu":
                return cpu(values, *args, **kwargs)
            self.names.append("cpu")
            return torch.zeros(values.shape, dtype=values.dtype, device="cpu")

        def get(values, index):
            parts = index if isinstance(index, tuple) else (index,)
            if values.device.type != "cpu" and any(isinstance(p, list) for p in parts):
                self.names.append("a list as an index")
            return getitem(values, index)

        def make(*args, **kwargs):
            result = tensor(*args, **kwargs)
            if result.device.type != "cpu":
                self.names.append("torch.tensor")
            return result

        replacements = zeros, get, make
        for (owner, name, _), new in zip(self.originals, replacements, strict=True):
            setattr(owner, name, new)
        return super().__enter__()

    def __exit__(self, kind, error, traceback):
        super().__exit__(kind, error, traceback)
        for owner, name, original in self.originals:
            setattr(owner, name, original)
        asked = (
            isinstance(error, (RuntimeError, TypeError))
            and "meta" in str(error).lower()
        )
        if asked:
            self.names.append(str(error))
        return asked

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        tensors = [t for t in tree_leaves((args, kwargs, result)) if torch.is_tensor(t)]
        # A tensor of a single value goes along with the operation's other arguments; a
        # longer one is copied.
        places = {t.device.type for t in tensors if t.dim() > 0}
        name = func.overloadpacket.__name__
        if len(places) > 1 or name == "multinomial":  # which looks for NaN
            self.names.append(name)
        return result
