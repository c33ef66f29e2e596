"""Judges of whether an answer names an object; what a model has judged is kept on disk."""

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

from bench.core.errors import CellError
from bench.core.language_types import Question
from bench.store.reading import contents, stored
from bench.store.results_folder import write_text
from bench.suite import judge_prompt as judging
from bench.suite.specs import JudgeSpec, MatchJudge, OpenAIJudge
from bench.tasks.object_names import names_object
from bench.tasks.openai_endpoint import replies as endpoint_replies

if TYPE_CHECKING:
    import torch


class Judge(Protocol):
    """Says of each text whether it names the object that its question is about."""

    def __call__(self, texts: Sequence[str], questions: Sequence[Question]) -> NDArray[np.float32]:
        """Return 1 or 0 per text, `[n]`."""
        ...


def build_judge(
    spec: JudgeSpec,
    cache: Path,
    weights: str = "",
    device: torch.device | None = None,
    trust: bool = False,
) -> Judge:
    """Return the judge that a suite asks for.

    Args:
        spec: Who it is.
        cache: Folder of what models have judged, which all suites may share.
        weights: What a local model's name stands for, which its replies are kept under.
        device: Where a local model runs.
        trust: Whether any environment variable may be an endpoint's key.

    Raises:
        CellError: Nothing is known of a local model.
    """
    if isinstance(spec, MatchJudge):
        return match
    if isinstance(spec, OpenAIJudge):
        return AskedJudge(spec.model, cache, lambda prompts: endpoint_replies(spec, prompts, trust))
    if not weights:
        raise CellError(f"{spec.name}: which files it stands for is not known; run the suite again")
    from bench.tasks.local_judge import LocalModel

    return AskedJudge(weights, cache, LocalModel(spec, device))


def match(texts: Sequence[str], questions: Sequence[Question]) -> NDArray[np.float32]:
    """Look for the object's names among the words; see `bench.tasks.object_names`."""
    named = (names_object(text, e.names) for text, e in zip(texts, questions, strict=True))
    return np.fromiter(named, np.float32)


@dataclass(frozen=True, slots=True)
class AskedJudge:
    """A model that is asked, each question once: its replies are kept as they come.

    Attributes:
        name: The model; part of what a reply is kept under.
        cache: Folder of the replies.
        ask: Yields the replies to some questions, in their order.
    """

    name: str
    cache: Path
    ask: Callable[[Sequence[str]], Generator[str]]

    def __call__(self, texts: Sequence[str], questions: Sequence[Question]) -> NDArray[np.float32]:
        """Return 1 where the model says that the object is named, else 0, `[n]`.

        Raises:
            CellError: It cannot be asked, or a reply is empty.
        """
        prompts = [judging.asked(text, e) for text, e in zip(texts, questions, strict=True)]
        scores = dict(self._known(dict.fromkeys(prompts)))
        left = [prompt for prompt in dict.fromkeys(prompts) if prompt not in scores]
        if left:
            with closing(self.ask(left)) as replies:  # after a fault nothing more is asked
                for prompt, reply in zip(left, replies, strict=True):
                    if not reply.strip():  # no verdict, and nothing to keep
                        raise CellError(f"the judge {self.name} gave an empty reply")
                    scores[prompt] = judging.score(reply)
                    self._keep(prompt, reply)
        return np.array([scores[prompt] for prompt in prompts], np.float32)

    def _known(self, prompts: Iterable[str]) -> Iterator[tuple[str, float]]:
        for prompt in prompts:
            path = str(self._path(prompt))
            score = stored(path, partial(self._score, path, prompt))
            if score is not None:  # an absent or damaged reply is asked for again
                yield prompt, score

    def _score(self, path: str, prompt: str) -> float:
        found = json.loads(contents(path))
        reply = found["reply"]
        if not isinstance(reply, str) or not reply.strip() or found != self._entry(prompt, reply):
            raise ValueError("is not the reply to this question")
        return judging.score(reply)

    def _keep(self, prompt: str, reply: str) -> None:
        entry = self._entry(prompt, reply)
        write_text(self._path(prompt), json.dumps(entry, ensure_ascii=False, indent=1) + "\n")

    def _entry(self, prompt: str, reply: str) -> dict[str, str | int]:
        return {"judge": self.name, "version": judging.VERSION, "asked": prompt, "reply": reply}

    def _path(self, prompt: str) -> Path:
        said = json.dumps([self.name, judging.VERSION, prompt])
        name = hashlib.sha256(said.encode()).hexdigest()
        return self.cache / name[:2] / f"{name}.json"
