"""Images with labels, captions or questions, from every kind of dataset."""

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import CellError
from bench.core.exchanges import Exchange
from bench.core.locks import DatasetLock
from bench.data.decode import decode, fit
from bench.data.embedded_source import NANO_DATA
from bench.data.questions import Questions
from bench.data.source import Index
from bench.data.source_kinds import source_of
from bench.data.split import Split, choose
from bench.suite.specs import DatasetSpec, Pixels

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


@dataclass(frozen=True, slots=True)
class ImageSet:
    """Images `[n,3,h,w]` uint8 with labels `[n]`, ids, class names and prompts."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    sample_ids: tuple[str, ...]
    classes: tuple[str, ...]
    templates: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CaptionSet:
    """Images `[n,3,h,w]` uint8 with ids, and the captions of each."""

    images: NDArray[np.uint8]
    captions: tuple[tuple[str, ...], ...]
    sample_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class QuestionSet:
    """Questions with their answers and ids, and the image of each in `[n,3,h,w]` uint8."""

    sample_ids: tuple[str, ...]
    images: NDArray[np.uint8]
    exchanges: tuple[Exchange, ...]


def index_dataset(spec: DatasetSpec, samples: int, seed: int) -> DatasetLock:
    """Choose the images of a subset and fingerprint the dataset, without decoding images.

    Missing files are downloaded. A subset holds the images whose ids hash lowest under the seed,
    so a smaller subset is part of a larger one, and neither depends on shards or their order.
    With `shards: k`, the images are those of k shards that the seed chooses; a copy of the same
    shards has the same ids and the same fingerprint. In a dataset of questions, a sample is a
    question, and the fingerprint covers the chosen questions, their reference answers and images.

    Raises:
        CellError: The dataset cannot be downloaded, is not in its layout, or is damaged.
    """
    index = source_of(spec).open(seed)
    return index.lock(choose(index.samples, samples, seed))


def load_images(spec: DatasetSpec, sample_ids: tuple[str, ...], pixels: Pixels | str) -> ImageSet:
    """Decode the named images, in the order of `sample_ids`; nothing is downloaded.

    Args:
        spec: The dataset.
        sample_ids: Which images.
        pixels: The size to resize them to, or `native` to keep their own size.

    Raises:
        CellError: An image cannot be decoded, a label is outside the classes, images
            have several sizes where `native` was asked, or the folder is damaged.
    """
    return next(load_in_parts(spec, sample_ids, pixels, len(sample_ids)))


def load_in_parts(
    spec: DatasetSpec, sample_ids: tuple[str, ...], pixels: Pixels | str, size: int
) -> Iterator[ImageSet]:
    """Decode the named images, `size` at a time; see `load_images`."""
    split = _split(spec)
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
    split = _split(spec)
    images = _decoded(split, sample_ids, pixels)
    found = [split.labels[key] for key in sample_ids]
    captions = tuple(label for label in found if isinstance(label, tuple))
    if len(captions) != len(found):
        raise CellError(f"{split.place}: its images come with classes, not with captions")
    return CaptionSet(images, captions, sample_ids)


def load_questions(
    spec: DatasetSpec, sample_ids: tuple[str, ...], pixels: Pixels | str
) -> QuestionSet:
    """Decode the images of questions, in the order of `sample_ids`.

    Args:
        spec: The dataset.
        sample_ids: Which questions.
        pixels: The size to resize their images to, or `native` to keep their own size.

    Raises:
        CellError: As of `load_images`, or the images come with classes or captions.
    """
    questions = source_of(spec).open()
    if not isinstance(questions, Questions):
        raise CellError(f"{questions.place}: its images come without questions")
    images = _decoded(questions, sample_ids, pixels)
    return QuestionSet(
        sample_ids, images, tuple(questions.asked[key].exchange for key in sample_ids)
    )


def read_labels(spec: DatasetSpec, known: DatasetLock) -> dict[str, int]:
    """Return the labels of a subset's images, by their ids.

    No image is decoded, and nothing is downloaded.

    Raises:
        CellError: The dataset is not here, its images are not those that `known` is of, or they
            come with captions.
    """
    split = _split(spec)
    if set(known.sample_ids) - set(split.labels) or split.digest(known.sample_ids) != (
        known.fingerprint
    ):
        raise CellError(f"{split.place}: its images are not those that were scored")
    labels = {key: split.labels[key] for key in known.sample_ids}
    classes = {key: label for key, label in labels.items() if isinstance(label, int)}
    if len(classes) < len(labels):
        raise CellError(f"{split.place}: its images come with captions, not with classes")
    return classes


def native_size(spec: DatasetSpec) -> tuple[int, int] | None:
    """Return height and width of a dataset's first image, or None where it cannot be read.

    Only the image's header is read, and nothing is downloaded.
    """
    try:
        return source_of(spec).native_size()
    except (CellError, OSError, tarfile.TarError, ValueError):
        return None  # the run tells what is wrong with the dataset


def _split(spec: DatasetSpec) -> Split:
    """Return the images of a dataset that have classes or captions; nothing is downloaded."""
    index = source_of(spec).open()
    if not isinstance(index, Split):
        raise CellError(f"{index.place}: its images come with questions, not with classes")
    return index


def _decoded(index: Index, sample_ids: tuple[str, ...], pixels: Pixels | str) -> NDArray[np.uint8]:
    """Decode the images of samples, each once, and stack them in the order of the samples."""
    names = index.images(sample_ids)
    found = {
        key: decode(data, pixels, f"{index.place}: {key}")
        for key, data in index.read(dict.fromkeys(names))
    }
    sizes = {picture.shape for picture in found.values()}
    if len(sizes) > 1:
        raise CellError(
            f"{index.place}: the images have {len(sizes)} sizes; protocol.pixels must name one size"
        )
    return np.stack([found[key] for key in names])
