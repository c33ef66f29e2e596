"""Parts of a model of open_clip that are in other repositories, as its configuration names them.

A built-in configuration may name a repository with the tokenizer. Any configuration may name a
repository or folder with the configuration of a text tower of transformers or an image tower of
timm. Only their configurations are read: the weights are in the checkpoint of the whole model.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.catalogue.repository_layouts import (
    ARCHITECTURE,
    TOKENIZER,
    RepositoryLayout,
    section,
)
from bench.catalogue.weight_sources import RepositoryFiles

TOKENIZER_NAME, TEXT_NAME, IMAGE_NAME = "hf_tokenizer_name", "hf_model_name", "timm_model_name"
_TIMM_HUB = ("hf-hub", "hf_hub")  # in front of the names of repositories
_TIMM_FOLDER = "local-dir"


def companions_of(config: object, own_tokenizer: bool = False) -> dict[str, RepositoryFiles]:
    """Return the parts in other repositories or folders, by the setting that names them.

    Args:
        config: A model's configuration, `model_cfg`.
        own_tokenizer: Whether the tokenizer is beside the configuration, whatever it is called.
    """
    text, vision = section(config, "text_cfg"), section(config, "vision_cfg")
    found = {}
    if (name := _text(text, TOKENIZER_NAME)) and not own_tokenizer:
        found[TOKENIZER_NAME] = _of_transformers(name, TOKENIZER)
    if name := _text(text, TEXT_NAME):
        found[TEXT_NAME] = _of_transformers(name, ARCHITECTURE)
    schema, _, name = _text(vision, IMAGE_NAME).partition(":")
    if schema == _TIMM_FOLDER:
        found[IMAGE_NAME] = RepositoryFiles(name, ARCHITECTURE, Path(name), "", None)
    if schema in _TIMM_HUB:
        repository, _, revision = name.partition("@")
        found[IMAGE_NAME] = RepositoryFiles(name, ARCHITECTURE, None, repository, revision or None)
    return found


def _text(values: dict[str, Any], key: str) -> str:
    value = values.get(key)
    return value if isinstance(value, str) else ""


def _of_transformers(name: str, layout: RepositoryLayout) -> RepositoryFiles:
    """Return a repository, or a folder of this name; transformers looks for a folder first."""
    folder = Path(name) if Path(name).is_dir() else None
    return RepositoryFiles(name, layout, folder, "" if folder else name, None)


def located(config: dict[str, Any], folders: Mapping[str, str]) -> dict[str, Any]:
    """Return a configuration in which settings name local folders in place of repositories.

    Args:
        config: Content of `open_clip_config.json`.
        folders: The local folders, by the setting that names the repository.
    """
    model = section(config, "model_cfg")
    named = dict(folders)
    if IMAGE_NAME in named:
        named[IMAGE_NAME] = f"{_TIMM_FOLDER}:{named[IMAGE_NAME]}"
    parts = {
        part: {**values, **{key: value for key, value in named.items() if key in values}}
        for part, values in model.items()
        if isinstance(values, dict)
    }
    return {**config, "model_cfg": {**model, **parts}}
