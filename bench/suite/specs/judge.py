"""Who decides whether an answer names an object: a comparison of words, or a language model."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StringConstraints

from bench.suite.specs.base import Spec, UserPath


class MatchJudge(Spec):
    """A name of the object, in singular or plural, is among the answer's words."""

    kind: Literal["match"] = "match"


class OpenAIJudge(Spec):
    """A model behind an endpoint that speaks OpenAI's protocol.

    Attributes:
        url: What `/chat/completions` is added to, as `https://HOST/v1`.
        model: Its name there.
        key: Name of the environment variable that holds the key; none is sent without it.
    """

    kind: Literal["openai"]
    url: Annotated[str, StringConstraints(pattern=r"^https?://[^\s/?#@]+[^\s?#@]*$")]
    model: Annotated[str, StringConstraints(min_length=1)]
    key: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_]\w*$")] | None = None


class TransformersJudge(Spec):
    """A text model of transformers.

    Attributes:
        name: A hub's name, or a local folder.
        revision: A commit of the hub, whole: replies are kept under it, and a branch moves.
    """

    kind: Literal["transformers"]
    name: UserPath
    revision: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40}$")] | None = None


def _expand(value: Any) -> Any:
    return {"kind": value} if isinstance(value, str) else value


JudgeSpec = Annotated[
    Annotated[MatchJudge | OpenAIJudge | TransformersJudge, Field(discriminator="kind")],
    BeforeValidator(_expand),
]
