"""Tiny vision-language models with random weights, of transformers' own classes.

They are equal on every machine, need no network, and have learnt nothing; they exercise a whole
suite. They answer only yes or no, by the sign of one number. So half of their answers to yes-no
questions are right, and an attack has answers to change.

A change of the code that changes their answers needs a new `TinyModel.code`.
"""

import importlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.core.errors import CellError
from bench.core.torchvision_shim import ensure_torchvision
from bench.models.build_context import BuildContext
from bench.models.language.answering_model import LanguageModel
from bench.models.language.build import build_language
from bench.models.transformers_loading import quiet
from bench.suite.specs import LvlmModel, TinyModel
from radapt.optional_packages import not_installed

_WORDS = _YES, _NO = "yes", "no"
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,:;?!'-/[]"
_WEIGHT_GAIN = 3.0  # with the initial weights, all images give nearly equal outputs
_LOGIT_GAIN = 24.0  # factor on the number whose sign decides between yes and no
_CALIBRATION_IMAGES = 64
_NAMES = ("bird", "cat", "dog", "ship")
_QUESTION = "Is there a {} in the image?\nAnswer the question using a single word or phrase."
_PIXELS = 32  # input size of LLaVA's tower; the embedded images have this size
_SIZES: dict[str, Any] = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2,
    "max_position_embeddings": 512,
}  # fmt: skip
VICUNA_TEMPLATE = (
    "{% for message in messages %}{{ message['role'].upper() + ': ' }}"
    "{% for part in message['content'] if part['type'] == 'image' %}{{ '<image>\n' }}{% endfor %}"
    "{% for part in message['content'] if part['type'] == 'text' %}{{ part['text'] + ' ' }}"
    "{% endfor %}{% endfor %}{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)
CHATML_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}"
    "{{ '<|vision_start|><|image_pad|><|vision_end|>' }}{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{{ '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
VISION_TOKENS = ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")


def build_tiny(spec: TinyModel, context: BuildContext) -> LanguageModel:
    """Create a tiny model, write it to a temporary folder, and load it like any other model.

    Raises:
        CellError: transformers is not installed.
    """
    ensure_torchvision()  # transformers imports torchvision
    try:
        transformers: Any = importlib.import_module("transformers")
    except ImportError as error:
        raise CellError(not_installed("transformers")) from error
    make = {"llava": _llava, "qwen2_5_vl": _qwen}[spec.family]
    with TemporaryDirectory() as folder:
        make(transformers, Path(folder))
        own = LvlmModel(kind="lvlm", name=folder, precision="fp32")
        model = build_language(own, replace(context, device=torch.device("cpu")))
    _balance_answers(model)
    return model.to(context.device)


def _balance_answers(model: LanguageModel) -> None:
    """Change the output layer so that smooth random images get both answers, yes and no.

    The mean direction of the last hidden states is removed from the weights of the output layer.
    """
    drawn = torch.rand((_CALIBRATION_IMAGES, 3, 4, 4), generator=torch.Generator().manual_seed(0))
    clouds = F.interpolate(drawn, (_PIXELS, _PIXELS), mode="bilinear")
    head: Any = model.network.get_submodule("lm_head")
    seen: list[Tensor] = []
    hook = head.register_forward_pre_hook(lambda _, given: seen.append(given[0][:, 0]))
    with torch.no_grad():
        for at, word in enumerate(_NAMES):  # prompts of one length, which start in one place
            own = clouds[at :: len(_NAMES)]
            model.log_likelihood(own, [_QUESTION.format(word)] * len(own), [_YES] * len(own))
        hook.remove()
        mean = F.normalize(torch.cat(seen).mean(dim=0), dim=0)
        head.weight -= (head.weight @ mean)[:, None] * mean


def _llava(transformers: Any, folder: Path) -> None:
    vocabulary, merges = vocabulary_of(
        ["<unk>", "<s>", "</s>", "<0x0A>", "▁", *LETTERS], "▁", _WORDS
    )
    tokenizer = transformers.LlamaTokenizer(vocab=vocabulary, merges=merges, add_bos_token=True)
    tokenizer.add_special_tokens({"pad_token": "<pad>", "additional_special_tokens": ["<image>"]})
    tower = transformers.CLIPVisionConfig(
        image_size=_PIXELS, patch_size=8, hidden_size=32, intermediate_size=48,
        num_hidden_layers=3, num_attention_heads=2,
    )  # fmt: skip
    config = transformers.LlavaConfig(
        vision_config=tower,
        text_config=transformers.LlamaConfig(**_SIZES, num_key_value_heads=2, **ids(tokenizer)),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
    )
    size = {"height": _PIXELS, "width": _PIXELS}
    processor = transformers.LlavaProcessor(
        transformers.LlavaImageProcessor(size={"shortest_edge": _PIXELS}, crop_size=size),
        tokenizer,
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=VICUNA_TEMPLATE,
    )
    _write(transformers.LlavaForConditionalGeneration, config, processor, folder)


