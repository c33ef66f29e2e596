"""The supported families of vision-language models, and how they differ in transformers."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Family:
    """A family of models, as implemented in transformers.

    Attributes:
        tower: Module path of the vision tower in the model.
        needs_token_types: Whether the model needs the input `mm_token_type_ids`, which marks the
            tokens of the image.
    """

    tower: str = "model.vision_tower"
    needs_token_types: bool = False


# by `model_type` in config.json
FAMILIES = {
    "llava": Family(),
    "llava_next": Family(),
    "llava_onevision": Family(),
    "qwen2_5_vl": Family(tower="model.visual", needs_token_types=True),
    "qwen3_vl": Family(tower="model.visual", needs_token_types=True),
}
