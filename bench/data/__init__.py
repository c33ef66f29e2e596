"""Images with labels, captions or questions, from wherever a suite's datasets are."""

import tarfile
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench import catalogue
from bench.core.errors import CellError
from bench.core.exchanges import Exchange
from bench.core.locks import DatasetLock
from bench.data.annotation_files import open_published
from bench.data.decode import decode, fit, size_of
from bench.data.embedded_questions import open_embedded
from bench.data.folder import open_folder
from bench.data.questions import Questions
from bench.data.remote import open_cached, open_hub, open_torchvision
from bench.data.split import Split, check_labels, choose
from bench.data.webdataset import open_webdataset, shard_paths
from bench.suite.specs import (
    DatasetSpec,
    FolderDataset,
    HubDataset,
    LanguageDataset,
    NanoDataset,
    Pixels,
    TorchvisionDataset,
    WebDataset,
)
from radapt.shards import first_image

__all__ = [
    "NANO_DATA",
    "CaptionSet",
    "ImageSet",
    "QuestionSet",
    "fit",
    "index_dataset",
    "load_captioned",
    "load_images",
    "load_in_parts",
    "load_questions",
    "native_size",
    "read_labels",
]

_Read = Callable[[Collection[str]], Iterator[tuple[str, bytes]]]
NANO_DATA = Path(__file__).parents[1] / "nano" / "data"


