"""Judges that decide whether an answer names an object; replies of models are stored on disk."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from bench.core.deadline import Check, unlimited
from bench.core.errors import CellError
from bench.core.language_types import Question
from bench.store import set_aside
from bench.store.reading import read_bytes, read_stored
from bench.store.writing import write_text
from bench.suite import judge_prompt
from bench.suite.specs import JudgeSpec, MatchJudge, OpenAIJudge
from bench.tasks.object_names import names_object
from bench.tasks.openai_endpoint import replies as endpoint_replies

if TYPE_CHECKING:
    import torch


class Judge(Protocol):
    """Decides for each text whether it names the object of its question."""

    def __call__(self, texts: Sequence[str], questions: Sequence[Question]) -> NDArray[np.float32]:
        """Return 1 for each text that names its object, else 0, `[n]`."""
        ...


def build_judge(
    spec: JudgeSpec,
    cache: Path,
    weights: str = "",
    device: torch.device | None = None,
    trust: bool = False,
    check: Check = unlimited,
) -> Judge:
    """Build the judge of a suite.

    Args:
        spec: The judge as the suite declares it.
        cache: Folder of stored replies; suites may share it.
        weights: Hash of a local model's files; part of the key of its stored replies.
        device: Device of a local model.
        trust: Whether any environment variable may be an endpoint's key.
        check: Checks the time limit before each request and each prompt.

    Raises:
        CellError: The lock has no hash of a local model's files.
    """
    if isinstance(spec, MatchJudge):
        return match
    if isinstance(spec, OpenAIJudge):
        name = f"{spec.model} at {spec.url.rstrip('/')}"
        ask = partial(endpoint_replies, spec, trust=trust, check=check)
        return ModelJudge(name, cache, ask)
    if not weights:
        raise CellError(
            f"{spec.name}: the lock does not have this judge's files; run the suite again"
        )
    from bench.tasks.local_judge import LocalModel

    return ModelJudge(weights, cache, LocalModel(spec, device, check))


def match(texts: Sequence[str], questions: Sequence[Question]) -> NDArray[np.float32]:
    """Search each text for the names of its object; see `bench.tasks.object_names`."""
    found_names = (names_object(text, e.names) for text, e in zip(texts, questions, strict=True))
    return np.fromiter(found_names, np.float32)


@dataclass(frozen=True, slots=True)
class ModelJudge:
    """A judge that is a language model; it is asked each question once, and replies are stored.

    Attributes:
        name: Name or hash of the model; part of the key of a stored reply.
        cache: Folder of the stored replies.
        ask: Yields the replies to some prompts, in their order.
    """

    name: str
    cache: Path
    ask: Callable[[Sequence[str]], Generator[str]]

    def __call__(self, texts: Sequence[str], questions: Sequence[Question]) -> NDArray[np.float32]:
        """Return 1 for each text that names its object according to the model, else 0, `[n]`.

        Raises:
            CellError: The model cannot be asked, or a reply is empty.
        """
        prompts = [
            judge_prompt.fill_prompt(text, e) for text, e in zip(texts, questions, strict=True)
        ]
        scores = dict(self._stored_scores(dict.fromkeys(prompts)))
        unanswered = [prompt for prompt in dict.fromkeys(prompts) if prompt not in scores]
        if unanswered:
            with closing(self.ask(unanswered)) as replies:  # an error stops further requests
                for prompt, reply in zip(unanswered, replies, strict=True):
                    if not reply.strip():  # an empty reply has no verdict and is not stored
                        raise CellError(f"the judge {self.name} gave an empty reply")
                    scores[prompt] = judge_prompt.reply_score(reply)
                    self._store(prompt, reply)
        return np.array([scores[prompt] for prompt in prompts], np.float32)

    def _stored_scores(self, prompts: Iterable[str]) -> Iterator[tuple[str, float]]:
        for prompt in prompts:
            path = str(self._path(prompt))
            read = partial(self._stored_score, path, prompt)
            score = read_stored(path, read, self.cache / set_aside.FOLDER)
            if score is not None:  # the judge is asked again if a reply is absent or damaged
                yield prompt, score

    def _stored_score(self, path: str, prompt: str) -> float:
        found = json.loads(read_bytes(path))
        reply = found["reply"]
        if not isinstance(reply, str) or not reply.strip() or found != self._entry(prompt, reply):
            raise ValueError("is not the reply to this question")
        return judge_prompt.reply_score(reply)

    def _store(self, prompt: str, reply: str) -> None:
        entry = self._entry(prompt, reply)
        write_text(self._path(prompt), json.dumps(entry, ensure_ascii=False, indent=1) + "\n")

    def _entry(self, prompt: str, reply: str) -> dict[str, str | int]:
        return {
            "judge": self.name,
            "version": judge_prompt.VERSION,
            "asked": prompt,
            "reply": reply,
        }

    def _path(self, prompt: str) -> Path:
        key = json.dumps([self.name, judge_prompt.VERSION, prompt])
        name = hashlib.sha256(key.encode()).hexdigest()
        return self.cache / name[:2] / f"{name}.json"
