"""What a suite reads of a dataset: classes, prompts, counts, and a few samples with their texts."""

import tarfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.core.errors import CellError
from bench.core.language_types import Question
from bench.core.resolved_names import DatasetLock
from bench.data.class_names import list_remarks
from bench.data.decode import decode
from bench.data.questions import Questions
from bench.data.source import Index
from bench.data.source_kinds import source_of
from bench.data.split import Split, choose
from bench.plan.resolve import remarks_on
from bench.suite.load import Suite
from bench.suite.specs import DatasetSpec

_LONGEST_SIDE = 336  # pixels of a shown image; larger images are reduced
_ANSWERS = 20  # frequent reference answers that are listed


@dataclass(frozen=True, slots=True)
class ClassRow:
    """A class of a dataset.

    Attributes:
        label: Its number.
        folder: Its folder or WordNet id; empty unless classes are folders.
        name: Its name.
        prompt: Its name in the first prompt.
        images: Number of its images.
        sampled: Number of its images in the suite's sample.
    """

    label: int
    folder: str
    name: str
    prompt: str
    images: int
    sampled: int


@dataclass(frozen=True, slots=True)
class ShownSample:
    """A sample: its image `[h,w,3]` as it is attacked, and its texts, each with a title."""

    sample_id: str
    image: NDArray[np.uint8]
    texts: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Overview:
    """What is read of a dataset.

    Attributes:
        name: Name in the suite.
        place: Its folder, file or repository; empty if nothing could be read.
        samples: Number of its images, or of its questions.
        unit: `images` or `questions`.
        sampled: Number of samples that the suite takes.
        classes: Its classes; empty with captions or questions.
        templates: The prompts that are made of a class name; empty without classes.
        answers: The most frequent reference answers, with the number of questions.
        shown: Some of the suite's samples.
        remarks: Remarks on how its files were read.
        fault: Why it, or its images, cannot be read; empty if they can.
    """

    name: str
    place: str = ""
    samples: int = 0
    unit: str = "images"
    sampled: int = 0
    classes: tuple[ClassRow, ...] = ()
    templates: tuple[str, ...] = ()
    answers: tuple[tuple[str, int], ...] = ()
    shown: tuple[ShownSample, ...] = ()
    remarks: tuple[str, ...] = ()
    fault: str = ""


def overview(suite: Suite, spec: DatasetSpec, count: int) -> Overview:
    """Read a dataset as a run does, and show `count` of its samples; nothing is downloaded."""
    source = source_of(spec)
    missing = source.missing(suite.seed)
    if missing:
        advice = "; run `fetch`" if source.download_folder else ""
        return Overview(spec.name, fault=f"{missing}{advice}")
    try:
        index = source.open(suite.seed)
        chosen = choose(index.samples, suite.most_samples, suite.seed)
        split = index if isinstance(index, Split) and not index.captioned else None
        names, prompts = (split.classes, split.templates) if split else ((), ())
        read = (*source.remarks(), *list_remarks(spec, names))
    except (CellError, OSError, tarfile.TarError, ValueError) as error:
        return Overview(spec.name, fault=str(error))
    found = DatasetLock("", chosen, names, prompts, remarks=read)
    templates = suite.protocol.templates_of(prompts) if split else ()
    shown, fault = _shown(suite, spec, index, choose(chosen, count, suite.seed))
    return Overview(
        spec.name,
        index.place,
        len(index.samples),
        "questions" if isinstance(index, Questions) else "images",
        len(chosen),
        tuple(_classes(split, chosen, templates[0])) if split else (),
        templates,
        _frequent_answers(index) if isinstance(index, Questions) else (),
        shown,
        tuple(
            remark.removeprefix(f"datasets.{spec.name}: ")
            for remark in remarks_on(suite, spec, found)
        ),
        fault,
    )


def _classes(split: Split, chosen: tuple[str, ...], template: str) -> Iterator[ClassRow]:
    images = Counter(split.labels.values())
    sampled = Counter(split.labels[key] for key in chosen)
    folders = split.folders or ("",) * len(split.classes)
    for label, (folder, name) in enumerate(zip(folders, split.classes, strict=True)):
        prompt = template.replace("{c}", name)
        yield ClassRow(label, folder, name, prompt, images[label], sampled[label])


def _frequent_answers(index: Questions) -> tuple[tuple[str, int], ...]:
    """Return the answers that several questions have, with their numbers of questions."""
    counts = Counter(
        answer for sample in index.by_id.values() for answer in set(sample.question.answers)
    )
    return tuple((answer, n) for answer, n in counts.most_common(_ANSWERS) if n > 1)


def _shown(
    suite: Suite, spec: DatasetSpec, index: Index, keys: tuple[str, ...]
) -> tuple[tuple[ShownSample, ...], str]:
    """Return samples with their images, and why an image cannot be read, else an empty text."""
    pixels = suite.protocol.pixels_of(spec.name)
    try:
        names = index.images(keys)
        data = dict(index.read(dict.fromkeys(names)))
        return tuple(
            ShownSample(
                key,
                _reduced(decode(data[name], pixels, f"{index.place}: {name}")),
                tuple(_texts(index, key)),
            )
            for key, name in zip(keys, names, strict=True)
        ), ""
    except (CellError, OSError, tarfile.TarError, ValueError) as error:
        return (), str(error)


def _reduced(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return an image `[3,h,w]` as `[h,w,3]`, reduced if it is large."""
    shown = Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0)))
    shown.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE))
    return np.asarray(shown)


def _texts(index: Index, key: str) -> Iterator[tuple[str, str]]:
    if isinstance(index, Questions):
        yield from _question_texts(index.by_id[key].question)
    elif isinstance(index, Split):
        label = index.labels[key]
        if isinstance(label, int):
            yield f"class {label}", index.classes[label]
        else:
            yield from (("caption", caption) for caption in label)


def _question_texts(question: Question) -> Iterator[tuple[str, str]]:
    yield "question", question.prompt
    answers: Mapping[str, int] = Counter(question.answers)
    yield "answers", " · ".join(f"{a} ×{n}" if n > 1 else a for a, n in answers.items())
    if question.names:
        yield "object", ", ".join(question.names)
    if question.decoy:
        yield "decoy", question.decoy
