"""What the kinds of vision-language models of transformers differ in."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Family:
    """One kind of model, as transformers builds it.

    Attributes:
        tower: Path of the vision tower in the model.
        needs_token_types: Whether the model must be told which tokens are an image's (`mm_token_type_ids`).
    """

    tower: str = "model.vision_tower"
    needs_token_types: bool = False


# by the `model_type` of a configuration
FAMILIES = {
    "llava": Family(),
    "llava_next": Family(),
    "llava_onevision": Family(),
    "qwen2_5_vl": Family(tower="model.visual", needs_token_types=True),
    "qwen3_vl": Family(tower="model.visual", needs_token_types=True),
}
