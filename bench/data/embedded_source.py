"""The embedded test datasets, which are part of the package."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bench.data.decode import size_of
from bench.data.source import Source
from bench.data.split import Split, check_labels
from bench.data.webdataset import open_webdataset, shard_paths
from bench.suite.specs import NanoDataset
from radapt.shards import first_image

NANO_DATA = Path(__file__).parents[1] / "nano" / "data"


@dataclass(frozen=True, slots=True)
class EmbeddedSource(Source):
    """An embedded test dataset."""

    spec: NanoDataset

    def missing(self, seed: int) -> None:
        """Return None: the package contains all files."""

    def open(self, seed: int | None = None) -> Split:
        """Read ids and labels."""
        return check_labels(embedded_split(self.spec.name))

    def native_size(self) -> tuple[int, int]:
        """Return height and width of the first image of the first shard."""
        return size_of(first_image(shard_paths(NANO_DATA / self.spec.name, "test")[0]) or b"")


@cache
def embedded_split(name: str) -> Split:
    """Read ids and labels of an embedded test dataset, once per process."""
    return open_webdataset(NANO_DATA / name, "test")
