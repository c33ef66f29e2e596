"""The labelled images of one split of a dataset, and the choice of a subset."""

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.core.errors import CellError
from bench.core.identifiers import shown, text_fault
from bench.core.locks import DatasetLock
from radapt.shards import Label


@dataclass(frozen=True, slots=True)
class Split:
    """Images with classes or captions, named by keys; no image is decoded yet.

    Attributes:
        place: Where it is, for messages.
        labels: By key, the number of its class, or its captions.
        classes: Names of the classes in the order of their numbers; empty with captions.
        templates: Prompts, placeholder `{c}`; empty with captions.
        read: Yields key and encoded image of the keys that it is given, in any order.
        digest: Returns a hash of the content that a subset of keys is part of.
        origin: `REPOSITORY@COMMIT` of a dataset of the hub, else empty.
    """

    place: str
    labels: Mapping[str, Label]
    classes: tuple[str, ...]
    templates: tuple[str, ...]
    read: Callable[[Collection[str]], Iterator[tuple[str, bytes]]]
    digest: Callable[[Sequence[str]], str]
    origin: str = ""

    @property
    def captioned(self) -> bool:
        """Whether images come with captions rather than classes."""
        return not self.classes

    @property
    def samples(self) -> Collection[str]:
        """The keys of all images."""
        return self.labels.keys()

    def images(self, sample_ids: Sequence[str]) -> tuple[str, ...]:
        """Return the image of each sample: its own key.

        Raises:
            CellError: Images are gone.
        """
        if missing := set(sample_ids) - self.labels.keys():
            first = min(missing)
            raise CellError(f"{self.place}: {len(missing)} images are gone, {first} the first")
        return tuple(sample_ids)

    def lock(self, sample_ids: tuple[str, ...]) -> DatasetLock:
        """Return ids of images with a fingerprint of their content, class names and prompts."""
        content = self.digest(sample_ids)
        return DatasetLock(content, sample_ids, self.classes, self.templates, self.origin)


def choose(keys: Collection[str], count: int, seed: int) -> tuple[str, ...]:
    """Return the keys that hash lowest under a seed, sorted.

    A smaller subset is part of a larger one, and neither depends on shards or their order.
    """
    ranked = sorted(keys, key=lambda key: hashlib.sha256(f"{seed}:{key}".encode()).digest())
    return tuple(sorted(ranked[:count]))


def choose_shards(total: int, wanted: int | None, seed: int) -> tuple[int, ...]:
    """Return the numbers of the shards that a seed picks, sorted; all where None are wanted."""
    if wanted is None or wanted >= total:
        return tuple(range(total))
    picked = choose([f"shard {number:08d}" for number in range(total)], wanted, seed)
    return tuple(int(name.removeprefix("shard ")) for name in picked)


def check_labels(split: Split, expected: int | None = None, *, whole: bool = True) -> Split:
    """Return a split unchanged if each of its labels has a class name.

    Args:
        split: The split.
        expected: How many classes the dataset is known to have.
        whole: Whether all of its images are here, so that there is one of each class.

    Raises:
        CellError: A label has no name, the dataset has another number of names or labels, or an
            image's name cannot be written as text.
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
                f"{split.place}: {key}: label '{label}' is outside the {names} classes "
                "of classnames.txt"
            )
    largest = max(numbers.values()) + 1 if whole else names
    if expected is not None and not names == largest == expected:
        raise CellError(
            f"{split.place}: {names} class names and labels up to {max(numbers.values())}, "
            f"where the dataset has {expected} classes; is this another dataset or revision?"
        )
    return split


@contextmanager
def cell_errors() -> Iterator[None]:
    """Turn what radapt's readers raise of damaged files into a CellError of the same message."""
    try:
        yield
    except ValueError as error:
        raise CellError(str(error)) from error


def lines_of(path: Path) -> tuple[str, ...]:
    """Return a file's lines, none of which may be empty.

    Raises:
        CellError: The file is missing, is empty or has an empty line.
    """
    if not path.exists():
        raise CellError(f"{path} is missing")
    lines = path.read_text("utf-8").rstrip().splitlines()
    if not lines or not all(line.strip() for line in lines):
        raise CellError(f"{path}: is empty or has an empty line; a line's number is its label")
    return tuple(lines)


def templates_of(root: Path) -> tuple[str, ...]:
    """Return the prompts that travel with a dataset.

    Raises:
        CellError: Their file is missing, or one lacks the placeholder.
    """
    path = root / "zeroshot_classification_templates.txt"
    templates = lines_of(path)
    for number, text in enumerate(templates, 1):
        if "{c}" not in text:
            raise CellError(f"{path}, line {number}: {text!r} lacks the placeholder {{c}}")
    return templates
