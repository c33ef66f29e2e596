"""Decides from a configuration whether a model is a vision-language model that can be run."""

import importlib
from collections.abc import Mapping
from typing import Any

from bench.catalogue.language_families import FAMILIES, Family
from bench.core.errors import CellError


def family_of(name: str, config: Mapping[str, Any]) -> Family:
    """Return the family of a model, or a plain one for a model that is checked when it is loaded.

    Args:
        name: Name of the model, for the message.
        config: The content of its `config.json`.

    Raises:
        CellError: transformers has no such vision-language model, or it has an encoder for the
            prompt.
    """
    kind = str(config.get("model_type"))
    if kind not in FAMILIES and kind not in _image_text_to_text():
        raise CellError(
            f"{name}: `model_type` is {kind!r}; allowed: {', '.join(FAMILIES)}, and other types "
            "that transformers loads with AutoModelForImageTextToText"
        )
    text = config.get("text_config") or {}
    if config.get("is_encoder_decoder") or text.get("is_encoder_decoder"):
        raise CellError(
            f"{name}: its language model has an encoder for the prompt "
            f"({text.get('model_type', kind)}); allowed: models with a decoder only"
        )
    return FAMILIES.get(kind, Family())


def _image_text_to_text() -> Mapping[str, str]:
    found: Any = importlib.import_module("transformers.models.auto.modeling_auto")
    names: Mapping[str, str] = found.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES
    return names
