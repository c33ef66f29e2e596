"""Prevent transformers and open_clip from running Python code of a checkpoint.

transformers loads classes from Python files if a configuration has an `auto_map`, and attention
kernels from the hub if `attn_implementation` names one. If `trust_remote_code` is not set, it asks
on the terminal. open_clip passes a configuration's `trust_remote_code` on to transformers, and its
callers cannot override this. So both libraries are blocked from running code while they load.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import RLock
from typing import Any, NoReturn

from radapt.text_files import read_json

_ASKS = "trust_remote_code"
_MAP = "auto_map"
RULE = (
    "Python code of a checkpoint is not run; allowed are checkpoints whose classes are part of "
    "transformers"
)
_LOCK = RLock()  # the replaced functions are global to the process


class RemoteCodeError(ValueError):
    """A checkpoint needs its own code to run; none of it was run."""


def refuse_remote_code(config: Mapping[str, Any], path: Path | str) -> None:
    """Raise an error if a configuration sets `trust_remote_code`.

    Args:
        config: The content of the configuration file.
        path: Path of the file, for the message.

    Raises:
        RemoteCodeError: `trust_remote_code` is set; the message names the file and the key.
    """
    for key, value in _found(config, _ASKS):
        if value not in (False, None):
            raise RemoteCodeError(f"{path}: {key}: got {value!r}, allowed is false: {RULE}")


@contextmanager
def no_remote_code(*places: Path | str) -> Iterator[None]:
    """Block transformers from running remote code, and from asking the user, inside the block.

    Args:
        places: Folders of the checkpoint, searched for the key to name in the message.

    Raises:
        RemoteCodeError: A checkpoint needs its own code.
    """
    with _LOCK, ExitStack() as undo:
        _guard(undo)
        try:
            yield
        except RemoteCodeError as error:
            raise RemoteCodeError(f"{_names(places)}: {error}") from error
        except Exception as error:
            if _ASKS not in str(error):  # transformers' message tells users to set this option
                raise
            keys = (key for place in places for key in code_keys(Path(place)))
            culprit = next(keys, f"{_names(places)}: a configuration file has an `{_MAP}`")
            raise RemoteCodeError(f"{culprit}: {RULE}") from error


def _guard(undo: ExitStack) -> None:
    """Replace transformers' functions that run or ask for code; `undo` restores them."""
    try:
        import transformers.dynamic_module_utils as dynamic
    except ImportError:
        return  # without transformers no code can be loaded

    def replace(owner: Any, name: str, value: object) -> None:
        # raises AttributeError if a release of transformers lacks the name, so nothing is unguarded
        undo.callback(setattr, owner, name, getattr(owner, name))
        setattr(owner, name, value)

    replace(dynamic, "get_class_in_module", _refused("a class"))
    replace(dynamic, "TIME_OUT_REMOTE_CODE", 0)  # seconds to wait for an answer; 0 asks nothing
    try:
        import transformers.integrations.hub_kernels as kernels
    except ImportError:
        return  # older releases have no kernels
    if hasattr(kernels, "get_kernel"):  # some releases lack it if kernels cannot be loaded
        replace(kernels, "get_kernel", _refused("a kernel of the hub, `attn_implementation`"))


def _refused(what: str) -> Callable[..., NoReturn]:
    def refuse(name: object, *_: object, **__: object) -> NoReturn:
        raise RemoteCodeError(f"needs {what}, {name!r}: {RULE}")

    return refuse


def code_keys(folder: Path) -> Iterator[str]:
    """Yield configuration files of a folder that name code, with the key and its value."""
    for path in sorted(folder.glob("*config.json")):
        try:
            config = read_json(path)
        except ValueError:
            continue  # the loader of the file reports what is wrong
        for key, value in _found(config, _MAP):
            yield f"{path}: {key}: got {value!r}"


def _names(places: tuple[Path | str, ...]) -> str:
    return ", ".join(map(str, places))


def _found(value: Any, wanted: str, at: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the key path and the value of each key called `wanted`, at any depth."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            path = f"{at}.{key}" if at else str(key)
            if key == wanted:
                yield path, item
            yield from _found(item, wanted, path)
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from _found(item, wanted, f"{at}[{place}]")
