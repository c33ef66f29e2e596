"""The bytes that autograd keeps for a backward pass."""

import weakref
from collections.abc import Callable, Iterable

import torch
from torch import Tensor


class _Held:
    """Holds a tensor that autograd keeps; freed when autograd drops the tensor."""

    def __init__(self, value: Tensor) -> None:
        self.value = value


def kept_bytes(compute: Callable[[], Tensor], weights: Iterable[Tensor]) -> int:
    """Return the bytes that are kept after a loss was computed, without those of the weights."""
    alive: weakref.WeakSet[_Held] = weakref.WeakSet()

    def pack(value: Tensor) -> _Held:
        held = _Held(value)
        alive.add(held)
        return held

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda held: held.value):
        loss = compute()
    assert loss.requires_grad
    excluded = {weight.untyped_storage().data_ptr() for weight in weights}
    storages = {held.value.untyped_storage().data_ptr(): held.value for held in alive}
    return sum(
        value.untyped_storage().nbytes() for at, value in storages.items() if at not in excluded
    )
