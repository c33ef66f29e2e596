"""A user's folder in CLIP_benchmark's webdataset layout."""

from dataclasses import dataclass
from pathlib import Path

from bench.core.errors import CellError
from bench.core.suite_paths import find_path, tried
from bench.data.decode import size_of
from bench.data.source import Source
from bench.data.split import Split, check_labels
from bench.data.webdataset import open_webdataset, shard_paths
from bench.suite.specs import WebDataset
from radapt.shards import first_image


@dataclass(frozen=True, slots=True)
class WebDatasetSource(Source):
    """A folder of webdataset shards."""

    spec: WebDataset

    @property
    def _folder(self) -> Path:
        return find_path(self.spec.path)

    def missing(self, seed: int) -> str | None:
        """Return a message that names a missing file of the layout, or None."""
        folder = self._folder
        if not folder.is_dir():
            return f"{folder}: no such dataset folder{tried(self.spec.path)}"
        try:
            self._shards()
        except CellError as error:
            return str(error)
        return None

    def open(self, seed: int | None = None) -> Split:
        """Read ids and labels of all shards."""
        return check_labels(open_webdataset(self._folder, self.spec.split))

    def native_size(self) -> tuple[int, int]:
        """Return height and width of the first image of the first shard, without indexing it."""
        return size_of(first_image(self._shards()[0]) or b"")

    def _shards(self) -> list[Path]:
        return shard_paths(self._folder, self.spec.split)
