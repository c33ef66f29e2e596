"""Classes of images whose labels stand in a list or a table: names, WordNet ids or numbers."""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import catalogue
from bench.core.errors import CellError
from bench.core.identifiers import shown
from bench.core.resolved_names import Remark
from bench.data.split import cell_errors
from bench.suite.specs import TableDataset
from radapt.class_folders import is_wordnet_id
from radapt.text_files import read_list

_VALIDATION = re.compile(r"ILSVRC2012_val_(\d{8})\.\w+")
# What the first ten images of ImageNet's validation set show. They tell the orders apart in which
# lists of its labels count the classes.
_SHOWN = (
    "n01751748", "n09193705", "n02105855", "n04263257", "n03125729",
    "n01735189", "n02346627", "n02776631", "n03794056", "n02328150",
)  # fmt: skip
_ORDERS = (
    "allowed: `order: wordnet` (0 to 999, sorted WordNet ids, as in Caffe's val.txt), `order: "
    "devkit` (1 to 1000, ILSVRC2012_ID of ImageNet's development kit)"
)


@dataclass(frozen=True, slots=True)
class Labelled:
    """Images with the labels that a list or a table states.

    Attributes:
        labels: The label of each image by its id: a name, a WordNet id or a number.
        names: Class names in the order of the numbers, if the table has them.
        read: Takes ids and yields each id with its encoded image, in any order.
        content: Takes ids and yields hashes that change with each of their images.
        remarks: Remarks on how the rows were read.
    """

    labels: Mapping[str, int | str]
    names: tuple[str, ...]
    read: Callable[[Collection[str]], Iterator[tuple[str, bytes]]]
    content: Callable[[Sequence[str]], Iterator[bytes]]
    remarks: tuple[Remark, ...] = ()


@dataclass(frozen=True, slots=True)
class Classes:
    """The class number of each image by its id, class names, and a remark on their order."""

    labels: Mapping[str, int]
    names: tuple[str, ...]
    remarks: tuple[Remark, ...] = ()


def validation_number(key: str) -> int | None:
    """Return the number of an image of ImageNet's validation set, from its published name."""
    found = _VALIDATION.fullmatch(key.rpartition("/")[2])
    return int(found[1]) if found else None


def classes_of(spec: TableDataset, images: Labelled) -> Classes:
    """Return what the labels of images stand for.

    Numbers stand for the lines of the spec's `classes`, else for the names in the table, else for
    ImageNet's classes in one of two orders, which the spec states or the first images show. WordNet
    ids stand for ImageNet's classes. Other texts are class names, sorted; `_` becomes a space.

    Raises:
        CellError: Labels are of several types, stand for nothing, or there are fewer than two
            classes.
    """
    if not images.labels:
        raise CellError(f"{spec.path}: has no images")
    listed = _listed(spec)
    numbers = _numbers(spec, images.labels)
    if numbers is None:
        found = _of_texts(spec, {key: str(text) for key, text in images.labels.items()}, listed)
    elif spec.order is None and (names := listed or images.names):
        found = Classes(numbers, names)
        _refuse_numbers(spec, numbers, range(len(names)), f"there are {len(names)} class names")
    else:
        found = _of_imagenet(spec, numbers)
    if len(found.names) < 2:
        raise CellError(
            f"{spec.path}: got one class, {shown(found.names[0])}; at least two are needed"
        )
    empty = sorted(set(range(len(found.names))) - set(found.labels.values()))
    if not empty:
        return found
    text = (
        f"{len(empty)} of {len(found.names)} classes have no images (first: "
        f"{shown(found.names[empty[0]])[1:-1]})"
    )
    return Classes(found.labels, found.names, (*found.remarks, Remark("empty-classes", text)))


def _listed(spec: TableDataset) -> tuple[str, ...]:
    if spec.classes is None:
        return ()
    with cell_errors():
        return read_list(Path(spec.classes))


def _numbers(spec: TableDataset, labels: Mapping[str, int | str]) -> dict[str, int] | None:
    """Return labels as numbers; None if they are texts."""
    numbers = {key: int(text) for key, text in labels.items() if _is_number(text)}
    if 0 < len(numbers) < len(labels):
        other = next(key for key in labels if key not in numbers)
        raise CellError(
            f"{spec.path}: {len(numbers)} of {len(labels)} labels are class numbers (0, 1, 2, ...) "
            f"and others are not (first: {shown(labels[other])} of {shown(other)})"
        )
    return numbers or None


def _is_number(label: int | str) -> bool:
    if isinstance(label, int):
        return label >= 0
    return label.isascii() and label.isdigit() and len(label) < 10


