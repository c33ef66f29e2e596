"""Facts of public datasets: where they are, what they hold, how they are prompted; sizes of models.

Read from `datasets.yaml`, `templates.yaml`, `imagenet.tsv` and `language_models.yaml`, which name
their sources, and from `classes/NAME.txt`, one class a line, whose sources `docs/data.md` names.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml

_FOLDER = Path(__file__).parent

# for want of their own CLIP_benchmark prompts datasets as ImageNet
_AS_IMAGENET = ("imagenet-r", "imagenet_sketch", "tiny-imagenet", "caltech256")


@dataclass(frozen=True, slots=True)
class DatasetFacts:
    """What is known of a dataset before it is there.

    Attributes:
        images: In the split that is measured.
        source: Who made it.
        terms: Under which it may be used.
        classes: How many; 0 where captions stand for them.
        repo: The hub's copy in webdataset layout, if there is one.
        task: What its images come with: a class, or captions.
        pixels: Side of its images where all are squares of one size.
        order: `class` where shards hold images sorted by class.
        megabytes: Of the split on the hub, where known.
    """

    images: int
    source: str
    terms: str
    classes: int = 0
    repo: str | None = None
    task: Literal["classification", "retrieval"] = "classification"
    pixels: int | None = None
    order: Literal["class", "mixed"] = "mixed"
    megabytes: int | None = None


@cache
def datasets() -> dict[str, DatasetFacts]:
    """Return all datasets of the catalogue, by name."""
    raw = yaml.safe_load((_FOLDER / "datasets.yaml").read_text("utf-8"))
    return {name: DatasetFacts(**entry) for name, entry in raw.items()}


def native_size(name: str) -> tuple[int, int] | None:
    """Return height and width of a dataset's images where all are squares of one known size."""
    facts = datasets().get(name)
    return (facts.pixels, facts.pixels) if facts and facts.pixels else None


@cache
def language_models() -> dict[str, dict[str, Any]]:
    """Return configurations of vision-language models, as far as sizes follow, by repository."""
    raw: dict[str, dict[str, Any]] = yaml.safe_load(
        (_FOLDER / "language_models.yaml").read_text("utf-8")
    )
    return raw


@cache
def names_by_repo() -> dict[str, str]:
    """Return the names of the datasets that are on the hub, by repository."""
    return {facts.repo: name for name, facts in datasets().items() if facts.repo}


@cache
def _templates() -> dict[str, tuple[str, ...]]:
    raw = yaml.safe_load((_FOLDER / "templates.yaml").read_text("utf-8"))
    return {name: tuple(prompts) for name, prompts in raw.items()}


def templates(name: str) -> tuple[str, ...] | None:
    """Return CLIP_benchmark's prompts of a dataset, placeholder `{c}`; None where unknown."""
    return _templates().get("imagenet" if name in _AS_IMAGENET else name)


@cache
def imagenet_names() -> dict[str, str]:
    """Return the names that CLIP gives to ImageNet's 1,000 classes, by WordNet id, in order.

    WordNet ids in their sorted order are the labels.
    """
    lines = (_FOLDER / "imagenet.tsv").read_text("utf-8").splitlines()
    return dict(line.split("\t") for line in lines)


@cache
def class_names(name: str) -> tuple[str, ...] | None:
    """Return the names of a dataset's classes in the order of its labels; None where unknown."""
    if name in ("imagenet", "imagenet_sketch"):
        return tuple(imagenet_names().values())
    path = _listed().get(name)
    return tuple(path.read_text("utf-8").splitlines()) if path else None


@cache
def _listed() -> dict[str, Path]:
    """Return the lists of class names: a dataset's name may be any text, and is no path."""
    return {path.stem: path for path in (_FOLDER / "classes").glob("*.txt")}
