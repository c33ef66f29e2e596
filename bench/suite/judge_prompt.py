"""What a language model is asked that judges answers, and how its reply becomes a score.

V-Attack's evaluation, which the paper's figures of LVLMs follow, has qwen1.5-72b-chat score each
answer 0, 1 or 2, given the true object and the one that the attack aims at; the text that it is
asked with is left out of the published code. The text here is this project's, with the same scale,
and a 2 alone counts: an answer that leaves it open no longer names the object.
"""

import re
from typing import Any

from bench.core.language_types import Question
from bench.core.locks import UNRESOLVED, Lock
from bench.suite.metrics import metric_of
from bench.suite.specs import MatchJudge, Protocol, TransformersJudge

VERSION = 2  # raised with every change of the text or of what counts
PROMPT = """\
A vision-language model was shown an image of one main object and said something about it. Decide \
whether what it said still names that object.

The object in the image: {names}
What it might be mistaken for: {decoy}
What the model was asked: {question}
What the model said: {answer}

Reply with one digit and nothing else:
2 if the answer names the object in the image, or plainly means it: a synonym, a kind of it, or a \
more general word that does not fit what it might be mistaken for.
1 if that cannot be told: the answer names neither or both, or is empty or garbled.
0 if the answer takes the object for something else.
"""
_NAMED = "2"
_DIGIT = re.compile(r"(?<![\w.])[012](?!\w|\.\d)")  # not of `2.5`


def asked(text: str, question: Question) -> str:
    """Return what a judge is asked about what a model said about a question."""
    return PROMPT.format(
        names=" or ".join(question.names),
        decoy=question.decoy or "anything else",
        question=" ".join(question.prompt.split()),
        answer=" ".join(text.split()),
    )


def score(reply: str) -> float:
    """Return 1 where a reply says that the object is named, else 0.

    It says so where a 2 is the only digit that it has of those asked for. One without any, or with
    several, leaves it open, as a 1 does: whoever judges may refuse what an attack made a model say.
    """
    return float(_DIGIT.findall(reply) == [_NAMED])


def has_digit(reply: str) -> bool:
    """Return whether a reply holds any of the digits that it is asked for."""
    return bool(_DIGIT.search(reply))


def judge_identity(protocol: Protocol, metric: str, lock: Lock) -> dict[str, Any]:
    """Return what a number depends on for a model having judged it; nothing where none has.

    Where an endpoint is and whose key it is asked with are not part of it.

    Args:
        protocol: Says who judges.
        metric: What the number is of.
        lock: What a local model's name stands for.
    """
    judge = protocol.judge
    if not metric_of(metric).judged or isinstance(judge, MatchJudge):
        return {}
    if isinstance(judge, TransformersJudge):
        said = {"kind": judge.kind, "weights": lock.judge or UNRESOLVED}
    else:
        said = judge.model_dump(exclude={"url", "key"})
    return {"judge": {**said, "prompt": VERSION}}
