"""Datasets on the Hugging Face hub in CLIP_benchmark's webdataset layout."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from bench import catalogue
from bench.core.errors import CellError
from bench.data.source import Source
from bench.data.split import Split, check_labels, choose_shards
from bench.data.webdataset import open_webdataset, shard_count
from bench.hub.download import Download, hub_download
from bench.hub.files import HubFile, NoSuchFile, cache, fetch_file, find
from bench.suite.metrics import TASKS
from bench.suite.specs import HubDataset, task_of

_COUNT = "nshards.txt"


@dataclass(frozen=True, slots=True)
class HubSource(Source):
    """A dataset on the hub; its files are in the hub's cache."""

    spec: HubDataset

    @property
    def download_folder(self) -> Path:
        """Folder of the hub's cache."""
        return cache()

    def downloads(self, seed: int) -> Iterator[Download]:
        """Yield the shards of a subset, at the commit that the revision points to now."""
        for file in self._shards(self._fetch_metadata(), seed).values():
            yield hub_download(file)

    def missing(self, seed: int) -> str | None:
        """Return a message with the number of shards that the cache lacks, or None."""
        root = self._cached_root()
        if root is None:
            return f"{self.spec.repository} is not in the hub's cache"
        try:
            shards = self._shards(root, seed).values()
        except CellError as error:
            return str(error)
        missing = sum(1 for file in shards if find(file) is None)
        if missing == 0:
            return None
        return f"{missing} of {len(shards)} shards of {self.spec.repository} are missing"

    def open(self, seed: int | None = None) -> Split:
        """Read ids and labels.

        With a seed, the shards of its subset are downloaded and read; without a seed, all shards
        in the cache are read.
        """
        return self._open_cached() if seed is None else self._open_subset(seed)

    def subset(self, seed: int) -> Split:
        """Read ids and labels of a seed's subset again, from the cache."""
        return self._open_cached(seed)

    def native_size(self) -> tuple[int, int] | None:
        """Return the image size from the catalogue, so that a plan needs no download."""
        return catalogue.native_size(self.spec.name)

    def _open_subset(self, seed: int) -> Split:
        spec, root = self.spec, self._fetch_metadata()
        shards = self._shards(root, seed)
        for file in shards.values():
            fetch_file(file)
        split = open_webdataset(root, spec.split, tuple(shards))
        facts = catalogue.datasets().get(spec.name) if spec.repo is None else None
        return check_labels(
            replace(split, origin=f"{spec.repository}@{root.name}"),
            facts.classes if facts else None,
            whole=spec.split == "test" and len(shards) == shard_count(root, spec.split),
        )

    def _open_cached(self, seed: int | None = None) -> Split:
        spec, root = self.spec, self._cached_root()
        if root is None:
            raise CellError(f"{spec.repository} is not in the hub's cache; run `fetch`")
        total = shard_count(root, spec.split)
        wanted = range(total) if seed is None else choose_shards(total, spec.shards, seed)
        here = [number for number in wanted if (root / spec.split / f"{number}.tar").exists()]
        return check_labels(open_webdataset(root, spec.split, here))

    def _fetch_metadata(self) -> Path:
        """Download the dataset's text files, and return its folder in the hub's cache.

        The folder's name is the commit that the revision points to; all files have that commit.
        """
        spec = self.spec
        count = fetch_file(HubFile(spec.repository, f"{spec.split}/{_COUNT}", spec.revision))
        root = self._root_of(count)
        try:
            fetch_file(HubFile(spec.repository, "classnames.txt", root.name))
        except NoSuchFile:
            if TASKS[task_of(spec)].labels == "classes":
                raise
            # a retrieval dataset has captions in place of class names
            fetch_file(HubFile(spec.repository, "dataset_type.txt", root.name))
        else:
            fetch_file(HubFile(spec.repository, "zeroshot_classification_templates.txt", root.name))
        return root

    def _cached_root(self) -> Path | None:
        """Return the dataset's folder in the hub's cache, or None if it is not there."""
        spec = self.spec
        count = find(HubFile(spec.repository, f"{spec.split}/{_COUNT}", spec.revision))
        return count and self._root_of(count)

    def _root_of(self, count: Path) -> Path:
        return count.parents[len(Path(self.spec.split).parts)]

    def _shards(self, root: Path, seed: int) -> dict[int, HubFile]:
        """Return the shards of a subset by number: all of the split, or `spec.shards` of them."""
        spec = self.spec
        numbers = choose_shards(shard_count(root, spec.split), spec.shards, seed)
        return {n: HubFile(spec.repository, f"{spec.split}/{n}.tar", root.name) for n in numbers}
