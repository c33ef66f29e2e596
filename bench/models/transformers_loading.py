"""Loading and saving with transformers: no bars, no code, failures in one sentence."""

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.core.errors import CellError
from bench.models.batch_size import out_of_memory
from radapt.remote_code import RemoteCodeError, no_remote_code


@contextmanager
def quiet() -> Iterator[None]:
    """Let transformers show no bars for as long as this lasts; other libraries' stay."""
    bars: Any = importlib.import_module("transformers.utils.logging")
    before = bars.set_tqdm_hook(_hidden)
    try:
        yield
    finally:
        bars.set_tqdm_hook(before)


@contextmanager
def loading(name: str, folder: Path | str) -> Iterator[None]:
    """Load a model with transformers, quietly; no code of the model's own runs.

    Args:
        name: What the model is called.
        folder: Where its files are, or its name on the hub.

    Raises:
        CellError: It cannot be loaded. That memory ran out may pass, and is raised as it is.
    """
    with quiet():
        try:
            with no_remote_code(folder):
                yield
        except RemoteCodeError as error:
            raise CellError(str(error)) from error
        except Exception as error:  # transformers raises many kinds for one cause
            if isinstance(error, CellError) or out_of_memory(error):
                raise
            raise CellError(f"transformers cannot load {name!r}: {error}") from error


def _hidden(make: Callable[..., Any], given: tuple[Any, ...], options: dict[str, Any]) -> Any:
    return make(*given, **{**options, "disable": True})
