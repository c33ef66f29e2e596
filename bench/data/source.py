"""What every kind of dataset can do: say what it lacks, be downloaded, be opened."""

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
        """Function that yields name and encoded image of those named, each once, in any order."""

    def images(self, sample_ids: Sequence[str]) -> tuple[str, ...]:
        """Return the name of each sample's image.

        Raises:
            CellError: Samples are gone.
        """

    def lock(self, sample_ids: tuple[str, ...]) -> DatasetLock:
        """Return what some samples stand for, with a fingerprint of their content."""


class Source(ABC):
    """A dataset that a suite names, wherever its files are.

    A kind of dataset is a subclass, made from its spec and named in `bench.data.source_kinds`.
    What is below is true of the user's own files; a kind that is downloaded overrides it.
    """

    @property
    def download_folder(self) -> Path | None:
        """Where the dataset is downloaded to; None where its files are the user's own."""
        return None

    def downloads(self, seed: int) -> Iterator[Download]:
        """Yield what must be downloaded for a subset under a seed; small texts are brought.

        Raises:
            CellError: It cannot be had.
        """
        yield from ()

    @abstractmethod
    def missing(self, seed: int) -> str | None:
        """Return what a subset under a seed lacks here, or None; asks no network."""

    @abstractmethod
    def open(self, seed: int | None = None) -> Index:
        """Read what is known of the samples.

        Args:
            seed: What a subset under this seed needs is downloaded; nothing is where None.

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
