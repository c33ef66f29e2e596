"""Judges, which decide whether an answer names an object: word matching, or a language model."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from bench.catalogue.repository_layouts import LANGUAGE
from bench.catalogue.weight_sources import RepositoryFiles, WeightSource, local_folder
from bench.suite.specs.base import Spec, UserPath, matching

_VariableName = Annotated[str, matching(r"[A-Za-z_]\w*", "the name of an environment variable")]
_Commit = Annotated[str, matching("[0-9a-f]{40}", "the 40 hexadecimal digits of a commit")]


class MatchJudge(Spec):
    """Accepts an answer that contains a name of the object as words, in singular or plural."""

    kind: Literal["match"] = "match"


class OpenAIJudge(Spec):
    """A language model behind an endpoint with OpenAI's API.

    Attributes:
        url: Base URL, such as `https://HOST/v1`; `/chat/completions` is appended.
        model: Name of the model at the endpoint.
        key: Name of the environment variable with the API key; no key is sent by default.
    """

    kind: Literal["openai"]
    url: Annotated[
        str, matching(r"https?://[^\s/?#@]+[^\s?#@]*", "http(s)://HOST/PATH, no user, query or #")
    ]
    model: Annotated[str, Field(min_length=1)]
    key: _VariableName | None = None


class TransformersJudge(Spec):
    """A text model of transformers.

    Attributes:
        name: A repository of the hub, or a local folder.
        revision: Full hash of a commit on the hub. Replies are stored by it, so a branch, which
            may change, is not allowed.
    """

    kind: Literal["transformers"]
    name: UserPath
    revision: _Commit | None = None

    def weight_sources(self) -> tuple[WeightSource, ...]:
        """Return the repository or folder."""
        folder = local_folder(self.name)
        repository = "" if folder else self.name
        return (RepositoryFiles(self.name, LANGUAGE, folder, repository, self.revision),)


def _expand(value: Any) -> Any:
    return {"kind": value} if isinstance(value, str) else value


JudgeSpec = Annotated[
    Annotated[MatchJudge | OpenAIJudge | TransformersJudge, Field(discriminator="kind")],
    BeforeValidator(_expand),
]
