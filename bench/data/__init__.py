"""Datasets: images with labels, captions or questions."""

import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bench.core.array_files import Gather, Part, in_memory
from bench.core.errors import MALFORMED, CellError
from bench.core.language_types import Question
from bench.core.resolved_names import DatasetLock
from bench.data.class_names import list_remarks
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
    """Images with labels.

    Attributes:
        images: `[n,3,h,w]`, uint8.
        labels: Class of each image, `[n]`.
        sample_ids: Id of each image.
        classes: Class names in the order of the labels.
        templates: Prompt templates with the placeholder `{c}`.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    sample_ids: tuple[str, ...]
    classes: tuple[str, ...]
    templates: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CaptionSet:
    """Images `[n,3,h,w]` uint8 with their captions and ids."""

    images: NDArray[np.uint8]
    captions: tuple[tuple[str, ...], ...]
    sample_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class QuestionSet:
    """Questions with reference answers and ids, and their images `[n,3,h,w]` uint8."""

    sample_ids: tuple[str, ...]
    images: NDArray[np.uint8]
    questions: tuple[Question, ...]


def index_dataset(
    spec: DatasetSpec, samples: int, seed: int, *, shuffled: bool = False
) -> DatasetLock:
    """Choose the samples of a subset and compute the dataset's fingerprint; decode no image.

    Missing files are downloaded. A subset holds the samples whose ids have the lowest hashes under
    the seed. So a smaller subset is part of a larger subset, and the order of shards does not
    matter. With `shards: k`, the seed chooses k shards; a copy of the same shards has the same ids
    and the same fingerprint. In a dataset of questions a sample is a question, and the fingerprint
    covers the chosen questions, their reference answers and their images.

    Args:
        spec: The dataset.
        samples: Number of samples of the subset; all if the dataset has fewer.
        seed: Seed of the choice.
        shuffled: Whether the samples are in random order; else sorted by id.

    Raises:
        CellError: The dataset cannot be downloaded, has the wrong layout, or is damaged.
    """
    source = source_of(spec)
    if source.download_folder is None and (reason := source.missing(seed)):
        raise CellError(reason)
    index = source.open(seed)
    lock = index.lock(choose(index.samples, samples, seed, shuffled=shuffled))
    return replace(lock, remarks=(*source.remarks(), *list_remarks(spec, lock.classes)))


def load_images(
    spec: DatasetSpec,
    sample_ids: tuple[str, ...],
    pixels: Pixels | str,
    gather: Gather = in_memory,
) -> ImageSet:
    """Decode images in the order of `sample_ids`; nothing is downloaded.

    Args:
        spec: The dataset.
        sample_ids: Ids of the images.
        pixels: Size to resize to, or `native` to keep the original size.
        gather: Returns the array of decoded images; it may know the array already.

    Raises:
        CellError: An image cannot be decoded, a label has no class name, images differ in size
            although `pixels` is `native`, or the folder is damaged.
    """
    return _labelled(_with_classes(spec), sample_ids, pixels, gather)


def load_in_parts(
    spec: DatasetSpec, sample_ids: tuple[str, ...], pixels: Pixels | str, size: int
) -> Iterator[ImageSet]:
    """Decode images in parts of `size` images; see `load_images`."""
    split = _with_classes(spec)
    for start in range(0, len(sample_ids), size):
        yield _labelled(split, sample_ids[start : start + size], pixels, in_memory)


def load_captioned(
    spec: DatasetSpec,
    sample_ids: tuple[str, ...],
    pixels: Pixels | str,
    gather: Gather = in_memory,
) -> CaptionSet:
    """Decode images of a retrieval dataset, and return them with all of their captions.

    Raises:
        CellError: See `load_images`; or the images have labels.
    """
    split = _with_labels(source_of(spec).open())
    images = _decoded(split, sample_ids, pixels, gather)
    found = [split.labels[key] for key in sample_ids]
    captions = tuple(label for label in found if isinstance(label, tuple))
    if len(captions) != len(found):
        raise CellError(f"{split.place}: its images have labels; images with captions are needed")
    return CaptionSet(images, captions, sample_ids)


def load_questions(
    spec: DatasetSpec,
    sample_ids: tuple[str, ...],
    pixels: Pixels | str,
    gather: Gather = in_memory,
) -> QuestionSet:
    """Decode the images of questions, in the order of `sample_ids`.

    Args:
        spec: The dataset.
        sample_ids: Ids of the questions.
        pixels: Size to resize the images to, or `native` to keep their original size.
        gather: Returns the array of decoded images; it may know the array already.

    Raises:
        CellError: See `load_images`; or the dataset has no questions.
    """
    index = _with_questions(source_of(spec).open())
    images = _decoded(index, sample_ids, pixels, gather)
    return QuestionSet(sample_ids, images, tuple(index.by_id[key].question for key in sample_ids))


def read_labels(spec: DatasetSpec, known: DatasetLock, seed: int) -> dict[str, int]:
    """Return the labels of a subset by image id; decode no image and download nothing.

    Args:
        spec: The dataset.
        known: Lock of the subset.
        seed: Seed of the subset.

    Raises:
        CellError: The dataset is not on this machine, its images differ from those of the lock,
            or they have captions.
    """
    split = _with_labels(source_of(spec).subset(seed))
    if set(known.sample_ids) - set(split.labels) or split.digest(known.sample_ids) != (
        known.fingerprint
    ):
        raise CellError(f"{split.place}: its images differ from the images that were scored")
    labels = {key: split.labels[key] for key in known.sample_ids}
    classes = {key: label for key, label in labels.items() if isinstance(label, int)}
    if len(classes) < len(labels):
        raise CellError(f"{split.place}: its images have captions; images with labels are needed")
    return classes


def read_answer_types(spec: DatasetSpec, known: DatasetLock, seed: int) -> dict[str, str]:
    """Return the types of the answers of a subset by question id; empty if none is stated.

    No image is decoded and nothing is downloaded.

    Args:
        spec: The dataset.
        known: Lock of the subset.
        seed: Seed of the subset.

    Raises:
        CellError: The dataset is not on this machine, its questions differ from those of the lock,
            its images have no questions, or only a part of them has a type.
    """
    index = _with_questions(source_of(spec).subset(seed))
    if set(known.sample_ids) - set(index.by_id) or index.fingerprint(known.sample_ids) != (
        known.fingerprint
    ):
        raise CellError(f"{index.place}: its questions differ from the questions that were scored")
    found = {key: index.by_id[key].question.answer_type for key in known.sample_ids}
    types = {key: each for key, each in found.items() if each is not None}
    if types and len(types) < len(found):
        missing = [key for key in found if key not in types]
        raise CellError(
            f"{index.place}: {len(missing)} of {len(found)} questions state no type of their "
            f"answer, first {missing[0]}"
        )
    return types


def native_size(spec: DatasetSpec) -> tuple[int, int] | None:
    """Return height and width of a dataset's first image, or None if it cannot be read.

    Only the header of the image is read; nothing is downloaded.
    """
    try:
        return source_of(spec).native_size()
    except (*MALFORMED, tarfile.TarError):
        return None  # the run reports what is wrong with the dataset


def _with_labels(index: Index) -> Split:
    """Return the index of a dataset with labels or captions."""
    if not isinstance(index, Split):
        raise CellError(f"{index.place}: its images have questions; images with labels are needed")
    return index


def _with_classes(spec: DatasetSpec) -> Split:
    """Return the index of a dataset with class labels."""
    split = _with_labels(source_of(spec).open())
    if split.captioned:
        raise CellError(f"{split.place}: its images have captions; images with labels are needed")
    return split


def _with_questions(index: Index) -> Questions:
    """Return the index of a dataset with questions."""
    if not isinstance(index, Questions):
        raise CellError(f"{index.place}: has no questions about its images")
    return index


def _labelled(
    split: Split, sample_ids: tuple[str, ...], pixels: Pixels | str, gather: Gather
) -> ImageSet:
    images = _decoded(split, sample_ids, pixels, gather)
    labels = np.array([split.labels[key] for key in sample_ids], np.int64)
    return ImageSet(images, labels, sample_ids, split.classes, split.templates)


def _decoded(
    index: Index, sample_ids: tuple[str, ...], pixels: Pixels | str, gather: Gather
) -> NDArray[np.uint8]:
    """Return the images `[n,3,h,w]` in the order of the samples."""
    rows: dict[str, list[int]] = {}
    for row, name in enumerate(index.images(sample_ids)):
        rows.setdefault(name, []).append(row)
    return gather(len(sample_ids), _each_image(index, rows, pixels))


def _each_image(
    index: Index, rows: Mapping[str, list[int]], pixels: Pixels | str
) -> Iterator[Part]:
    """Decode each image once, and yield it with the rows of the samples that have it."""
    left = set(rows)
    sizes: set[tuple[int, ...]] = set()
    for key, data in index.read(rows.keys()):
        image = decode(data, pixels, f"{index.place}: {key}")
        sizes.add(image.shape)
        if len(sizes) == 1:
            yield rows[key], image
        left.discard(key)
    if len(sizes) > 1:
        raise CellError(
            f"{index.place}: the images have {len(sizes)} different sizes; set protocol.pixels "
            "to resize them to the same size"
        )
    if left:
        raise CellError(f"{index.place}: {len(left)} images cannot be read, first {min(left)}")
