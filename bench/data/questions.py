"""Questions about images, from any kind of file; no image is decoded yet."""

import hashlib
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from bench.core.digests import sha256
from bench.core.errors import CellError
from bench.core.exchanges import Exchange
from bench.core.identifiers import inside_fault, shown, text_fault
from bench.core.locks import DatasetLock


@dataclass(frozen=True, slots=True)
class Asked:
    """One sample: a question with its answers, and the name of the image that it is about."""

    image: str
    exchange: Exchange


@dataclass(frozen=True, slots=True)
class Questions:
    """All questions of a dataset.

    Attributes:
        place: Where it is, for messages.
        asked: The questions by sample id.
        read: Yields name and encoded image of those named, each once, in any order.
        digest: Returns the SHA-256 of each of some images, by name.
    """

    place: str
    asked: Mapping[str, Asked]
    read: Callable[[Collection[str]], Iterator[tuple[str, bytes]]]
    digest: Callable[[Collection[str]], Mapping[str, bytes]]

    @property
    def samples(self) -> Collection[str]:
        """The ids of all questions."""
        return self.asked.keys()

    def images(self, sample_ids: Sequence[str]) -> tuple[str, ...]:
        """Return the image of each sample, by its name.

        Raises:
            CellError: Samples are gone.
        """
        if missing := set(sample_ids) - set(self.asked):
            raise CellError(
                f"{self.place}: {len(missing)} questions are gone, {min(missing)} the first"
            )
        return tuple(self.asked[key].image for key in sample_ids)

    def fingerprint(self, sample_ids: Sequence[str]) -> str:
        """Return a hash of the questions, the reference answers and the images of some samples."""
        content = hashlib.sha256()
        images = self.images(sample_ids)
        hashes = self.digest(dict.fromkeys(images))
        for key, image in zip(sample_ids, images, strict=True):
            said = {"id": key, **asdict(self.asked[key].exchange)}
            content.update(json.dumps(said, sort_keys=True).encode())
            content.update(hashes[image])
        return content.hexdigest()

    def lock(self, sample_ids: tuple[str, ...]) -> DatasetLock:
        """Return ids of questions with a fingerprint of their content."""
        return DatasetLock(self.fingerprint(sample_ids), sample_ids)


def in_folder(place: Path, asked: Mapping[str, Asked], folder: Path) -> Questions:
    """Return questions about images that are files of a folder.

    Raises:
        CellError: There is no question, no such folder, or an image's name leads out of the
            folder. Links inside the folder are followed.
    """
    if not asked:
        raise CellError(f"{place}: has no questions")
    for key, sample in asked.items():
        if why := inside_fault(sample.image) or text_fault(key):
            raise CellError(
                f"{place}: {shown(key)[1:-1]} is about {shown(sample.image)}, which is not in "
                f"{folder}: it {why}"
            )
    if not folder.is_dir():
        raise CellError(f"{folder}: no such folder of images")
    return Questions(str(place), asked, partial(_read, folder), partial(_digest, folder))


def _read(folder: Path, names: Collection[str]) -> Iterator[tuple[str, bytes]]:
    for name in names:
        yield name, _present(folder / name).read_bytes()


def _digest(folder: Path, names: Collection[str]) -> dict[str, bytes]:
    return {name: sha256(_present(folder / name)) for name in names}


def _present(path: Path) -> Path:
    if not path.is_file():
        raise CellError(f"{path}: no such image, but there are questions about it")
    return path
