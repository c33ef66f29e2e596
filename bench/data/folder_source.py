"""A user's folder that holds a folder of images per class."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.core.resolved_names import Remark
from bench.data.class_names import folder_remarks
from bench.data.folder import open_folder, reading_remarks
from bench.data.source import Source
from bench.data.split import Split, check_labels
from bench.suite.specs import FolderDataset


@dataclass(frozen=True, slots=True)
class FolderSource(Source):
    """A folder of class folders."""

    spec: FolderDataset

    def missing(self, seed: int) -> str | None:
        """Return a message if the folder is missing, else None."""
        place = self.spec.path
        return None if Path(place).is_dir() else f"{place}: no such dataset folder"

    def open(self, seed: int | None = None) -> Split:
        """List the images of the class folders."""
        return check_labels(open_folder(Path(self.spec.path), self.spec.name))

    def remarks(self) -> Iterator[Remark]:
        """Yield remarks on numbered folders, files that are not read, and class names."""
        root = Path(self.spec.path)
        yield from reading_remarks(root)
        yield from folder_remarks(root, self.spec.name, lambda: self.open().classes)
