"""Memory and operations of vision-language models, estimated for `plan`."""

from collections.abc import Iterator
from typing import Any

from bench import catalogue
from bench.catalogue.repository_layouts import CHAT
from bench.core.errors import MALFORMED
from bench.data import native_size
from bench.hub.weights import local_config, local_processor
from bench.plan.cost.lvlm_memory import (
    ANSWER,
    BYTES,
    GIB,
    GPUS,
    PROMPT,
    SHARE,
    MemoryNeed,
    memory_need,
)
from bench.plan.cost.lvlm_size import LvlmSize, lvlm_size
from bench.plan.cost.lvlm_tokens import image_tokens
from bench.suite.load import Suite
from bench.suite.specs import LvlmModel, ModelSpec, NativeSpec
from bench.suite.specs.models import root_model

_SIDE = 336  # pixels: assumed if an image's size is not known; the input size of LLaVA's tower


def memory_lines(suite: Suite) -> Iterator[str]:
    """Yield lines on the memory of attacks on vision-language models, and the batches that fit.

    A suite without vision-language models gives no lines.
    """
    models = {name: spec for name, spec in suite.models.items() if isinstance(spec, LvlmModel)}
    if not models:
        return
    size, known = _largest(suite)
    answer = max(ANSWER, suite.protocol.answer_tokens)
    yield (
        "  memory    an estimate from configurations, not measured: attacks on images of "
        f"{size[0]}x{size[1]} pixels{'' if known else ' (assumed)'},"
    )
    yield (
        f"            {PROMPT} tokens of prompt and {answer} of answer; {SHARE:.0%} of a GPU's "
        "memory is used, 1 GB is 2^30 bytes;"
    )
    yield (
        "            one model at a time is counted; other loaded models, and a model whose tower "
        "or modules it uses, need additional memory"
    )
    lowered = any(
        isinstance(each, NativeSpec) and each.precision == "bf16" for each in suite.attacks
    )
    for name, spec in models.items():
        config, processor = _configuration(spec)
        try:
            model = lvlm_size(config)
            tokens = image_tokens(config, processor, size)
            each = memory_need(model, tokens, BYTES[spec.precision], answer)
            lines = list(_model_lines(name, spec, model, each))
        except MALFORMED:
            yield f"  memory    {name}: size not known"
            continue
        yield from lines
        if lowered and spec.precision == "fp32":
            cast = model.parameters * BYTES["bf16"]
            yield (
                f"            without checkpointing, an attack in bf16 needs {cast / GIB:.1f} GB "
                "more for a copy of the weights in bf16"
            )


def forward_flops(suite: Suite, name: str) -> float | None:
    """Return the operations for an image with its question and answer; None if not known.

    Counts two operations per parameter and token; the output head runs on the answer's tokens
    only. Attention products are left out: they are a few hundredths of the total.
    """
    spec = root_model(suite.models, name)
    if spec.layout is not CHAT:
        return None
    config, processor = _configuration(spec)
    try:
        model = lvlm_size(config)
        tokens = image_tokens(config, processor, _largest(suite)[0])
        blocks = model.text.layers * model.text.parameters * (tokens.text + PROMPT + ANSWER)
        seen = model.vision * tokens.tower + model.projector * tokens.text
        return 2.0 * (blocks + seen + model.vocabulary * model.text.width * ANSWER)
    except MALFORMED:
        return None


def published_bytes(spec: ModelSpec) -> int:
    """Return the size of a vision-language model's files in bytes at 16 bits; 0 if not known."""
    if spec.layout is not CHAT:
        return 0
    try:
        return 2 * lvlm_size(_configuration(spec)[0]).parameters
    except MALFORMED:
        return 0


def _model_lines(name: str, spec: LvlmModel, model: LvlmSize, each: MemoryNeed) -> Iterator[str]:
    parts = ", ".join(
        f"{count / 1e9:.2f} {part}"
        for part, count in (
            ("vision", model.vision),
            ("projector", model.projector),
            ("language", model.language),
        )
    )
    yield (
        f"  memory    {name}: {model.parameters / 1e9:.2f} billion parameters ({parts}) in "
        f"{spec.precision}, {each.weights / GIB:.1f} GB"
    )
    setting = "on" if spec.checkpointing else "off"
    yield (
        f"            per image: {each.image / GIB:.2f} GB, with checkpointing (here {setting}) "
        f"{each.checkpointed / GIB:.2f} GB; while answering {each.cache / GIB:.2f} GB"
    )
    fits = "; ".join(f"{gpu} GB: {_fits(each, gpu)}" for gpu in GPUS)
    yield f"            images per batch (with checkpointing in brackets): {fits}"


def _fits(each: MemoryNeed, gpu: int) -> str:
    plain, checkpointed = (each.batch(gpu, checkpointing=on) for on in (False, True))
    return f"{plain} ({checkpointed})" if checkpointed else "none"


def _largest(suite: Suite) -> tuple[tuple[int, int], bool]:
    """Return the largest image size of a suite, (height, width), and whether all are known."""
    sizes = []
    for dataset in suite.datasets:
        pixels = suite.protocol.pixels_of(dataset.name)
        sizes.append(native_size(dataset) if pixels == "native" else (pixels.size, pixels.size))
    known = [size for size in sizes if size is not None]
    all_known = len(known) == len(sizes)
    candidates = known if all_known else [*known, (_SIDE, _SIDE)]
    return max(candidates, key=lambda size: size[0] * size[1]), all_known


def _configuration(spec: ModelSpec) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the configurations of a model and its image processor: local or the catalogue's."""
    try:
        config = local_config(spec)
        if config:
            return config, local_processor(spec)
    except MALFORMED:
        return {}, {}  # a run reports what is wrong with the configuration
    known = catalogue.language_models().get(spec.config_name, {})
    return known, known.get("processor", {})
