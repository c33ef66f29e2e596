"""Loads a vision-language model with transformers."""

import importlib
from collections.abc import Iterable
from typing import Any

import torch

from bench.catalogue.repository_layouts import MAX_TEMPLATE
from bench.core.errors import CellError
from bench.core.torchvision_shim import ensure_torchvision
from bench.hub.weights import weight_files
from bench.models.build_context import BuildContext
from bench.models.language.answering_model import LanguageModel
from bench.models.language.chat import Chat
from bench.models.language.families import FAMILIES
from bench.models.language.pixels import Pixels
from bench.models.language.towers import replace_tower
from bench.models.transformers_loading import loading
from bench.suite.specs import LvlmModel

_DEFAULT_TEMPLATE_TYPE = "llava"  # its first checkpoints have no chat template
_TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def build_language(spec: LvlmModel, context: BuildContext) -> LanguageModel:
    """Build a vision-language model, frozen, in evaluation mode, in the precision of its spec.

    Raises:
        CellError: The model cannot be loaded, has another model type, or lacks weights, or the
            vision tower of another model does not fit.
    """
    ensure_torchvision()  # transformers imports torchvision
    try:
        transformers: Any = importlib.import_module("transformers")
    except ImportError as error:
        raise CellError("`kind: lvlm` needs the extra: pip install '.[lvlm]'") from error
    folder = weight_files(spec)[1].parent  # of the configuration; weight files may be links
    with loading(spec.name, folder):
        config = transformers.AutoConfig.from_pretrained(folder, trust_remote_code=False)
        if config.model_type not in FAMILIES:
            raise CellError(
                f"{spec.name}: `model_type` is {config.model_type!r}; allowed: "
                f"{', '.join(FAMILIES)}"
            )
        processor = transformers.AutoProcessor.from_pretrained(folder, trust_remote_code=False)
        if processor.chat_template is None and config.model_type != _DEFAULT_TEMPLATE_TYPE:
            raise CellError(
                f"{spec.name}: the checkpoint has no chat template; add chat_template.jinja"
            )
        _refuse_long_template(spec.name, processor.chat_template)
        network, report = transformers.AutoModelForImageTextToText.from_pretrained(
            folder, dtype=_TYPES[spec.precision], attn_implementation="sdpa",
            output_loading_info=True, trust_remote_code=False,
        )  # fmt: skip
        chat = Chat(processor, _ends(network))
        pixels = Pixels(processor.image_processor)
    missing = sorted(report["missing_keys"]) + sorted(map(str, report["mismatched_keys"]))
    if missing:  # transformers only warns, and uses random weights
        raise CellError(
            f"{spec.name}: {len(missing)} tensors of the checkpoint are missing or have another "
            f"shape, the first is {missing[0]}; use a complete checkpoint of this model type"
        )
    # greedy decoding: the checkpoint's own settings may sample, or penalise repetition
    network.generation_config = transformers.GenerationConfig(
        do_sample=False, num_beams=1, eos_token_id=chat.ends, pad_token_id=chat.ends[0]
    )
    network = network.to(context.device).eval().requires_grad_(False)
    model = LanguageModel(
        network, FAMILIES[config.model_type], pixels, chat, checkpointing=spec.checkpointing
    )
    if spec.tower is None:
        return model
    return replace_tower(model, context.refer(spec.tower), spec.tower)


def _refuse_long_template(name: str, template: object) -> None:
    """Refuse a template of a configuration file that no published checkpoint comes near to.

    Rendering needs many times its length in memory.
    """
    texts = template.values() if isinstance(template, dict) else [template or ""]
    if (length := max((len(str(text)) for text in texts), default=0)) > MAX_TEMPLATE:
        raise CellError(
            f"{name}: its chat template has {length:,} characters; allowed: {MAX_TEMPLATE:,}"
        )


def _ends(network: Any) -> Iterable[int]:
    """Return the token ids at which generation stops, from the checkpoint's configuration."""
    ends = network.generation_config.eos_token_id
    return ends if isinstance(ends, list) else [] if ends is None else [ends]
