"""What every kind of dataset offers: the files that it lacks, their download, its index."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from bench.core.locks import DatasetLock
from bench.data.decode import size_of
from bench.hub.download import Download


class Index(Protocol):
    """All samples of a dataset with what is known of them; no image is decoded yet.

    `bench.data.split.Split` is that of images with classes or captions,
    `bench.data.questions.Questions` that of questions about images.
    """

    @property
    def place(self) -> str:
        """Where the dataset is, for messages."""

    @property
    def samples(self) -> Collection[str]:
        """The ids of all samples."""

    @property
    def read(self) -> Callable[[Collection[str]], Iterator[tuple[str, bytes]]]:
        """A function that yields name and encoded image of given names, each once, in any order."""

    def images(self, sample_ids: Sequence[str]) -> tuple[str, ...]:
        """Return the name of each sample's image.

        Raises:
            CellError: Samples are gone.
        """

    def lock(self, sample_ids: tuple[str, ...]) -> DatasetLock:
        """Return ids of samples with a fingerprint of their content, class names and prompts."""


class Source(ABC):
    """A dataset that a suite names, wherever its files are.

    A kind of dataset is a subclass, made from its spec and named in `bench.data.source_kinds`.
    The methods below fit the user's own files; a kind that is downloaded overrides them.
    """

    @property
    def download_folder(self) -> Path | None:
        """Where the dataset is downloaded to; None where its files are the user's own."""
        return None

    def downloads(self, seed: int) -> Iterator[Download]:
        """Yield the files that a subset under a seed needs; the hub is asked for their sizes.

        Small text files that tell which files there are may be downloaded at once.

        Raises:
            CellError: The dataset cannot be found, or the network does not answer.
        """
        yield from ()

    @abstractmethod
    def missing(self, seed: int) -> str | None:
        """Return which files of a subset are not on this machine, or None; asks no network."""

    @abstractmethod
    def open(self, seed: int | None = None) -> Index:
        """Read ids, labels and class names of the samples.

        Args:
            seed: Missing files of a subset under this seed are downloaded; none where None.

        Raises:
            CellError: The dataset is not here, is not in its layout, or is damaged.
        """

    def native_size(self) -> tuple[int, int] | None:
        """Return height and width of the first image, or None where they are unknown.

        Raises:
            CellError, OSError, tarfile.TarError, ValueError: The image cannot be read.
        """
        index = self.open()
        first = index.images([min(index.samples)])
        return size_of(next(iter(index.read(first)))[1])
