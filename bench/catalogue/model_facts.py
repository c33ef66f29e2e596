"""Vision-language checkpoints by short name: a suite's entry for each, and what is known of it.

They are read from `models.yaml`, which names its sources.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from bench.catalogue.packaged_yaml import read_packaged


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """Facts of a checkpoint. An empty text means that the fact could not be read.

    Attributes:
        what: Method, architecture and image size, in a few words.
        model: The model's entry in a suite; None if no kind of model can have its weights.
        refused: Why no kind of model can have its weights.
        page: Address from which the user must download the local file that `model` names.
        activation: Activation function of the towers.
        trained: Data of the training.
        radius: Radius of the adversarial training in the l-inf norm; empty also for models
            without.
        licence: Licence of the weights.
        paper: Number of the paper at arXiv.
        published: Published numbers: a file in results/published, a table, and the name there.
        note: What a user should know before using the model.
        verified: How and when the weights were loaded with this project; empty if nobody has.
    """

    what: str
    model: Mapping[str, Any] | None = None
    refused: str = ""
    page: str = ""
    activation: str = ""
    trained: str = ""
    radius: str = ""
    licence: str = ""
    paper: str = ""
    published: tuple[tuple[str, str, str], ...] = ()
    note: str = ""
    verified: str | Mapping[str, Any] = ""

    @property
    def state(self) -> str:
        """How and when the weights were loaded, or `no`; then the refusal or the note."""
        if self.refused:
            return f"no; not usable: {self.refused}"
        loaded = self.verified["date"] if isinstance(self.verified, Mapping) else self.verified
        return "; ".join(filter(None, (str(loaded or "no"), self.note)))


@cache
def known_models() -> dict[str, ModelFacts]:
    """Return the facts of all models of the catalogue, by short name."""
    return {name: _facts(**entry) for name, entry in read_packaged("models.yaml").items()}


def _facts(
    verified: str | Mapping[str, Any] | bool, published: list[list[str]] | None = None, **rest: Any
) -> ModelFacts:
    """Return an entry's facts; YAML reads `verified: no` as False."""
    found = tuple((file, table, model) for file, table, model in published or ())
    loaded = "" if isinstance(verified, bool) else verified
    return ModelFacts(verified=loaded, published=found, **rest)


def download_advice(path: str) -> str:
    """Return where a missing checkpoint can be downloaded, if a model of the catalogue has it.

    Args:
        path: Path of a local file.
    """
    page = _pages().get(path)
    return f"download it from {page} and save it under this path" if page else ""


@cache
def _pages() -> dict[str, str]:
    """Return the addresses of the files that users must download, by the files' paths."""
    return {
        facts.model["tower"]: facts.page
        for facts in known_models().values()
        if facts.model and facts.page
    }
