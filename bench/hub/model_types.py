"""Repositories of transformers that can be loaded, checked before weights are downloaded."""

from pathlib import Path

from bench.catalogue.repository_layouts import RepositoryLayout, read_json
from bench.catalogue.weight_sources import RepositoryFiles
from bench.core.errors import CellError
from bench.core.identifiers import shown
from radapt.remote_code import RULE, code_keys

ADAPTER_CONFIG = "adapter_config.json"  # peft's


def has_model_types(layout: RepositoryLayout) -> bool:
    """Return whether the configuration of a layout has a model type that is checked."""
    return bool(layout.model_types or layout.auto_table)


def refuse_adapter(name: str, path: Path | None) -> None:
    """Refuse an adapter, since transformers with peft loads the base model that it names.

    Args:
        name: Name of the repository or folder.
        path: Its configuration of an adapter; None if it has none.

    Raises:
        CellError: There is such a configuration.
    """
    if path is not None:
        base = read_json(path).get("base_model_name_or_path")
        raise CellError(
            f"{name}: has {ADAPTER_CONFIG}, an adapter of {shown(base)}, a model that the suite "
            "does not name; merge the adapter into that model, and save the whole model: "
            "merge_and_unload().save_pretrained(FOLDER)"
        )


def refuse_model_type(source: RepositoryFiles, path: Path) -> None:
    """Check the model type of a repository.

    Without transformers, types that only its table has are not checked: the loader then asks for
    the library.

    Args:
        source: The repository or folder.
        path: Its configuration.

    Raises:
        CellError: A model of this type cannot be loaded, or only with code of the checkpoint.
    """
    layout, kind = source.layout, read_json(path).get("model_type")
    allowed = layout.model_types or (_table(layout.auto_table) if layout.auto_table else ())
    if not allowed or kind in allowed:
        return
    if own := next(code_keys(path.parent), None):
        raise CellError(f"{own}: {RULE}")
    which = f"allowed: {', '.join(layout.model_types)}"
    if layout.auto_table:
        which = f"the installed transformers has no model of this type {layout.purpose}"
    raise CellError(f"{source.name}: `model_type` is {shown(kind)}; {which}")


def _table(name: str) -> tuple[str, ...]:
    """Return the model types in a table of transformers; empty if it is not installed."""
    from radapt.compat import ensure_torchvision  # here, since it imports torch

    ensure_torchvision()  # transformers imports torchvision
    try:
        from transformers.models.auto import modeling_auto
    except ImportError:
        return ()
    return tuple(getattr(modeling_auto, name))
