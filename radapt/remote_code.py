"""No Python of a checkpoint ever runs: weights, settings and words are read, and nothing else.

transformers loads classes from Python files where a configuration has an `auto_map`, and attention
from kernels of the hub where `attn_implementation` names one. Where nobody says yes or no it asks
on the terminal. open_clip passes on what a configuration says, `trust_remote_code` included, and
gives its callers no way to say no. So both are kept from it while they load.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import RLock
from typing import Any, NoReturn

_ASKS = "trust_remote_code"
_MAP = "auto_map"
_RULE = (
    "no Python of a checkpoint is run; allowed are checkpoints whose classes come with transformers"
)
_ALONE = RLock()  # what is replaced belongs to the process


class RemoteCodeError(ValueError):
    """A checkpoint asks for code to be run; nothing of it ran."""


def refuse_remote_code(config: Mapping[str, Any], path: Path | str) -> None:
    """Refuse a configuration that says that its Python is to be run.

    Args:
        config: What the file says.
        path: The file, for the message.

    Raises:
        RemoteCodeError: It says so; the message names the file and the key.
    """
    for key, value in _found(config, _ASKS):
        if value not in (False, None):
            raise RemoteCodeError(f"{path}: {key}: got {value!r}, allowed is false: {_RULE}")


@contextmanager
def no_remote_code(*places: Path | str) -> Iterator[None]:
    """Keep transformers from running code, and from asking for it, for as long as this lasts.

    Args:
        places: Folders whose configurations are searched for the key to blame.

    Raises:
        RemoteCodeError: A checkpoint asks for its own code.
    """
    with _ALONE, ExitStack() as undo:
        _guard(undo)
        try:
            yield
        except RemoteCodeError as error:
            raise RemoteCodeError(f"{_names(places)}: {error}") from error
        except Exception as error:
            if _ASKS not in str(error):  # which is what transformers tells callers to set
                raise
            who = next((said for place in places for said in _who(Path(place))), None)
            who = who or f"{_names(places)}: a file of it has an `{_MAP}`"
            raise RemoteCodeError(f"{who}: {_RULE}") from error


def _guard(undo: ExitStack) -> None:
    """Replace what runs code and what asks for it; `undo` puts it back."""
    try:
        import transformers.dynamic_module_utils as dynamic
    except ImportError:
        return  # without transformers nothing is loaded from Python files

    def replace(owner: Any, name: str, value: object) -> None:
        # a release of transformers without the name is an error here, and not a hole
        undo.callback(setattr, owner, name, getattr(owner, name))
        setattr(owner, name, value)

    replace(dynamic, "get_class_in_module", _refused("a class"))
    replace(dynamic, "TIME_OUT_REMOTE_CODE", 0)  # seconds for an answer: it does not ask
    try:
        import transformers.integrations.hub_kernels as kernels
    except ImportError:
        return  # of a release before there were kernels
    if hasattr(kernels, "get_kernel"):  # some releases have it only where kernels can be loaded
        replace(kernels, "get_kernel", _refused("a kernel of the hub, `attn_implementation`"))


def _refused(what: str) -> Callable[..., NoReturn]:
    def refuse(name: object, *_: object, **__: object) -> NoReturn:
        raise RemoteCodeError(f"asks for {what}, {name!r}: {_RULE}")

    return refuse


def _who(folder: Path) -> Iterator[str]:
    """Yield the files of a folder that name code, with the key and what it names."""
    for path in sorted(folder.glob("*config.json")):
        try:
            config = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError, RecursionError):
            continue  # whoever needs it says what is wrong with it
        for key, value in _found(config, _MAP):
            yield f"{path}: {key}: got {value!r}"


def _names(places: tuple[Path | str, ...]) -> str:
    return ", ".join(map(str, places))


def _found(value: Any, wanted: str, at: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the key path and the value of each key of a name, at any depth."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            path = f"{at}.{key}" if at else str(key)
            if key == wanted:
                yield path, item
            yield from _found(item, wanted, path)
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from _found(item, wanted, f"{at}[{place}]")