def _refuse_numbers(
    spec: TableDataset, numbers: Mapping[str, int], allowed: range, why: str
) -> None:
    others = [key for key, number in numbers.items() if number not in allowed]
    if others:
        raise CellError(
            f"{spec.path}: {len(others)} labels are not in the range {allowed[0]} to "
            f"{allowed[-1]} (first: {numbers[others[0]]} of {shown(others[0])}), but {why}"
        )


def _of_texts(spec: TableDataset, texts: Mapping[str, str], listed: tuple[str, ...]) -> Classes:
    """Return the classes of labels that are class names or WordNet ids."""
    if spec.order is not None:
        raise CellError(f"{spec.path}: `order` is for numbers, but its labels are texts")
    used = sorted(set(texts.values()))
    if listed:
        place = {name: number for number, name in enumerate(listed)}
        if unknown := [name for name in used if name not in place]:
            raise CellError(
                f"{spec.path}: {len(unknown)} labels are not in {spec.classes} (first: "
                f"{shown(unknown[0])})"
            )
        if len(place) < len(listed):
            raise CellError(f"{spec.classes}: has a name twice, and labels are names")
        return Classes({key: place[text] for key, text in texts.items()}, listed)
    ids = [name for name in used if is_wordnet_id(name)]
    if not ids:
        place = {name: number for number, name in enumerate(used)}
        names = tuple(name.replace("_", " ") for name in used)  # they stand in prompts
        return Classes({key: place[text] for key, text in texts.items()}, names)
    known = catalogue.imagenet_names()
    if others := [name for name in used if name not in known]:
        raise CellError(
            f"{spec.path}: {len(ids)} labels are WordNet ids, and {len(others)} are not classes of "
            f"ImageNet-1k (first: {shown(others[0])})"
        )
    whole = all(validation_number(key) is not None for key in texts)
    order = {each: number for number, each in enumerate(known if whole else used)}
    names = tuple(known[each] for each in order)
    return Classes({key: order[text] for key, text in texts.items()}, names)


def _of_imagenet(spec: TableDataset, numbers: Mapping[str, int]) -> Classes:
    """Return ImageNet's classes of numbers, whose order is stated or seen in the first images."""
    images = {key: validation_number(key) for key in numbers}
    if spec.order is None and None in images.values():
        raise CellError(
            f"{spec.path}: its labels are numbers, and no names belong to them; write a file with "
            "a class name per line, in the order of the numbers, and give it as `classes`"
        )
    first = {
        key: _SHOWN[image - 1]
        for key, image in images.items()
        if image is not None and 1 <= image <= len(_SHOWN)
    }
    order = _order_of(spec, numbers, first)
    known = _orders()[order]
    stated = f"the order {order} has the numbers {min(known)} to {max(known)}"
    _refuse_numbers(spec, numbers, range(min(known), max(known) + 1), stated)
    ids = catalogue.imagenet_names()
    place = {each: number for number, each in enumerate(ids)}
    labels = {key: place[known[number]] for key, number in numbers.items()}
    why = "as its first images show" if first else "as the suite says"
    text = f"its numbers are ImageNet's classes in the order {order}, {why}"
    return Classes(labels, tuple(ids.values()), (Remark("imagenet-order", text),))


def _orders() -> dict[str, dict[int, str]]:
    """Return the WordNet ids of ImageNet's class numbers in both orders."""
    return {
        "wordnet": dict(enumerate(catalogue.imagenet_names())),
        "devkit": dict(enumerate(catalogue.imagenet_devkit_order(), 1)),
    }


def _order_of(spec: TableDataset, numbers: Mapping[str, int], first: Mapping[str, str]) -> str:
    """Return the order of ImageNet's class numbers.

    Args:
        spec: The dataset, which may state the order.
        numbers: The class number of each image.
        first: The WordNet ids of the images that show the order.
    """
    wrong = {
        order: [key for key, shown_id in first.items() if known.get(numbers[key]) != shown_id]
        for order, known in _orders().items()
        if spec.order in (None, order)
    }
    fitting = [order for order, keys in wrong.items() if not keys]
    if not fitting:
        key = min(wrong.values(), key=len)[0]
        name = catalogue.imagenet_names()[first[key]]
        raise CellError(
            f"{spec.path}: {key} has the label {numbers[key]} and shows {first[key]} ({name}), so "
            f"the labels are not in the order {' or '.join(wrong)}; {_ORDERS}"
        )
    if len(fitting) > 1:
        raise CellError(
            f"{spec.path}: its labels are ImageNet's class numbers, and none of the images 1 to "
            f"{len(_SHOWN)}, which would show their order, is in it; {_ORDERS}"
        )
    return fitting[0]
