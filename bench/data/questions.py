"""An index of questions about images; no image is decoded."""

import hashlib
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from bench.core.digests import sha256
from bench.core.errors import CellError
from bench.core.identifiers import relative_path_fault, shown, text_fault
from bench.core.language_types import Question
from bench.core.resolved_names import DatasetLock


@dataclass(frozen=True, slots=True)
class QuestionSample:
    """A sample: a question with its reference answers, and the name of its image."""

    image: str
    question: Question


@dataclass(frozen=True, slots=True)
class Questions:
    """All questions of a dataset.

    Attributes:
        place: Location of the dataset, for messages.
        by_id: The questions by sample id.
        read: Takes names of images and yields each name with the encoded image, in any order.
        digest: Takes names of images and returns the SHA-256 of each image by name.
    """

    place: str
    by_id: Mapping[str, QuestionSample]
    read: Callable[[Collection[str]], Iterator[tuple[str, bytes]]]
    digest: Callable[[Collection[str]], Mapping[str, bytes]]

    @property
    def samples(self) -> Collection[str]:
        """Ids of all questions."""
        return self.by_id.keys()

    def images(self, sample_ids: Sequence[str]) -> tuple[str, ...]:
        """Return the name of each sample's image.

        Raises:
            CellError: The dataset no longer has some of the samples.
        """
        if missing := set(sample_ids) - set(self.by_id):
            raise CellError(
                f"{self.place}: {len(missing)} questions are missing, first {min(missing)}"
            )
        return tuple(self.by_id[key].image for key in sample_ids)

    def fingerprint(self, sample_ids: Sequence[str]) -> str:
        """Return a hash of the samples' questions, reference answers and images."""
        content = hashlib.sha256()
        images = self.images(sample_ids)
        hashes = self.digest(dict.fromkeys(images))
        for key, image in zip(sample_ids, images, strict=True):
            record = {"id": key, **asdict(self.by_id[key].question)}
            del record["answer_type"]  # no score depends on it
            content.update(json.dumps(record, sort_keys=True).encode())
            content.update(hashes[image])
        return content.hexdigest()

    def lock(self, sample_ids: tuple[str, ...]) -> DatasetLock:
        """Return the lock: ids of questions with a fingerprint of their content."""
        return DatasetLock(self.fingerprint(sample_ids), sample_ids)


def questions_in_folder(
    place: Path, by_id: Mapping[str, QuestionSample], folder: Path
) -> Questions:
    """Return questions about images that are files in a folder.

    Args:
        place: The annotation file, for messages.
        by_id: The questions by sample id.
        folder: Folder of the images. Links inside it are followed.

    Raises:
        CellError: There are no questions, the folder does not exist, or an image's name leads out
            of the folder.
    """
    if not by_id:
        raise CellError(f"{place}: has no questions")
    for key, sample in by_id.items():
        if why := relative_path_fault(sample.image) or text_fault(key):
            raise CellError(
                f"{place}: the image of {shown(key)[1:-1]} is {shown(sample.image)}, which is not "
                f"allowed in {folder}: it {why}"
            )
        question = sample.question
        texts = (question.prompt, *question.answers, *question.names, question.decoy)
        if why := text_fault("".join(texts)):  # JSON can write half of a character, `\ud83d`
            text = next(filter(text_fault, texts))
            raise CellError(f"{place}: {shown(key)[1:-1]}: the text {shown(text)} {why}")
    if not folder.is_dir():
        raise CellError(f"{folder}: no such folder of images")
    return Questions(str(place), by_id, partial(_read, folder), partial(_digest, folder))


def _read(folder: Path, names: Collection[str]) -> Iterator[tuple[str, bytes]]:
    for name in names:
        yield name, _present(folder / name).read_bytes()


def _digest(folder: Path, names: Collection[str]) -> dict[str, bytes]:
    return {name: sha256(_present(folder / name)) for name in names}


def _present(path: Path) -> Path:
    if not path.is_file():
        raise CellError(f"{path}: no such image, but the dataset has questions about it")
    return path
