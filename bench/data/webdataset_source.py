"""A user's folder in CLIP_benchmark's webdataset layout."""

from dataclasses import dataclass
from pathlib import Path

from bench.core.errors import CellError
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

    def missing(self, seed: int) -> str | None:
        """Return a message that names a missing file of the layout, or None."""
        try:
            self._shards()
        except CellError as error:
            return str(error)
        return None

    def open(self, seed: int | None = None) -> Split:
        """Read ids and labels of all shards."""
        return check_labels(open_webdataset(Path(self.spec.path), self.spec.split))

    def native_size(self) -> tuple[int, int]:
        """Return height and width of the first image of the first shard, without indexing it."""
        return size_of(first_image(self._shards()[0]) or b"")

    def _shards(self) -> list[Path]:
        return shard_paths(Path(self.spec.path), self.spec.split)
