"""Copies of a module that share its weights and nothing else that could be put on it."""

import copy

from torch import nn


def clone(root: nn.Module) -> nn.Module:
    """Copy a module and all within it, sharing parameters and buffers.

    Hooks, children and parameters set on the copy, by whomever, are not seen by the original:
    transformers, for one, hangs its own on every block at the first call that asks for hidden
    states. The state dict still loads into the copy.

    Raises:
        TypeError: The module is wrapped.
    """
    return _clone(root, {})


def clone_to(root: nn.Module, path: str) -> tuple[nn.Module, nn.Module]:
    """Return a copy as of `clone`, and the module at a path in it, which may be changed.

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
    """Return whether something calls a module's forward in its stead.

    That is so where it was compiled, dispatched over devices, or prepared for mixed precision. A
    copy would go on calling the original, past whatever is put on the copy.
    """
    return "forward" in vars(module) or hasattr(module, "_orig_mod")


def _refuse_wrapped(module: nn.Module) -> None:
    if is_wrapped(module):
        raise TypeError(
            f"{type(module).__name__} is wrapped (compiled, dispatched over devices, or prepared "
            "for mixed precision), so a copy of it cannot be changed; take the bare tower"
        )


def _clone(module: nn.Module, made: dict[int, nn.Module]) -> nn.Module:
    if id(module) in made:  # a module that occurs twice does so in the copy
        return made[id(module)]
    copied = copy.copy(module)
    made[id(module)] = copied
    copied._parameters = dict(module._parameters)
    copied._buffers = dict(module._buffers)
    copied._non_persistent_buffers_set = set(module._non_persistent_buffers_set)
    copied._forward_hooks = copy.copy(module._forward_hooks)
    copied._forward_pre_hooks = copy.copy(module._forward_pre_hooks)
    copied._modules = {
        # what is wrapped calls the original whatever is copied, so that one is shared
        name: child if child is None or is_wrapped(child) else _clone(child, made)
        for name, child in module._modules.items()
    }
    return copied
