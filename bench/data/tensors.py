"""A dataset's images as tensors, decoded once; on the GPU if they fit."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from bench.core.array_files import Gather, in_memory
from bench.core.devices import usable_memory
from bench.core.language_types import Question
from bench.data import ImageSet, load_captioned, load_images, load_in_parts, load_questions
from bench.suite.metrics import TASKS
from bench.suite.specs import DatasetSpec, LanguageDataset, Pixels, task_of

_PART = 4096  # images per part of a whole dataset: 0.6 GB at 224 pixels
_SHARE = 0.25  # share of a GPU's free memory that a dataset may take


@dataclass(frozen=True, slots=True)
class Images:
    """A dataset's images with their labels, captions or questions.

    Attributes:
        sample_ids: Ids of the samples.
        pixels: `[n,3,h,w]`, uint8.
        labels: `[n]`, on the device. With captions, each image has its own label.
        classes: Class names in the order of the labels.
        templates: The dataset's own prompt templates.
        captions: Captions of each image; empty unless the dataset has captions.
        questions: Question about each image; empty unless the dataset has questions.
    """

    sample_ids: tuple[str, ...]
    pixels: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    templates: tuple[str, ...]
    captions: tuple[tuple[str, ...], ...] = ()
    questions: tuple[Question, ...] = ()

    def floats(self, rows: Tensor) -> Tensor:
        """Return the images of `rows` as floats in [0,1], `[b,3,h,w]`, on the device."""
        return self.pixels[rows.to(self.pixels.device)].to(self.labels.device).float() / 255

    def span(self, rows: range) -> "Images":
        """Return a range of the images."""
        part = slice(rows.start, rows.stop)
        return replace(
            self, sample_ids=self.sample_ids[part], pixels=self.pixels[part],
            labels=self.labels[part], captions=self.captions[part],
            questions=self.questions[part],
        )  # fmt: skip

    def parts_on(self, device: torch.device) -> Iterator["Images"]:
        """Yield the images in parts with their labels on a device, and the images if they fit."""
        for start in range(0, len(self.sample_ids), _PART):
            part = self.span(range(start, start + _PART))
            pixels = _placed(part.pixels, device)
            yield replace(part, pixels=pixels, labels=part.labels.to(device))


def load(
    spec: DatasetSpec,
    ids: tuple[str, ...],
    size: Pixels | Literal["native"],
    device: torch.device,
    gather: Gather = in_memory,
) -> Images:
    """Return the images of a dataset with the given ids.

    Args:
        spec: The dataset.
        ids: Ids of the samples.
        size: Size to resize to, or `native` to keep the original size.
        device: Device of the labels, and of the images if they fit.
        gather: Returns the array of decoded images; it may know the array already.

    Raises:
        CellError: The images cannot be read.
    """
    labels = torch.arange(len(ids), device=device)
    if TASKS[task_of(spec)].labels == "captions":
        captioned = load_captioned(spec, ids, size, gather)
        pixels = _placed(torch.from_numpy(captioned.images), device)
        return Images(ids, pixels, labels, ids, (), captioned.captions)
    if isinstance(spec, LanguageDataset):
        asked = load_questions(spec, ids, size, gather)
        pixels = _placed(torch.from_numpy(asked.images), device)
        return Images(ids, pixels, labels, (), (), questions=asked.questions)
    return _classified(load_images(spec, ids, size, gather), device)


def in_parts(
    spec: DatasetSpec, ids: tuple[str, ...], size: Pixels | Literal["native"], device: torch.device
) -> Iterator[Images]:
    """Yield the images with the given ids in parts, so that memory never holds all of them."""
    for data in load_in_parts(spec, ids, size, _PART):
        yield _classified(data, device)


def _classified(data: ImageSet, device: torch.device) -> Images:
    labels = torch.from_numpy(data.labels).to(device)
    pixels = _placed(torch.from_numpy(data.images), device)
    return Images(data.sample_ids, pixels, labels, data.classes, data.templates)


def _placed(pixels: Tensor, device: torch.device) -> Tensor:
    """Return images on the GPU if they fit there, else as they are."""
    if device.type == "cuda":
        free, _ = usable_memory(device)
        pixels = pixels.to(device) if pixels.nbytes < _SHARE * free else pixels
    return pixels
