"""Datasets of questions: published files, or questions about the embedded images."""

from collections.abc import Iterator
from dataclasses import dataclass

from bench.core.resolved_names import Remark
from bench.core.suite_paths import find_path, tried
from bench.data.annotation_files import files_of, open_published, reading_remarks
from bench.data.embedded_questions import open_embedded
from bench.data.embedded_source import embedded_split
from bench.data.questions import Questions
from bench.data.source import Source
from bench.suite.specs import LanguageDataset


@dataclass(frozen=True, slots=True)
class LanguageSource(Source):
    """A dataset of questions about images."""

    spec: LanguageDataset

    def missing(self, seed: int) -> str | None:
        """Return a message that names the missing files of the spec, or None."""
        texts = [text for text in files_of(self.spec) if not find_path(text).exists()]
        return f"{', '.join(texts)}: no such file or folder{tried(*texts)}" if texts else None

    def open(self, seed: int | None = None) -> Questions:
        """Read the questions."""
        if self.spec.of is not None:
            return open_embedded(self.spec, embedded_split(self.spec.of))
        return open_published(self.spec)

    def remarks(self) -> Iterator[Remark]:
        """Yield remarks on entries that were skipped or that replace others."""
        if self.spec.of is None:
            yield from reading_remarks(self.spec)
