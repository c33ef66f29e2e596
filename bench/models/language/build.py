"""Loads a vision-language model with transformers."""

import importlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from bench.catalogue.language_families import FAMILIES, family_of
from bench.catalogue.repository_layouts import MAX_TEMPLATE
from bench.core.errors import CellError
from bench.core.torchvision_shim import ensure_torchvision
from bench.core.types import VERIFIED_FAMILY
from bench.hub.weights import weight_files
from bench.models.build_context import BuildContext
from bench.models.language.answering_model import LanguageModel
from bench.models.language.chat import Chat
from bench.models.language.pixels import Pixels
from bench.models.language.towers import replace_tower
from bench.models.language.verification import verify_answers, verify_pixels
from bench.models.transformers_loading import loading, whole_model
from bench.suite.specs import LvlmModel
from radapt.optional_packages import not_installed

_TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def build_language(spec: LvlmModel, context: BuildContext) -> LanguageModel:
    """Build a vision-language model, frozen, in evaluation mode, in the precision of its spec.

    Raises:
        CellError: The model cannot be loaded, is of a type that is not supported, has
            preprocessing that cannot be made differentiable, or lacks weights, or the vision tower
            of another model does not fit.
    """
    ensure_torchvision()  # transformers imports torchvision
    try:
        transformers: Any = importlib.import_module("transformers")
    except ImportError as error:
        raise CellError(not_installed("transformers")) from error
    folder = weight_files(spec)[1].parent  # of the configuration; weight files may be links
    with loading(spec.name, folder):
        config = transformers.AutoConfig.from_pretrained(folder, trust_remote_code=False)
        _require_type(spec.name, config.model_type)
        family = family_of(spec.name, config.to_dict())
        processor = transformers.AutoProcessor.from_pretrained(folder, trust_remote_code=False)
        _complete(processor, config)
        _refuse_long_template(spec.name, processor.chat_template)
        try:  # before the weights, which may be large
            chat = Chat(processor, _ends(transformers, folder, config), family)
            pixels = Pixels(processor, chat)
            preprocessing = verify_pixels(pixels)
        except ValueError as error:
            raise CellError(f"{spec.name}: {error}") from error
        kind = transformers.AutoModelForImageTextToText
        network = whole_model(kind, spec.name, folder, dtype=_TYPES[spec.precision])
    # greedy decoding: the checkpoint's own settings may sample, or penalise repetition
    greedy = transformers.GenerationConfig(
        do_sample=False, num_beams=1, eos_token_id=chat.ends, pad_token_id=chat.ends[0]
    )
    for module in network.modules():  # InstructBLIP generates with the language model inside it
        if hasattr(module, "generation_config"):
            module.generation_config = greedy
    network = network.to(context.device).eval().requires_grad_(False)
    tested = config.model_type in FAMILIES
    facts = {} if tested else {VERIFIED_FAMILY: str(config.model_type)}
    model = LanguageModel(
        network, pixels, chat, checkpointing=spec.checkpointing,
        extra_facts={"preprocessing": preprocessing, **facts}, check=context.check,
    )  # fmt: skip
    if not tested:
        verify_answers(model, spec.name)
    if spec.tower is None:
        return model
    return replace_tower(model, context.refer(spec.tower), spec.tower)


def _require_type(name: str, kind: str) -> None:
    from transformers.models.auto import modeling_auto

    if kind not in modeling_auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES:
        raise CellError(
            f"{name}: `model_type` is {kind!r}; allowed: {', '.join(FAMILIES)}, and other types "
            "that transformers loads with AutoModelForImageTextToText"
        )


def _refuse_long_template(name: str, template: object) -> None:
    """Refuse a template of a configuration file that no published checkpoint comes near to.

    Rendering needs many times its length in memory.
    """
    texts = template.values() if isinstance(template, dict) else [template or ""]
    if (length := max((len(str(text)) for text in texts), default=0)) > MAX_TEMPLATE:
        raise CellError(
            f"{name}: its chat template has {length:,} characters; allowed: {MAX_TEMPLATE:,}"
        )


def _ends(transformers: Any, folder: Path, config: Any) -> Iterable[int]:
    """Return the token ids at which generation stops, from the checkpoint's configuration."""
    settings = transformers.GenerationConfig
    if (folder / "generation_config.json").is_file():
        ends = settings.from_pretrained(folder).eos_token_id
    else:
        ends = settings.from_model_config(config).eos_token_id
    return ends if isinstance(ends, list) else [] if ends is None else [ends]


def _complete(processor: Any, config: Any) -> None:
    """Set what old repositories of LLaVA do not say: how many tokens stand for an image."""
    if getattr(processor, "patch_size", 0) is None:
        vision = config.vision_config
        processor.patch_size = vision.patch_size
        processor.vision_feature_select_strategy = config.vision_feature_select_strategy
        class_tokens = int(vision.model_type == "clip_vision_model")  # SigLIP has none
        processor.num_additional_image_tokens = class_tokens
