"""Load a vision-language model with transformers."""

import importlib
from collections.abc import Iterable
from typing import Any

import torch

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

_DEFAULT_TEMPLATE_TYPE = (
    "llava"  # whose first checkpoints had no template of their chat beside them
)
_TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def build_language(spec: LvlmModel, context: BuildContext) -> LanguageModel:
    """Build a vision-language model, frozen, in evaluation mode, in the precision of its spec.

    Raises:
        CellError: It cannot be loaded, is of another kind, lacks weights, or another's tower
            does not fit.
    """
    ensure_torchvision()  # which transformers imports
    try:
        transformers: Any = importlib.import_module("transformers")
    except ImportError as error:
        raise CellError("`kind: lvlm` needs the extra: pip install '.[lvlm]'") from error
    folder = weight_files(spec)[1].parent  # the configuration's; weights may be links elsewhere
    with loading(spec.name, folder):
        config = transformers.AutoConfig.from_pretrained(folder, trust_remote_code=False)
        if config.model_type not in FAMILIES:
            raise CellError(
                f"{spec.name}: is a {config.model_type!r}; allowed: {', '.join(FAMILIES)}"
            )
        processor = transformers.AutoProcessor.from_pretrained(folder, trust_remote_code=False)
        if processor.chat_template is None and config.model_type != _DEFAULT_TEMPLATE_TYPE:
            raise CellError(f"{spec.name}: has no template of its chat (chat_template.jinja)")
        network, report = transformers.AutoModelForImageTextToText.from_pretrained(
            folder, dtype=_TYPES[spec.precision], attn_implementation="sdpa",
            output_loading_info=True, trust_remote_code=False,
        )  # fmt: skip
        chat = Chat(processor, _ends(network))
        pixels = Pixels(processor.image_processor)
    missing = sorted(report["missing_keys"]) + sorted(map(str, report["mismatched_keys"]))
    if missing:  # transformers only warns, and goes on with random ones
        raise CellError(f"{spec.name}: the weights lack {len(missing)} tensors, {missing[0]} first")
    # greedy and nothing else: a checkpoint's own settings may sample, or penalise what was said
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


def _ends(network: Any) -> Iterable[int]:
    """Return the tokens at which a checkpoint says that generation stops."""
    said = network.generation_config.eos_token_id
    return said if isinstance(said, list) else [] if said is None else [said]
