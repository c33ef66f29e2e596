"""Loading and saving with transformers: no progress bars, no remote code, short errors."""

import importlib
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.catalogue.repository_layouts import refuse_large
from bench.core.errors import CellError
from bench.models.batch_size import out_of_memory
from radapt.remote_code import RemoteCodeError, no_remote_code
from radapt.weight_files import unreadable

_TEXTS = (".json", ".jinja", ".txt", ".model")


@contextmanager
def quiet() -> Iterator[None]:
    """Hide transformers' progress bars inside this context; other libraries keep theirs."""
    library: Any = importlib.import_module("transformers.utils.logging")
    before = library.set_tqdm_hook(_hidden_bar)
    try:
        yield
    finally:
        library.set_tqdm_hook(before)


@contextmanager
def loading(name: str, folder: Path | str) -> Iterator[None]:
    """Load a model with transformers inside this context, without bars and without remote code.

    Args:
        name: Name of the model, for error messages.
        folder: Folder with the model's files, or its name on the hub.

    Raises:
        CellError: The model cannot be loaded. Out-of-memory errors are raised unchanged, because a
            retry may succeed.
    """
    with quiet():
        try:
            for path in _text_files(Path(folder)):
                refuse_large(path)
            with no_remote_code(folder):
                yield
        except RemoteCodeError as error:
            raise CellError(str(error)) from error
        except pickle.UnpicklingError as error:
            raise CellError(f"{name}: {unreadable(error)}") from error
        except Exception as error:  # transformers raises many types when a model cannot be loaded
            if isinstance(error, CellError) or out_of_memory(error):
                raise
            raise CellError(f"transformers cannot load {name!r}: {error}") from error


def _text_files(folder: Path) -> Iterator[Path]:
    """Yield the files of a folder that transformers reads whole, weights left out."""
    for place in (folder, folder / "additional_chat_templates"):
        for suffix in _TEXTS:
            yield from sorted(place.glob(f"*{suffix}"))


def whole_model(kind: Any, name: str, folder: Path, **options: Any) -> Any:
    """Return a model with all its weights from a folder.

    Args:
        kind: A class of transformers with `from_pretrained`.
        name: Name of the model, for error messages.
        folder: Folder with the model's files.
        options: Further arguments of `from_pretrained`.

    Raises:
        CellError: Tensors are missing or have another shape. transformers only warns of missing
            tensors and uses random weights. For other shapes its error names no tensor.
    """
    model, report = kind.from_pretrained(
        folder,
        output_loading_info=True,
        ignore_mismatched_sizes=True,
        trust_remote_code=False,
        **options,
    )
    wrong = sorted(report["missing_keys"]) + sorted(key for key, *_ in report["mismatched_keys"])
    if wrong:
        raise CellError(
            f"{name}: {len(wrong)} tensors of the checkpoint are missing or have another shape, "
            f"the first is {wrong[0]}; use a complete checkpoint of this model type"
        )
    return model


def _hidden_bar(make: Callable[..., Any], given: tuple[Any, ...], options: dict[str, Any]) -> Any:
    return make(*given, **{**options, "disable": True})
