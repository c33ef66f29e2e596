"""Published annotation files: questions, captions and reference answers.

Each format has a reader in `caption_files.py` or `vqa_files.py`; these say what the files look
like.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

from bench.core.errors import CellError
from bench.core.resolved_names import Remark
from bench.core.suite_paths import find_path
from bench.data.annotation_reading import Reader
from bench.data.caption_files import CAPTION_READERS, listed_images
from bench.data.questions import Questions, QuestionSample, questions_in_folder
from bench.data.vqa_files import VQA_READERS
from bench.suite.specs import LanguageDataset

_CACHED = 4  # datasets in the cache: reading the 214,000 questions of VQAv2 takes seconds
_READERS: Mapping[str, Reader] = {**CAPTION_READERS, **VQA_READERS}


@dataclass(frozen=True, slots=True)
class _Content:
    """The samples of annotation files by their ids, and remarks on how the files were read."""

    samples: Mapping[str, QuestionSample]
    remarks: tuple[Remark, ...]


def open_published(spec: LanguageDataset) -> Questions:
    """Read the questions of published files; unchanged files are read once per process.

    Raises:
        CellError: A file is missing or has the wrong format, or an image is outside the folder.
    """
    return questions_in_folder(
        _reference_path(spec), _content_of(spec).samples, find_path(spec.images or "")
    )


def reading_remarks(spec: LanguageDataset) -> tuple[Remark, ...]:
    """Return remarks on entries that were skipped or that replace others; see `open_published`."""
    return _content_of(spec).remarks


def files_of(spec: LanguageDataset) -> Iterator[str]:
    """Yield the files and folders that a dataset needs, as the suite names them."""
    yield from _annotation_files(spec)
    if spec.images is not None:
        yield spec.images


def _annotation_files(spec: LanguageDataset) -> Iterator[str]:
    listed = spec.split if listed_images(spec) else None
    for file in (spec.questions, spec.annotations, spec.objects, spec.targets, listed):
        if file is not None:
            yield file


def _reference_path(spec: LanguageDataset) -> Path:
    """Return the file with the reference answers."""
    return find_path(spec.objects or spec.annotations or spec.questions or "")


def _state(path: Path) -> tuple[Path, int, int]:
    try:
        state = path.stat()
    except (OSError, ValueError) as error:  # a split's name may be no path
        raise CellError(f"{path}: cannot be read ({error})") from error
    return path.resolve(), state.st_size, state.st_mtime_ns


def _content_of(spec: LanguageDataset) -> _Content:
    return _read(spec, tuple(_state(find_path(file)) for file in _annotation_files(spec)))


@lru_cache(maxsize=_CACHED)
def _read(spec: LanguageDataset, _: tuple[tuple[Path, int, int], ...]) -> _Content:
    """Read the files of a dataset.

    The second argument is a key of the cache: changed files are read again.
    """
    path = _reference_path(spec)
    samples: dict[str, QuestionSample] = {}
    repeated = []
    remarks: list[Remark] = []
    for key, sample in _READERS[spec.format](spec, path, remarks.append):
        if not isinstance(sample.image, str):
            raise CellError(
                f"{path}: the image of {key} is {sample.image!r}, which is not the name of a file"
            )
        answers, names = sample.question.answers, sample.question.names
        if not any(answer.strip() for answer in answers) or not all(names):
            raise CellError(f"{path}: {key} has no reference answer, or its object has no name")
        if key in samples:
            repeated.append(key)
        samples[key] = sample
    if repeated:
        raise CellError(f"{path}: {len(repeated)} ids appear twice (first: {repeated[0]})")
    return _Content(MappingProxyType(samples), tuple(remarks))
