"""Read the content of a checkpoint file without running code of the file.

torch's restricted unpickler reads it: tensors, numbers and texts, and the types of `_INERT`, which
training scripts store beside the weights. An object of any other type is refused.
"""

import argparse
import pathlib
import pickle
import re
import shutil
import zipfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.torch_version import TorchVersion

Allowed = list[Callable[..., Any] | tuple[Callable[..., Any], str]]

_KINDS = (
    *(np.bool_, np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64),
    *(np.float16, np.float32, np.float64, np.str_),
)
_scalar: Any = np.float64(0).__reduce__()[0]
_array: Any = np.zeros(0).__reduce__()[0]
# Learning rates, best accuracies and random states are often NumPy's; options are a Namespace. A
# path of another system cannot be made here, so all paths become pure paths.
_INERT: Allowed = [
    *(np.dtype, np.ndarray, argparse.Namespace, TorchVersion),
    *(type(np.dtype(kind)) for kind in _KINDS),
    *((_scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),
    *((_array, f"numpy.{core}.multiarray._reconstruct") for core in ("core", "_core")),
    *((pathlib.PurePosixPath, f"{module}.PosixPath") for module in ("pathlib", "pathlib._local")),
    *((pathlib.PureWindowsPath, f"{m}.WindowsPath") for m in ("pathlib", "pathlib._local")),
]

# What OpenAI's archives and scripted CLIPs of open_clip hold beside the weights. The first three
# are numbers of the configuration; the mask follows from the text's length.
_NOT_WEIGHTS = ("input_resolution", "context_length", "vocab_size", "attn_mask")
_CONSTANTS = "constants.pkl"  # in a TorchScript archive only
_TREE = 2**26  # bytes; torch compresses the tree of modules, and stores tensors as they are


class _Object:
    """An object of a TorchScript archive: its attributes, without its code."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)


def _as_it_is(value: Any, *_: Any) -> Any:
    return value


_TORCHSCRIPT: Allowed = [
    (_as_it_is, f"torch.jit._pickle.{name}")
    for name in (
        *("build_intlist", "build_doublelist", "build_boollist", "build_tensorlist"),
        "restore_type_tag",
    )
]


def inert_values() -> AbstractContextManager[Any]:
    """Let torch's restricted unpickler read the types of `_INERT` inside the context."""
    return torch.serialization.safe_globals(_INERT)


def read_content(path: Path) -> Any:
    """Return what a checkpoint holds.

    Args:
        path: A safetensors file, a file of `torch.save`, or a TorchScript archive, whose weights
            are returned under the key `state_dict`.

    Raises:
        ValueError: The file is missing or damaged, or it holds objects that may run code.
        OSError: The file cannot be read.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        if _is_torchscript(path):
            return {"state_dict": _torchscript_weights(path)}
        with inert_values():
            return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise ValueError(f"{path}: no such checkpoint") from error
    except (OSError, MemoryError):
        raise
    except Exception as error:  # a damaged file raises errors of many types
        raise ValueError(f"{path}: {unreadable(error)}") from error


def unreadable(error: Exception) -> str:
    """Return why a checkpoint cannot be read; torch's own message recommends unsafe loading.

    Args:
        error: The error that torch raised.
    """
    return f"not a checkpoint with only weights ({_why(error)})"


def _why(error: Exception) -> str:
    message = str(error)
    if isinstance(error, pickle.UnpicklingError):
        if found := re.search(r"[Uu]nsupported (?:global: )?GLOBAL (\S+)", message):
            return (
                f"it holds an object of {found[1][:80]}, which is not loaded because it may run "
                "code; save the weights alone: torch.save(model.state_dict(), FILE)"
            )
        message = message.rpartition("error: ")[2]
    return (message.strip().splitlines() or [type(error).__name__])[0][:150]


def _is_torchscript(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.partition("/")[2] == _CONSTANTS for name in archive.namelist())


def _torchscript_weights(path: Path) -> dict[str, Tensor]:
    """Return the weights of a TorchScript archive by name.

    `torch.jit.load` would compile the archive's code and may run it. So the tensors and the tree of
    modules are copied into a file as `torch.save` writes it, and that file is read.
    """
    with TemporaryFile() as copy:
        _copy_without_code(path, copy)
        with inert_values():
            others = torch.serialization.get_unsafe_globals_in_checkpoint(copy)
        classes: Allowed = [(_Object, name) for name in others if name.startswith("__torch__.")]
        copy.seek(0)
        with torch.serialization.safe_globals([*_INERT, *_TORCHSCRIPT, *classes]):
            root = torch.load(copy, map_location="cpu", weights_only=True)
    return {
        name: value for name, value in _tensors(root) if name.rpartition(".")[2] not in _NOT_WEIGHTS
    }


def _copy_without_code(path: Path, copy: IO[bytes]) -> None:
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(copy, "w") as tensors:
        entries = {entry: entry.filename.partition("/")[2] for entry in archive.infolist()}
        if sum(entry.file_size for entry in entries) > path.stat().st_size + _TREE:
            raise ValueError("its parts are far larger than the file")
        for entry, part in entries.items():
            if part == _CONSTANTS or part.startswith("code/"):
                continue
            copied = zipfile.ZipInfo(entry.filename)
            copied.file_size = entry.file_size
            with archive.open(entry) as source, tensors.open(copied, "w") as target:
                shutil.copyfileobj(source, target)
    copy.seek(0)


def _tensors(module: Any, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    for name, value in vars(module).items():
        if isinstance(value, Tensor):
            yield f"{prefix}{name}", value
        elif isinstance(value, _Object):
            yield from _tensors(value, f"{prefix}{name}.")
