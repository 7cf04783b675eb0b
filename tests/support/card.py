"""A pretended card: tensors that lie on a device which is no CPU, and are computed on the CPU.

Every operation checks where its tensors lie, as CUDA does: a tensor of the CPU beside one of the
card is refused (a number, or an index into a tensor of the card, is none), and numpy cannot read
what lies on the card. The values are real, unlike those of torch's fake tensors, so whole stages
run, with their branches on values and their files, and give what the CPU gives, bit for bit.
"""

import contextlib

import torch
from torch.overrides import TorchFunctionMode
from torch.utils import backend_registration
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map_only

__all__ = ["pretended"]

NAME = "card"
aten = torch.ops.aten
MOVES = {aten.copy_.default, aten._to_copy.default}
INDEXED = {
    aten.index.Tensor,
    aten.index_put.default,
    aten.index_put_.default,
    aten._index_put_impl_.default,
}


_there = False


class Module(backend_registration._DummyBackendModule):
    """What torch asks of a device: it has no random numbers of its own."""

    def is_available(self):
        return _there

    def get_rng_state(self, device=None):
        return torch.empty(0, dtype=torch.uint8)

    def set_rng_state(self, state, device=None):
        pass


class Hook(backend_registration._DummyPrivateUse1Hook):
    """The same, asked by another door."""

    def is_available(self):
        return _there


class OnCard(torch.Tensor):
    """A tensor of the card; `values` is the one of the CPU that it is computed with."""

    @staticmethod
    def __new__(cls, values):
        mine = torch.Tensor._make_wrapper_subclass(
            cls, values.shape, strides=values.stride(), storage_offset=values.storage_offset(),
            dtype=values.dtype, device=torch.device(NAME, 0),
        )  # fmt: skip
        mine.values = values
        return mine

    def __repr__(self, **kwargs):
        return f"OnCard({self.values})"

    @classmethod
    def __torch_dispatch__(cls, operation, types, args=(), kwargs=None):
        return computed(operation, args, kwargs or {})


def on_card(device):
    return device is not None and torch.device(device).type == NAME


def computed(operation, args, kwargs):
    """An operation's result, where its tensors say, or its `device`."""
    tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)]
    there = any(isinstance(x, OnCard) for x in tensors)
    first = isinstance(args[0], OnCard) if args else False
    if there and operation not in MOVES:
        apart = [x for x in tensors if not isinstance(x, OnCard) and x.dim()]
        if (apart and not (operation in INDEXED and first)) or (operation in INDEXED and not first):
            raise RuntimeError(f"{operation}: expected all tensors to be on the same device")
    device = kwargs.get("device")
    result_there = on_card(device) if device is not None else first or there
    if operation is aten.copy_.default:
        result_there = first
    plain, named = tree_map_only(OnCard, lambda x: x.values, (args, kwargs))
    if device is not None:
        named = named | {"device": "cpu"}
    result = operation(*plain, **named)
    if result_there:
        result = tree_map_only(torch.Tensor, OnCard, result)
    return return_and_correct_aliasing(operation, args, kwargs, result) if there else result


class Computed(TorchDispatchMode):
    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        return computed(operation, args, kwargs or {})


class Made(TorchFunctionMode):
    """Tensors made of Python's numbers, and made such, by code that no dispatch mode sees."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function is torch.Tensor.tolist:
            return function(args[0].cpu())
        if function in (torch.tensor, torch.as_tensor) and on_card(kwargs.get("device")):
            return function(*args, **kwargs | {"device": "cpu"}).to(kwargs["device"])
        return function(*args, **kwargs)


@contextlib.contextmanager
def pretended():
    """In the block there is a card; its device."""
    global _there
    _there = True
    try:
        with Computed(), Made():
            yield torch.device(NAME, 0)
    finally:
        _there = False


# Autograd counts the devices once, when a process first calls backward: conftest.py imports this.
# Beside a real card this one would be torch's first.
if not torch.cuda.is_available():
    backend_registration._setup_privateuseone_for_python_backend(NAME, Module(), Hook())
