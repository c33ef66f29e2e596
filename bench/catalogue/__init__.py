"""Facts of public datasets (repository, size, class names, prompts, terms) and sizes of models.

They are read from `datasets.yaml`, `templates.yaml`, `imagenet.tsv` and `language_models.yaml`,
which name their sources, and from `classes/NAME.txt`, with one class per line and the sources in
`docs/data.md`.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from bench.catalogue.packaged_yaml import read_packaged

_FOLDER = Path(__file__).parent

# datasets without prompts of their own, for which CLIP_benchmark uses ImageNet's
_AS_IMAGENET = ("imagenet-r", "imagenet_sketch", "tiny-imagenet", "caltech256")


@dataclass(frozen=True, slots=True)
class DatasetFacts:
    """Facts of a dataset that are known before it is downloaded.

    Attributes:
        images: Number of images in the split that is measured.
        source: Authors of the dataset.
        terms: Licence or terms of use, in short.
        classes: Number of classes; 0 for images with captions.
        repo: Repository of the hub with the dataset in webdataset layout; None if there is none.
        task: `classification` for images with a class, `retrieval` for images with captions.
        pixels: Height and width of the images, if all are squares of one size.
        order: `class` if the shards are sorted by class.
        megabytes: Size of the split on the hub, if known.
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
    """Return the facts of all datasets of the catalogue, by name."""
    return {name: DatasetFacts(**entry) for name, entry in read_packaged("datasets.yaml").items()}


def native_size(name: str) -> tuple[int, int] | None:
    """Return height and width in pixels, if all images are squares of one known size."""
    facts = datasets().get(name)
    return (facts.pixels, facts.pixels) if facts and facts.pixels else None


@cache
def language_models() -> dict[str, dict[str, Any]]:
    """Return the parts of models' configurations that determine their sizes, by repository."""
    return read_packaged("language_models.yaml")


@cache
def names_by_repo() -> dict[str, str]:
    """Return the names of the datasets on the hub, by repository."""
    return {facts.repo: name for name, facts in datasets().items() if facts.repo}


@cache
def _templates() -> dict[str, tuple[str, ...]]:
    raw = read_packaged("templates.yaml")
    return {name: tuple(prompts) for name, prompts in raw.items()}


def templates(name: str) -> tuple[str, ...] | None:
    """Return CLIP_benchmark's prompts with the placeholder `{c}`; None for an unknown dataset."""
    return _templates().get("imagenet" if name in _AS_IMAGENET else name)


@cache
def imagenet_names() -> dict[str, str]:
    """Return CLIP's names of ImageNet's 1,000 classes, by WordNet id.

    The ids are sorted; a class's label is the position of its id.
    """
    return {wordnet_id: name for wordnet_id, name, _ in _imagenet()}


@cache
def imagenet_devkit_order() -> tuple[str, ...]:
    """Return the WordNet ids of ImageNet's classes in the order of `ILSVRC2012_ID`, from 1.

    ImageNet's development kit counts the classes so (meta.mat, map_clsloc.txt).
    """
    numbers = {int(number): wordnet_id for wordnet_id, _, number in _imagenet()}
    return tuple(numbers[number] for number in range(1, len(numbers) + 1))


@cache
def _imagenet() -> tuple[tuple[str, str, str], ...]:
    """Return WordNet id, name and `ILSVRC2012_ID` of each class."""
    lines = (_FOLDER / "imagenet.tsv").read_text("utf-8").splitlines()
    rows = (line.split("\t") for line in lines)
    return tuple((wordnet_id, name, number) for wordnet_id, name, number in rows)


@cache
def class_names(name: str) -> tuple[str, ...] | None:
    """Return class names in the order of the labels; None for an unknown dataset."""
    if name in ("imagenet", "imagenet_sketch"):
        return tuple(imagenet_names().values())
    path = _class_lists().get(name)
    return tuple(path.read_text("utf-8").splitlines()) if path else None


@cache
def _class_lists() -> dict[str, Path]:
    """Return the files of class names by dataset.

    A dataset's name may be any text, so it is looked up here and never used as a path.
    """
    return {path.stem: path for path in (_FOLDER / "classes").glob("*.txt")}
