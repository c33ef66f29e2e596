"""What `plan` says of the memory and the operations that vision-language models take."""

from collections.abc import Iterator
from typing import Any

from bench import catalogue
from bench.catalogue.repository_layouts import CHAT
from bench.core.errors import CellError
from bench.data import native_size
from bench.hub.weights import local_config, local_processor
from bench.plan.cost.lvlm_memory import ANSWER, BYTES, GIB, GPUS, PROMPT, SHARE, Need, need
from bench.plan.cost.lvlm_size import LvlmSize, lvlm_size
from bench.plan.cost.lvlm_tokens import image_tokens
from bench.suite.load import Suite
from bench.suite.specs import LvlmModel, ModelSpec, NativeSpec
from bench.suite.specs.models import root_model

_SIDE = 336  # of an image whose size is not known: what LLaVA's tower takes


def memory_lines(suite: Suite) -> Iterator[str]:
    """Say how many images of a suite an attack on its vision-language models fits on a GPU.

    Nothing is said of suites without such models.
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
        f"            {PROMPT} tokens of prompt and {answer} of answer; {SHARE:.0%} of a GPU is "
        "planned for, 1 GB being 2^30 bytes;"
    )
    yield (
        "            one model at a time is counted: others that are kept warm, and one whose "
        "tower or modules it takes, come on top"
    )
    lowered = any(
        isinstance(each, NativeSpec) and each.precision == "bf16" for each in suite.attacks
    )
    for name, spec in models.items():
        config, processor = _configuration(spec)
        try:
            model = lvlm_size(config)
            tokens = image_tokens(config, processor, size)
            each = need(model, tokens, BYTES[spec.precision], answer)
        except (KeyError, TypeError, ValueError):
            yield f"  memory    {name}: its size is not known"
            continue
        yield from _model_lines(name, spec, model, each)
        if lowered and spec.precision == "fp32":
            cast = model.parameters * BYTES["bf16"]
            yield (
                f"            without checkpointing an attack in bf16 keeps {cast / GIB:.1f} GB "
                "more: its weights cast to halves"
            )


def forward_flops(suite: Suite, name: str) -> float | None:
    """Return the operations of an image with its question and answer; None if not known.

    They are two per parameter and token, those of the head on the answer's tokens alone; the
    products of attention, some hundredths of that, are left out.
    """
    spec = root_model(suite.models, name)
    if spec.layout is not CHAT:
        return None
    config, processor = _configuration(spec)
    try:
        model = lvlm_size(config)
        tokens = image_tokens(config, processor, _largest(suite)[0])
    except (KeyError, TypeError, ValueError):
        return None
    blocks = model.text.layers * model.text.parameters * (tokens.text + PROMPT + ANSWER)
    seen = model.vision * tokens.tower + model.projector * tokens.text
    return 2.0 * (blocks + seen + model.vocabulary * model.text.width * ANSWER)


def published_bytes(spec: ModelSpec) -> int:
    """Return the size of a vision-language model's files, in halves; 0 where it is not known."""
    if spec.layout is not CHAT:
        return 0
    try:
        return 2 * lvlm_size(_configuration(spec)[0]).parameters
    except (KeyError, TypeError, ValueError):
        return 0


def _model_lines(name: str, spec: LvlmModel, model: LvlmSize, each: Need) -> Iterator[str]:
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
    chosen = "on" if spec.checkpointing else "off"
    yield (
        f"            an image more: {each.image / GIB:.2f} GB, with checkpointing (here {chosen}) "
        f"{each.saving / GIB:.2f} GB; while answering {each.cache / GIB:.2f} GB"
    )
    fits = "; ".join(f"{gpu} GB: {_fits(each, gpu)}" for gpu in GPUS)
    yield f"            images at once, with checkpointing in brackets: {fits}"


def _fits(each: Need, gpu: int) -> str:
    plain, saving = (each.batch(gpu, checkpointing=on) for on in (False, True))
    return f"{plain} ({saving})" if saving else "none"


def _largest(suite: Suite) -> tuple[tuple[int, int], bool]:
    """Return the largest size of a suite's images, and whether all sizes are known."""
    sizes = []
    for dataset in suite.datasets:
        pixels = suite.protocol.pixels_of(dataset.name)
        sizes.append(native_size(dataset) if pixels == "native" else (pixels.size, pixels.size))
    known = [size for size in sizes if size is not None]
    whole = len(known) == len(sizes)
    candidates = known if whole else [*known, (_SIDE, _SIDE)]
    return max(candidates, key=lambda size: size[0] * size[1]), whole


def _configuration(spec: ModelSpec) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a model's configuration and its image processor's, from here or the catalogue."""
    try:
        config = local_config(spec)
        if config:
            return config, local_processor(spec)
    except CellError:
        return {}, {}  # a run tells what is wrong with it
    known = catalogue.language_models().get(spec.config_name, {})
    return known, known.get("processor", {})
