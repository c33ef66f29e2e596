"""What a language model is asked that judges answers, and how its reply becomes a score.

V-Attack's evaluation, which the paper's figures of LVLMs follow, has qwen1.5-72b-chat score each
answer 0, 1 or 2, given the true object and the one that the attack aims at; the text that it is
asked with is left out of the published code. The text here is this project's, with the same scale,
and a 2 alone counts: an answer that leaves it open no longer names the object.
"""

from typing import Any

from bench.errors import CellError
from bench.language import Exchange
from bench.metrics import NAMES
from bench.specs import MatchJudge, Protocol

VERSION = 1  # raised with every change of the text or of what counts
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
_NAMED = 2
_REPLIES = {"0": 0, "1": 1, "2": 2}


def asked(text: str, exchange: Exchange) -> str:
    """Return what a judge is asked about what a model said in an exchange."""
    return PROMPT.format(
        names=" or ".join(exchange.names),
        decoy=exchange.decoy or "anything else",
        question=" ".join(exchange.prompt.split()),
        answer=" ".join(text.split()),
    )


def score(reply: str, judge: str) -> float:
    """Return 1 where a reply says that the object is named, else 0.

    Raises:
        CellError: It is none of the digits that were asked for.
    """
    said = reply.strip().removesuffix(".")
    if said not in _REPLIES:
        raise CellError(f"the judge {judge} said {reply[:200]!r}; 0, 1 or 2 is needed")
    return float(_REPLIES[said] == _NAMED)


def judge_identity(protocol: Protocol, metric: str) -> dict[str, Any]:
    """Return what a number depends on for a model having judged it; nothing where none has.

    Where an endpoint is and whose key it is asked with are not part of it.
    """
    judge = protocol.judge
    if metric != NAMES or isinstance(judge, MatchJudge):
        return {}
    return {"judge": {**judge.model_dump(exclude={"url", "key"}), "prompt": VERSION}}