def _qwen(transformers: Any, folder: Path) -> None:
    vocabulary, merges = vocabulary_of(["Ġ", "Ċ", *LETTERS], "Ġ", _WORDS)  # space and newline
    tokenizer = transformers.Qwen2Tokenizer(
        vocab=vocabulary, merges=merges, eos_token="<|im_end|>", pad_token="<|endoftext|>"
    )
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", *VISION_TOKENS]})
    start, end, image, film = tokenizer.convert_tokens_to_ids(list(VISION_TOKENS))
    vision = {
        "depth": 2, "hidden_size": 32, "intermediate_size": 48, "num_heads": 2,
        "out_hidden_size": 32, "window_size": 56, "fullatt_block_indexes": [1],
    }  # fmt: skip
    text = {
        **_SIZES, **ids(tokenizer), "num_key_value_heads": 1,
        "rope_parameters": {"rope_type": "default", "mrope_section": [2, 3, 3]},
    }  # fmt: skip
    config = transformers.Qwen2_5_VLConfig(
        vision_config=vision, text_config=text, vision_start_token_id=start,
        vision_end_token_id=end, image_token_id=image, video_token_id=film,
    )  # fmt: skip
    size = {"shortest_edge": 56**2, "longest_edge": 112**2}
    processor = transformers.Qwen2_5_VLProcessor(
        transformers.Qwen2VLImageProcessor(size=size, patch_size=14),
        tokenizer,
        transformers.Qwen2VLVideoProcessor(),
        chat_template=CHATML_TEMPLATE,
    )
    _write(transformers.Qwen2_5_VLForConditionalGeneration, config, processor, folder)


def _write(kind: Any, config: Any, processor: Any, folder: Path) -> None:
    """Create a model that answers yes or no, and write it to a folder."""
    with seeded(0):
        model = kind(config).eval()
        side = torch.randn(model.lm_head.weight.shape[1])
    known = processor.tokenizer.get_vocab()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim > 1 and "lm_head" not in name:
                weight.mul_(_WEIGHT_GAIN)
        model.lm_head.weight.zero_()
        for word, sign in ((_YES, 1), (_NO, -1)):
            for token in (word, f"▁{word}", f"Ġ{word}"):  # with or without a space before it
                if token in known:
                    model.lm_head.weight[known[token]] = (
                        sign * _LOGIT_GAIN * side / len(side) ** 0.5
                    )
    save(model, processor, folder)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed the CPU's random generator inside this context, and restore its state afterwards."""
    with torch.random.fork_rng([]):
        torch.default_generator.manual_seed(seed)
        yield


def save(model: Any, processor: Any, folder: Path) -> None:
    """Write a model and its processor to a folder, in the layout of hub repositories."""
    with quiet():
        model.save_pretrained(folder)
    processor.save_pretrained(folder)
    processor.image_processor.save_pretrained(folder)  # hub repositories have this file too


def ids(tokenizer: Any) -> dict[str, Any]:
    """Return the entries of a text model's configuration that depend on its tokenizer."""
    return {
        "vocab_size": len(tokenizer),
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }


def vocabulary_of(
    tokens: Sequence[str], space: str, words: Sequence[str]
) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Return a BPE vocabulary, and the merges that build the words from letters.

    Args:
        tokens: Letters and all other basic tokens.
        space: The token of a space, which may come before a word.
        words: Words that become one token each.
    """
    merges: dict[tuple[str, str], None] = {}
    known = dict.fromkeys(tokens)
    for word in words:
        whole = word[0]
        for letter in word[1:]:
            merges[whole, letter] = None
            whole += letter
            known[whole] = None
        merges[space, whole] = None
        known[space + whole] = None
    return {token: place for place, token in enumerate(known)}, list(merges)