@dataclass(frozen=True, slots=True)
class ImageSet:
    """Images `[n,3,h,w]` uint8 with labels `[n]`, ids, and what the labels are called."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    sample_ids: tuple[str, ...]
    classes: tuple[str, ...]
    templates: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CaptionSet:
    """Images `[n,3,h,w]` uint8 with ids, and one or more captions of each."""

    images: NDArray[np.uint8]
    captions: tuple[tuple[str, ...], ...]
    sample_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class QuestionSet:
    """Exchanges with ids, and the image `[3,h,w]` of each in `[n,3,h,w]` uint8."""

    sample_ids: tuple[str, ...]
    images: NDArray[np.uint8]
    exchanges: tuple[Exchange, ...]


def index_dataset(spec: DatasetSpec, samples: int, seed: int) -> DatasetLock:
    """Choose the images of a subset and fingerprint the dataset, without decoding images.

    What is not here yet is downloaded. A subset holds the images whose ids hash lowest under
    the seed, so a smaller subset is part of a larger one and neither depends on shards or
    their order. Where a dataset says `shards`, the images are those of that many shards, which
    the seed chooses; a copy of the same shards has the same ids and the same fingerprint. Where
    images are asked about in words, a sample is a question, and the fingerprint is that of the
    chosen questions, what is right, and their images.

    Raises:
        CellError: The dataset cannot be had, is not in its layout, or is damaged.
    """
    if isinstance(spec, LanguageDataset):
        questions = _questions(spec)
        ids = choose(questions.asked, samples, seed)
        return DatasetLock(questions.fingerprint(ids), ids)
    split = _open(spec, seed)
    ids = choose(split.labels, samples, seed)
    return DatasetLock(split.digest(ids), ids, split.classes, split.templates, split.origin)


def load_images(spec: DatasetSpec, sample_ids: tuple[str, ...], pixels: Pixels | str) -> ImageSet:
    """Decode the named images, in the order of `sample_ids`; nothing is downloaded.

    Args:
        spec: The dataset.
        sample_ids: Which images.
        pixels: The size to bring them to, or `native` to keep the size they have.

    Raises:
        CellError: An image cannot be decoded, a label is outside the classes, images
            have several sizes where `native` was asked, or the folder is damaged.
    """
    return next(load_in_parts(spec, sample_ids, pixels, len(sample_ids)))


def load_in_parts(
    spec: DatasetSpec, sample_ids: tuple[str, ...], pixels: Pixels | str, size: int
) -> Iterator[ImageSet]:
    """Decode the named images, so many at a time; see `load_images`."""
    split = _open(spec, None)
    if split.captioned:
        raise CellError(f"{split.place}: its images come with captions, not with classes")
    for start in range(0, len(sample_ids), size):
        ids = sample_ids[start : start + size]
        images = _decoded(split, ids, pixels)
        labels = np.array([split.labels[key] for key in ids], np.int64)
        yield ImageSet(images, labels, ids, split.classes, split.templates)


def load_captioned(
    spec: DatasetSpec, sample_ids: tuple[str, ...], pixels: Pixels | str
) -> CaptionSet:
    """Decode the named images of a retrieval set, with all captions of each.

    Raises:
        CellError: As of `load_images`, or the images come with classes.
    """
    split = _open(spec, None)
    images = _decoded(split, sample_ids, pixels)
    found = [split.labels[key] for key in sample_ids]
    captions = tuple(label for label in found if isinstance(label, tuple))
    if len(captions) != len(found):
        raise CellError(f"{split.place}: its images come with classes, not with captions")
    return CaptionSet(images, captions, sample_ids)


def load_questions(
    spec: LanguageDataset, sample_ids: tuple[str, ...], pixels: Pixels | str
) -> QuestionSet:
    """Decode the images of named samples, with what each is asked, in the order of `sample_ids`.

    Args:
        spec: The dataset.
        sample_ids: Which questions.
        pixels: The size to bring their images to, or `native` to keep the size they have.

    Raises:
        CellError: As of `load_images`.
    """
    questions = _questions(spec)
    images = _stacked(questions.place, questions.images(sample_ids), questions.read, pixels)
    return QuestionSet(
        sample_ids, images, tuple(questions.asked[key].exchange for key in sample_ids)
    )


def read_labels(spec: DatasetSpec, known: DatasetLock) -> dict[str, int]:
    """Return the numbers of the classes of a subset's images, by their ids.

    No image is decoded, and nothing is downloaded.

    Raises:
        CellError: The dataset is not here, its images are others than those known, or they come
            with captions.
    """
    split = _open(spec, None)
    if set(known.sample_ids) - set(split.labels) or split.digest(known.sample_ids) != (
        known.fingerprint
    ):
        raise CellError(f"{split.place}: the images are others than those that were scored")
    labels = {key: split.labels[key] for key in known.sample_ids}
    classes = {key: label for key, label in labels.items() if isinstance(label, int)}
    if len(classes) < len(labels):
        raise CellError(f"{split.place}: its images come with captions, not with classes")
    return classes


def native_size(spec: DatasetSpec) -> tuple[int, int] | None:
    """Return height and width of a dataset's first image, or None where it cannot be read.

    Only the image's header is read; what is not here is known from the catalogue, if at all.
    """
    try:
        match spec:
            case NanoDataset():
                return size_of(first_image(shard_paths(NANO_DATA / spec.name, "test")[0]) or b"")
            case WebDataset():
                return size_of(first_image(shard_paths(Path(spec.path), spec.split)[0]) or b"")
            case FolderDataset():
                split = open_folder(Path(spec.path), spec.name)
                return size_of(next(split.read([min(split.labels)]))[1])
            case LanguageDataset():
                questions = _questions(spec)
                first = questions.asked[min(questions.asked)].image
                return size_of(next(questions.read([first]))[1])
            case HubDataset() | TorchvisionDataset():
                facts = catalogue.datasets().get(spec.name)
                return (facts.pixels, facts.pixels) if facts and facts.pixels else None
    except (CellError, OSError, tarfile.TarError, ValueError):
        return None  # the run tells what is wrong with the dataset


def _open(spec: DatasetSpec, seed: int | None) -> Split:
    """Open a dataset, and bring what a seed needs of it; nothing is brought without a seed."""
    match spec:
        case NanoDataset():
            return check_labels(open_webdataset(NANO_DATA / spec.name, "test"))
        case WebDataset():
            return check_labels(open_webdataset(Path(spec.path), spec.split))
        case FolderDataset():
            return check_labels(open_folder(Path(spec.path), spec.name))
        case TorchvisionDataset():
            return open_torchvision(spec, download=seed is not None)
        case HubDataset():
            return open_cached(spec) if seed is None else open_hub(spec, seed)
        case LanguageDataset():
            raise CellError(f"{spec.name}: its images come with questions, not with classes")


def _questions(spec: LanguageDataset) -> Questions:
    if spec.of is not None:
        return open_embedded(spec, open_webdataset(NANO_DATA / spec.of, "test"))
    return open_published(spec)


def _decoded(split: Split, sample_ids: tuple[str, ...], pixels: Pixels | str) -> NDArray[np.uint8]:
    missing = set(sample_ids) - set(split.labels)
    if missing:
        raise CellError(f"{split.place}: {len(missing)} images are gone, {min(missing)} the first")
    return _stacked(split.place, sample_ids, split.read, pixels)


def _stacked(
    place: str, names: tuple[str, ...], read: _Read, pixels: Pixels | str
) -> NDArray[np.uint8]:
    """Decode images, each once, and stack them as they are named."""
    found = {
        key: decode(data, pixels, f"{place}: {key}") for key, data in read(dict.fromkeys(names))
    }
    sizes = {picture.shape for picture in found.values()}
    if len(sizes) > 1:
        raise CellError(
            f"{place}: the images have {len(sizes)} sizes; protocol.pixels must name one size"
        )
    return np.stack([found[key] for key in names])
