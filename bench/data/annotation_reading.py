"""What the readers of annotation files share: their interface, JSON files and format errors."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.core.errors import CellError
from bench.core.identifiers import shown
from bench.core.resolved_names import Remark
from bench.data.questions import QuestionSample
from bench.data.split import cell_errors
from bench.suite.specs import LanguageDataset
from radapt.text_files import read_json, read_text

Samples = Iterator[tuple[str, QuestionSample]]
Note = Callable[[Remark], None]
# Takes the dataset, its file of reference answers, and a function that keeps remarks on how the
# file was read; yields the samples with their ids.
Reader = Callable[[LanguageDataset, Path, Note], Samples]


@contextmanager
def json_content(spec: LanguageDataset, path: Path) -> Iterator[Any]:
    """Parse a JSON file; a missing key in the body is reported with the file's path."""
    with cell_errors():
        content = read_json(path)
    with format_errors(spec, str(path)):
        yield content


def text_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines of a text file that are not blank, with their numbers."""
    with cell_errors():
        lines = read_text(path).split("\n")  # a JSON text may contain other characters of line ends
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield number, line


@contextmanager
def format_errors(spec: LanguageDataset, place: str) -> Iterator[None]:
    """Turn errors of the body into a CellError that names the file and the format."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise CellError(
            f"{place}: is not in the format {spec.format} ({type(error).__name__}: {error})"
        ) from error


def as_list(value: Any) -> list[Any]:
    """Return a list unchanged; refuse a string, because a loop would go over its characters."""
    if not isinstance(value, list):
        raise TypeError(f"a list is needed, got {value!r:.40}")
    return value


def as_text(value: Any) -> str:
    """Return a text unchanged; refuse other values."""
    if not isinstance(value, str):
        raise TypeError(f"a text is needed, got {value!r:.40}")
    return value


def one_line(caption: str) -> str:
    """Return a caption without line breaks and repeated spaces."""
    return " ".join(caption.split())


def in_split(spec: LanguageDataset, path: Path, entries: list[Any]) -> list[Any]:
    """Return the entries of the dataset's split, `test` by default.

    Raises:
        CellError: No entry has the split; the message lists the splits of the file.
    """
    split = spec.split or "test"
    chosen = [entry for entry in entries if entry["split"] == split]
    if not chosen:
        found = ", ".join(sorted({entry["split"] for entry in entries}))
        raise CellError(f"{path}: has no split {split!r}; allowed: {found}")
    return chosen


def note_all(note: Note, name: str, found: list[str], what: str) -> None:
    """Keep a remark with the number of occurrences and the first; nothing if there are none."""
    if found:
        note(Remark(name, f"{len(found)} {what} (first: {shown(found[0])[1:-1]})"))
