"""The interface of every kind of dataset: missing files, downloads, and the index of samples."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from bench.core.resolved_names import DatasetLock, Remark
from bench.data.decode import size_of
from bench.hub.download import Download


class Index(Protocol):
    """The samples of a dataset with their labels, captions or questions; no image is decoded.

    `bench.data.split.Split` is the index of images with labels or captions, and
    `bench.data.questions.Questions` is the index of questions about images.
    """

    @property
    def place(self) -> str:
        """Location of the dataset, for messages."""

    @property
    def samples(self) -> Collection[str]:
        """Ids of all samples."""

    @property
    def read(self) -> Callable[[Collection[str]], Iterator[tuple[str, bytes]]]:
        """A function that takes names and yields each with its encoded image, in any order."""

    def images(self, sample_ids: Sequence[str]) -> tuple[str, ...]:
        """Return the name of each sample's image.

        Raises:
            CellError: The dataset no longer has some of the samples.
        """

    def lock(self, sample_ids: tuple[str, ...]) -> DatasetLock:
        """Return the lock: sample ids with a fingerprint of their content, classes and prompts."""


class Source(ABC):
    """The files of a dataset that a suite names.

    Each kind of dataset is a subclass that takes the spec and is listed in
    `bench.data.source_kinds`. The default methods are for files of the user; a kind that is
    downloaded overrides them.
    """

    @property
    def download_folder(self) -> Path | None:
        """Folder of the download; None for files of the user."""
        return None

    def downloads(self, seed: int) -> Iterator[Download]:
        """Yield the files that the subset of a seed needs, with their sizes from the hub.

        Small text files that list the other files may be downloaded right away.

        Raises:
            CellError: The dataset does not exist, or the network does not answer.
        """
        yield from ()

    @abstractmethod
    def missing(self, seed: int) -> str | None:
        """Return a message that names missing files of a subset, or None; uses no network."""

    @abstractmethod
    def open(self, seed: int | None = None) -> Index:
        """Read ids, labels and class names of the samples.

        Args:
            seed: Seed of the subset whose missing files are downloaded; None downloads nothing.

        Raises:
            CellError: The dataset is not on this machine, has the wrong layout, or is damaged.
        """

    def subset(self, seed: int) -> Index:
        """Read the samples again that `open(seed)` read; nothing is downloaded.

        Raises:
            CellError: See `open`.
        """
        return self.open()

    def remarks(self) -> Iterator[Remark]:
        """Yield remarks on how the files were read where a reader may expect otherwise."""
        yield from ()

    def native_size(self) -> tuple[int, int] | None:
        """Return height and width of the first image, or None if they are unknown.

        Raises:
            CellError, OSError, tarfile.TarError, ValueError: The image cannot be read.
        """
        index = self.open()
        first = index.images([min(index.samples)])
        return size_of(next(iter(index.read(first)))[1])
