"""Copies of a module that share its weights, but not its hooks, children or attributes."""

import copy

from torch import nn


def clone(root: nn.Module) -> nn.Module:
    """Copy a module and its submodules; the copy shares parameters and buffers.

    Hooks, children and parameters that are later set on the copy do not change the original. This
    includes hooks set by libraries: transformers registers hooks on every block when hidden
    states are first requested. A state dict of the original loads into the copy.

    Raises:
        TypeError: The module is wrapped.
    """
    return _clone(root, {})


def clone_to(root: nn.Module, path: str) -> tuple[nn.Module, nn.Module]:
    """Return a copy as `clone` makes it, and the copy's module at a path, which may be changed.

    Raises:
        TypeError: A module along the path is wrapped.
    """
    _refuse_wrapped(root)
    current = root
    for name in path.split("."):
        child = current._modules[name]
        if child is None:
            raise TypeError(f"{path} leads through an empty module")
        _refuse_wrapped(child)
        current = child
    copied = clone(root)
    return copied, copied.get_submodule(path)


def is_wrapped(module: nn.Module) -> bool:
    """Return whether a module's `forward` is replaced by a wrapper.

    This is the case if it was compiled, dispatched over devices, or prepared for mixed precision.
    A copy would still call the original and ignore hooks on the copy.
    """
    return "forward" in vars(module) or hasattr(module, "_orig_mod")


def _refuse_wrapped(module: nn.Module) -> None:
    if is_wrapped(module):
        raise TypeError(
            f"{type(module).__name__} is wrapped (compiled, dispatched over devices, or prepared "
            "for mixed precision), so a copy of it cannot be changed; pass the unwrapped tower"
        )


def _clone(module: nn.Module, made: dict[int, nn.Module]) -> nn.Module:
    if id(module) in made:  # a module that occurs twice also occurs twice in the copy
        return made[id(module)]
    copied = copy.copy(module)
    made[id(module)] = copied
    copied._parameters = dict(module._parameters)
    copied._buffers = dict(module._buffers)
    copied._non_persistent_buffers_set = set(module._non_persistent_buffers_set)
    copied._forward_hooks = copy.copy(module._forward_hooks)
    copied._forward_pre_hooks = copy.copy(module._forward_pre_hooks)
    copied._modules = {
        # a copy of a wrapped module would call the original, so the module itself is shared
        name: child if child is None or is_wrapped(child) else _clone(child, made)
        for name, child in module._modules.items()
    }
    return copied
