"""Families of vision-language models whose use is tested, by `model_type` in config.json."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench.core.errors import CellError


@dataclass(frozen=True, slots=True)
class Family:
    """What transformers' classes do not say of a family.

    Attributes:
        template: Chat template of checkpoints that have none of their own; None if such
            checkpoints are refused.
        template_name: Its name in results.
        answer_type: Value of `token_type_ids` at the tokens of an answer.
    """

    template: str | None = None
    template_name: str = ""
    answer_type: int = 0


# The conversation format of LLaVA-1.5's code; its first checkpoints have no chat template.
_LLAVA = (
    "{% for message in messages %}"
    "{{ 'USER: ' if message['role'] == 'user' else 'ASSISTANT: ' }}"
    "{% for part in message['content'] %}"
    "{{ '<image>\n' if part['type'] == 'image' else part['text'] + ' ' }}"
    "{% endfor %}{% endfor %}{{ 'ASSISTANT:' if add_generation_prompt else '' }}"
)
# PaliGemma's processor adds the start token after the image, and a newline after the prompt.
_PALIGEMMA = (
    "{% for message in messages %}{% for part in message['content'] %}"
    "{{ '<image>' if part['type'] == 'image' else part['text'] }}{% endfor %}{% endfor %}"
)
# InstructBLIP's processor puts the image before the text.
_INSTRUCTBLIP = (
    "{% for message in messages %}{{ ' ' if message['role'] == 'assistant' else '' }}"
    "{% for part in message['content'] if part['type'] == 'text' %}{{ part['text'] }}{% endfor %}"
    "{% endfor %}"
)
_BARE = "the prompt alone"

FAMILIES = {
    "llava": Family(_LLAVA, "LLaVA-1.5's"),
    "llava_next": Family(),
    "llava_onevision": Family(),
    "qwen2_vl": Family(),
    "qwen2_5_vl": Family(),
    "qwen3_vl": Family(),
    "internvl": Family(),
    "gemma3": Family(),
    "paligemma": Family(_PALIGEMMA, _BARE, answer_type=1),  # 0 is the prompt, read both ways
    "idefics3": Family(),
    "smolvlm": Family(),
    "mllama": Family(),
    "instructblip": Family(_INSTRUCTBLIP, _BARE),
}


def family_of(name: str, config: Mapping[str, Any]) -> Family:
    """Return the family of a model, or a plain one for a family that is not tested.

    Args:
        name: Name of the model, for the message.
        config: The content of its `config.json`, of which no weights are needed.

    Raises:
        CellError: The model has an encoder for the prompt.
    """
    text = config.get("text_config") or {}
    if config.get("is_encoder_decoder") or text.get("is_encoder_decoder"):
        kind = text.get("model_type", config.get("model_type"))
        raise CellError(
            f"{name}: its language model has an encoder for the prompt ({kind}); allowed: models "
            "with a decoder only"
        )
    return FAMILIES.get(str(config.get("model_type")), Family())
