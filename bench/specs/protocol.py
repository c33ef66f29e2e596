"""How images and prompts become a number, and the presets of it."""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from bench.specs.base import Spec


class Pixels(Spec):
    """Size of the images that are attacked, and how other sizes are brought to it."""

    size: Annotated[int, Field(ge=8)]
    fit: Literal["crop", "squash"]


Storage = Literal["float16", "uint8-truncate", "uint8-round"]


class Protocol(Spec):
    """How images and prompts become a number, whatever the model.

    `templates` is a list of prompts, or `dataset` for those in the dataset's folder.
    `storage` is the form in which adversarial images are kept: as float16 perturbations
    where others are scored on them, or all of them as 8-bit images, cut or rounded.
    """

    pixels: Pixels | Literal["native"]
    templates: Annotated[tuple[str, ...], Field(min_length=1)] | Literal["dataset"]
    storage: Storage = "float16"

    @field_validator("templates")
    @classmethod
    def _placeholder(cls, templates: Any) -> Any:
        if templates != "dataset" and any("{c}" not in text for text in templates):
            raise PydanticCustomError("templates", "each template needs the placeholder {c}")
        return templates


PRESETS = {
    "radapt-paper": Protocol(
        pixels=Pixels(size=224, fit="squash"), templates=("a photo of a {c}",)
    ),
    "clip-benchmark": Protocol(pixels=Pixels(size=224, fit="crop"), templates="dataset"),
}


def expand_preset(value: Any) -> Any:
    """Turn a preset's name, or a mapping with `preset` and overrides, into all fields."""
    given = {"preset": value} if isinstance(value, str) else value
    if not isinstance(given, dict) or "preset" not in given:
        return given
    if not isinstance(given["preset"], str) or given["preset"] not in PRESETS:
        raise PydanticCustomError(
            "preset", "unknown preset; allowed: {allowed}", {"allowed": ", ".join(PRESETS)}
        )
    overrides = {key: item for key, item in given.items() if key != "preset"}
    return {**PRESETS[given["preset"]].model_dump(), **overrides}
