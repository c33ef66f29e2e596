"""Exchanges as tokens: the model's own template, and answers as generation would make them."""

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from bench.catalogue.language_families import FAMILIES as LANGUAGE_FAMILIES
from bench.models.language.chat import Chat
from tests.support.small_language import SMALL

SIZE = (40, 70)
LLAVA = LANGUAGE_FAMILIES["llava"]


@pytest.fixture(scope="module", params=list(SMALL))
def processor(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder: Path = tmp_path_factory.mktemp(request.param)
    SMALL[request.param](folder)
    return transformers.AutoProcessor.from_pretrained(folder)


@pytest.fixture
def chat(processor: Any) -> Chat:
    return Chat(processor, [processor.tokenizer.eos_token_id], LLAVA)


def test_a_question_is_the_processors_own(processor: Any, chat: Chat) -> None:
    """Image tokens and all, as a user of the checkpoint has it."""
    content = [{"type": "image"}, {"type": "text", "text": "is the cat a dog?"}]
    image = torch.zeros(3, *SIZE, dtype=torch.uint8)
    text = processor.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True
    )
    theirs = processor(text=[text], images=[image], return_tensors="pt")["input_ids"][0].tolist()
    assert chat.question("is the cat a dog?", SIZE) == theirs
    assert theirs.count(processor.image_token_id) > 1


@pytest.mark.parametrize("text", ["yes", "the cat is a dog.", "ab, ab", "7", "it's [no]"])
def test_an_answer_is_as_in_a_whole_chat(processor: Any, chat: Chat, text: str) -> None:
    """Of which the model saw many; the token that ends it is the last."""
    asked, said = chat.exchange("what is it?", text, SIZE)
    assert asked == chat.question("what is it?", SIZE)
    messages = [
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "what is it?"}]},
        {"role": "assistant", "content": [{"type": "text", "text": text}]},
    ]
    whole = processor.apply_chat_template(messages)
    count = asked.count(processor.image_token_id)
    whole = whole.replace(processor.image_token, processor.image_token * count)
    special = not whole.startswith(processor.tokenizer.bos_token or "\0")
    ids = processor.tokenizer(whole, add_special_tokens=special)["input_ids"]
    assert ids[: len(asked + said) - 1] == (asked + said)[:-1]
    assert said[-1] == processor.tokenizer.eos_token_id == chat.end
    assert processor.tokenizer.decode(said[:-1]).strip() == text


def test_an_empty_answer_is_its_end_alone(chat: Chat) -> None:
    asked, said = chat.exchange("what is it?", "", SIZE)
    assert asked == chat.question("what is it?", SIZE)
    assert said[-1] == chat.end
    assert len(said) <= 2  # a blank before it, where the template has one


def test_the_prompt_stays_what_generation_continues(tmp_path: Path) -> None:
    """Though the tokenizer would join its end with the answer's beginning."""
    SMALL["llava_onevision"](tmp_path)
    chat = Chat(transformers.AutoProcessor.from_pretrained(tmp_path), [], LLAVA)
    asked, said = chat.exchange("what is it?", "\nyes", SIZE)
    joined = chat.tokens("assistant\n\nyes")
    assert chat.tokenizer.convert_tokens_to_ids("ĊĊ") in joined
    assert asked == chat.question("what is it?", SIZE)
    assert said == [*chat.tokens("\nyes"), chat.end]


def test_the_end_is_the_templates(tmp_path: Path) -> None:
    """A tokenizer's own end may be that of a document, as in some Qwens."""
    SMALL["llava_onevision"](tmp_path)
    processor = transformers.AutoProcessor.from_pretrained(tmp_path)
    tokenizer = processor.tokenizer
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    tokenizer.eos_token = "<|endoftext|>"
    assert Chat(processor, [end, tokenizer.eos_token_id], LLAVA).end == end
    assert Chat(processor, [], LLAVA).end == tokenizer.eos_token_id
