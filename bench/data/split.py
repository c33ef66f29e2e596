"""An index of the images of a split with labels or captions, and the choice of subsets."""

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.core.errors import CellError
from bench.core.identifiers import shown, text_fault
from bench.core.resolved_names import DatasetLock
from radapt.shards import Label
from radapt.text_files import read_list

PLAIN_PROMPTS = ("a photo of a {c}.",)  # of datasets that neither have prompts nor are public


@dataclass(frozen=True, slots=True)
class Split:
    """Images with labels or captions; no image is decoded.

    Attributes:
        place: Location of the dataset, for messages.
        labels: The class number, or the captions, of each image by its id.
        classes: Class names in the order of their numbers; empty with captions.
        templates: Prompt templates with the placeholder `{c}`; empty with captions.
        read: Takes ids and yields each id with its encoded image, in any order.
        digest: Takes the ids of a subset and returns a hash of the content.
        origin: `REPOSITORY@COMMIT` of a dataset on the hub, else empty.
        folders: Name of each class's folder or its WordNet id; empty unless classes are folders.
    """

    place: str
    labels: Mapping[str, Label]
    classes: tuple[str, ...]
    templates: tuple[str, ...]
    read: Callable[[Collection[str]], Iterator[tuple[str, bytes]]]
    digest: Callable[[Sequence[str]], str]
    origin: str = ""
    folders: tuple[str, ...] = ()

    @property
    def captioned(self) -> bool:
        """Whether images have captions instead of labels."""
        return not self.classes

    @property
    def samples(self) -> Collection[str]:
        """Ids of all images."""
        return self.labels.keys()

    def images(self, sample_ids: Sequence[str]) -> tuple[str, ...]:
        """Return the name of each sample's image, which is the sample's id.

        Raises:
            CellError: The dataset no longer has some of the images.
        """
        if missing := set(sample_ids) - self.labels.keys():
            first = min(missing)
            raise CellError(f"{self.place}: {len(missing)} images are missing, first {first}")
        return tuple(sample_ids)

    def lock(self, sample_ids: tuple[str, ...]) -> DatasetLock:
        """Return the lock: image ids with a fingerprint of their content, classes and prompts."""
        content = self.digest(sample_ids)
        return DatasetLock(content, sample_ids, self.classes, self.templates, self.origin)


def choose(
    keys: Collection[str], count: int, seed: int, *, shuffled: bool = False
) -> tuple[str, ...]:
    """Return the `count` keys with the lowest hashes under a seed.

    A smaller subset is part of a larger subset, and the order of the keys does not matter.

    Args:
        keys: All keys.
        count: Number of keys to choose.
        seed: Seed of the choice.
        shuffled: Whether they are in the order of their hashes, which is random; else by key.
    """
    ranked = sorted(keys, key=lambda key: hashlib.sha256(f"{seed}:{key}".encode()).digest())
    return tuple(ranked[:count] if shuffled else sorted(ranked[:count]))


def choose_shards(total: int, wanted: int | None, seed: int) -> tuple[int, ...]:
    """Return the sorted numbers of the shards that a seed chooses.

    Args:
        total: Number of shards of the split.
        wanted: Number of shards to choose; None means all.
        seed: Seed of the choice.
    """
    if wanted is None or wanted >= total:
        return tuple(range(total))
    chosen = choose([f"shard {number:08d}" for number in range(total)], wanted, seed)
    return tuple(int(name.removeprefix("shard ")) for name in chosen)


def check_labels(split: Split, expected: int | None = None, *, whole: bool = True) -> Split:
    """Return a split unchanged if each of its labels has a class name.

    Args:
        split: The split.
        expected: Number of classes of the dataset in the catalogue; None if unknown.
        whole: Whether the split has all images of the dataset, so that each class has images.

    Raises:
        CellError: A label has no class name, the number of names or labels is not `expected`, or
            an image's id cannot be written to a file.
    """
    for key in split.labels:
        if why := text_fault(key):
            raise CellError(f"{split.place}: the name {shown(key)} of an image {why}")
    if split.captioned:
        return split
    names = len(split.classes)
    numbers = {key: label for key, label in split.labels.items() if isinstance(label, int)}
    for key, label in numbers.items():
        if label >= names:
            raise CellError(
                f"{split.place}: {key}: got label {label}; allowed: 0 to {names - 1}, as "
                f"classnames.txt has {names} names"
            )
    largest = max(numbers.values()) + 1 if whole else names
    if expected is not None and not names == largest == expected:
        raise CellError(
            f"{split.place}: got {names} class names and labels up to {max(numbers.values())}, but "
            f"the dataset has {expected} classes; is this a different dataset or revision?"
        )
    return split


@contextmanager
def cell_errors() -> Iterator[None]:
    """Turn a ValueError of radapt's readers about a wrong file into a CellError."""
    try:
        yield
    except ValueError as error:
        raise CellError(str(error)) from error


def read_files(root: Path, keys: Collection[str]) -> Iterator[tuple[str, bytes]]:
    """Yield each key with the content of the file that it is the path of.

    Raises:
        CellError: A file cannot be read.
    """
    for key in keys:
        try:
            yield key, (root / key).read_bytes()
        except OSError as error:
            raise CellError(f"{root / key}: cannot be read ({error.strerror})") from error


def read_templates(root: Path) -> tuple[str, ...]:
    """Return the prompt templates in a dataset's folder.

    Raises:
        CellError: The file is missing or no list of lines, or a template has no placeholder.
    """
    path = root / "zeroshot_classification_templates.txt"
    with cell_errors():
        templates = read_list(path)
    for number, text in enumerate(templates, 1):
        if "{c}" not in text:
            raise CellError(f"{path}, line {number}: {text!r} has no placeholder {{c}}")
    return templates
