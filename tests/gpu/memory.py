"""The memory that `plan` estimates, against the memory that the allocator gave out."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
import transformers
from torch import Tensor

from bench import catalogue
from bench.catalogue.language_families import family_of
from bench.models import ClipModel, LanguageModel
from bench.models.language.chat import Chat
from bench.models.language.pixels import Pixels
from bench.nano.nano_clip import IMAGE_SIZE, Architecture
from bench.plan.cost.architecture import Transformer, size_of
from bench.plan.cost.lvlm_memory import BYTES, PROMPT, memory_need
from bench.plan.cost.lvlm_size import lvlm_size
from bench.plan.cost.lvlm_tokens import image_tokens
from bench.suite.load import Suite
from tests.gpu.scale import Row, Scale, classifier
from tests.perf.subjects import DEVICE
from tests.support.peak_bytes import PeakBytes
from tests.support.small_language import TEXT, VISION, llava_parts

_IMAGES = 2  # that a language model sees at the same time


def memory(scale: Scale) -> Iterator[Row]:
    """CLIP's towers, then language models: weights, a step of an attack, and answers."""
    yield from _clip(scale)
    yield from _language("tiny LLaVA", VISION, TEXT)
    if not scale.small:
        torch.cuda.empty_cache()
        yield from _language("LLaVA-1.5 of 7B parameters", *seven_billion())


def seven_billion() -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the settings of LLaVA-1.5's vision tower and of its language model."""
    config = catalogue.language_models()["llava-hf/llava-1.5-7b-hf"]
    vision, text = ({**config[part]} for part in ("vision_config", "text_config"))
    for part in (vision, text):
        del part["model_type"]
    return {**vision, "num_attention_heads": 16}, text  # not in the catalogue


def _clip(scale: Scale) -> Iterator[Row]:
    subject = scale.subject(scale.batch)
    model, images = classifier(subject), subject.images.clone().requires_grad_(True)
    found = peak_of(lambda: torch.autograd.grad(model(images).sum(), images), model.parameters())
    transformer = _nano_size() if scale.small else _published_size()
    estimate = len(images) * transformer.kept_bytes()
    yield _row(f"{subject.name} in fp32", "a step", len(images), estimate, found)
    assert isinstance(model.model, ClipModel)
    weights = sum(weight.nbytes for weight in model.model.tower.parameters())
    yield _row(f"{subject.name} in fp32", "weights", 0, 4 * transformer.parameters, weights)


def _nano_size() -> Transformer:
    size = Architecture()
    tokens = (IMAGE_SIZE // size.patch) ** 2 + 1
    embedding = size.width * (3 * size.patch**2 + tokens)
    return Transformer(size.width, size.layers, tokens, 4 * size.width, embedding)


def _published_size() -> Transformer:
    entry = {"kind": "open_clip", "name": "ViT-L-14", "pretrained": "openai"}
    size = size_of(Suite.model_validate({"suite": "gpu", "models": {"L": entry}}), "L")
    assert size is not None
    return size.image


def _language(name: str, vision: dict[str, Any], text: dict[str, Any]) -> Iterator[Row]:
    config, processor = llava_parts(vision, text)
    model = _built(config, processor)
    plain = config.to_dict()
    side = int(plain["vision_config"]["image_size"])
    tokens = image_tokens(plain, {}, (side, side))
    said, prompt, answer = _exchange(model, side, tokens.text + PROMPT)
    need = memory_need(lvlm_size(plain), tokens, BYTES["bf16"], said)
    images = torch.rand(_IMAGES, 3, side, side, device=DEVICE)
    weights = sum(weight.nbytes for weight in model.parameters())
    yield _row(f"{name} in bf16", "weights", 0, need.weights, weights)

    def step() -> object:
        points = images.clone().requires_grad_(True)
        likelihood = model.log_likelihood(points, [prompt] * _IMAGES, [answer] * _IMAGES)
        return torch.autograd.grad(likelihood.sum(), points)

    for what, each in (("a step", need.image), ("a step, checkpointing", need.checkpointed)):
        model.checkpointing = "checkpointing" in what
        found = peak_of(step, model.parameters())
        yield _row(f"{name} in bf16", what, _IMAGES, _IMAGES * each, found)
    found = peak_of(
        lambda: model.answer(images, [prompt] * _IMAGES, tokens=said), model.parameters()
    )
    yield _row(f"{name} in bf16", "answers", _IMAGES, _IMAGES * need.cache, found)


def _built(config: Any, processor: Any) -> LanguageModel:
    """Return a model with random weights, made on the device in bf16, and never saved."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device(DEVICE):
            network = transformers.LlavaForConditionalGeneration(config)
    finally:
        torch.set_default_dtype(before)
    end = processor.tokenizer.eos_token_id
    network.generation_config = transformers.GenerationConfig(
        do_sample=False, eos_token_id=[end], pad_token_id=end
    )
    chat = Chat(processor, [end], family_of("random", config.to_dict()))
    network = network.eval().requires_grad_(False)
    return LanguageModel(network, Pixels(processor, chat), chat)


def _exchange(model: LanguageModel, side: int, length: int) -> tuple[int, str, str]:
    """Return the tokens of an answer, a question of so many tokens, and the answer."""
    words, answer = 1, "the cat is a dog"
    while True:
        prompt = " ".join(["cat"] * words)
        asked, said = model.chat.exchange(prompt, answer, (side, side))
        if len(asked) >= length:
            return len(said), prompt, answer
        words += 1


def peak_of(work: Callable[[], object], weights: Iterable[Tensor]) -> int:
    """Return the most bytes that tensors take during some work, without those from before."""
    work()  # workspaces and caches of the first call
    if DEVICE.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        work()
        return torch.cuda.max_memory_allocated() - before
    with PeakBytes(weights) as peak:
        work()
    return peak.most


def _row(model: str, what: str, images: int, estimate: int, measured: int) -> Row:
    return {
        "model": model,
        "what": what,
        "images": images,
        "estimate MB": round(estimate / 1e6, 3),
        "measured MB": round(measured / 1e6, 3),
        "measured / estimate": round(measured / estimate, 3),
    }
