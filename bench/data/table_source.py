"""A user's list or table of images with labels: text, CSV, Parquet, or saved by `datasets`."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench import catalogue
from bench.core.errors import CellError
from bench.core.resolved_names import Remark
from bench.data.arrow_tables import columns_of, open_table
from bench.data.image_lists import images_folder, open_list, unlisted
from bench.data.label_classes import Labelled, classes_of
from bench.data.source import Source
from bench.data.split import PLAIN_PROMPTS, Split, check_labels
from bench.suite.specs import TableDataset


@dataclass(frozen=True, slots=True)
class TableSource(Source):
    """A list or table of images with labels."""

    spec: TableDataset

    def missing(self, seed: int) -> str | None:
        """Return a message that names missing files, or None."""
        spec = self.spec
        needed = [Path(path) for path in (spec.path, spec.images, spec.classes) if path is not None]
        if missing := [str(path) for path in needed if not path.exists()]:
            return f"{', '.join(missing)}: no such file or folder"
        try:
            if not spec.is_list:
                columns_of(spec)
        except CellError as error:
            return str(error)
        return None

    def open(self, seed: int | None = None) -> Split:
        """Read the labels."""
        images = self._labelled()
        classes = classes_of(self.spec, images)
        prompts = catalogue.templates(self.spec.name) or PLAIN_PROMPTS
        digest = partial(_digest, classes.labels, images.content)
        return check_labels(
            Split(self.spec.path, classes.labels, classes.names, prompts, images.read, digest)
        )

    def remarks(self) -> Iterator[Remark]:
        """Yield remarks on rows, on the order of ImageNet's classes, and on images without row."""
        images = self._labelled()
        yield from images.remarks
        yield from classes_of(self.spec, images).remarks
        if self.spec.is_list:
            yield from unlisted(self.spec, images.labels)

    def _labelled(self) -> Labelled:
        if not self.spec.is_list:
            return open_table(self.spec)
        if not images_folder(self.spec).is_dir():
            raise CellError(f"{images_folder(self.spec)}: no such folder of images")
        return open_list(self.spec)


def _digest(
    labels: Mapping[str, int],
    content_of: Callable[[Sequence[str]], Iterator[bytes]],
    keys: Sequence[str],
) -> str:
    """Return a hash of all ids and labels, and of the content of the chosen images."""
    content = hashlib.sha256()
    for key, label in sorted(labels.items()):
        content.update(f"{label} {key}\n".encode())
    for each in content_of(keys):
        content.update(each)
    return content.hexdigest()
