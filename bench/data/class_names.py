"""Class names of class folders, and checks of class lists against folders and the catalogue."""

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from bench import catalogue
from bench.core.errors import CellError
from bench.core.identifiers import shown
from bench.core.resolved_names import Remark
from bench.data.split import cell_errors
from bench.suite.specs import DatasetSpec
from radapt.class_folders import is_wordnet_id
from radapt.text_files import read_list

LISTED = "classnames.txt"
_NUMBER = re.compile(r"^\d+\.(?!\d)")  # not the `1.` of `1.5mm_screw`
_NAMED = 3  # classes that a message names


def class_names(root: Path, folders: Sequence[str], name: str) -> tuple[str, ...]:
    """Return the class name of each class folder; see `bench.data.folder.open_folder`.

    Args:
        root: The folder of the class folders.
        folders: Names of the class folders in the order of their labels.
        name: Name of the dataset in the suite.

    Raises:
        CellError: The names do not match the folders, two names are equal, or the dataset or its
            folder has the name of a public dataset with other classes.
    """
    path = root / LISTED
    if not path.exists():
        names = _names_of(root, folders)
        _refuse_other_classes(root, name, names, chosen=False)
        return names
    with cell_errors():
        names = read_list(path)
    if len(names) != len(folders):
        raise CellError(
            f"{path}: got {len(names)} class names; needed: {len(folders)}, one per folder"
        )
    _refuse_other_order(path, folders, names)
    _refuse_other_classes(root, name, names, chosen=True)
    return names


def folder_remarks(root: Path, name: str, names: Callable[[], Sequence[str]]) -> Iterator[Remark]:
    """Yield a remark if the class names of a public dataset are spelt otherwise in the catalogue.

    Args:
        root: The folder of the class folders.
        name: Name of the dataset in the suite.
        names: Returns the class names, which takes time; called for a public dataset only.
    """
    for known, listed in _catalogued(root, name):
        if listed and (others := [each for each in names() if each not in set(listed)]):
            yield Remark(
                "class-names",
                f"{len(others)} of its class names differ from the catalogue's for {known}: "
                f"{_some(others)}; those of the folder are used",
            )


def list_remarks(spec: DatasetSpec, names: tuple[str, ...]) -> Iterator[Remark]:
    """Yield remarks on class names that differ from the catalogue's, or that are equal."""
    known = catalogue.class_names(spec.name)
    if names == known:
        return  # ImageNet's own list has `missile` and `sunglasses` twice
    if spec.has_own_class_names and known is not None and names:
        yield Remark("class-names", _difference(names, known))
    yield from _equal_names(names)


def _difference(names: Sequence[str], known: Sequence[str]) -> str:
    """Return how a list of classes differs from the catalogue's, label by label."""
    if len(names) != len(known):
        return (
            f"the dataset's files have {len(names)} class names, the catalogue has {len(known)}; "
            "check that this is the right dataset"
        )
    pairs = [pair for pair in zip(names, known, strict=True) if pair[0] != pair[1]]
    first, second = pairs[0]
    return (
        f"{len(pairs)} of {len(known)} class names differ from the catalogue's, first {first!r} in "
        f"place of {second!r}; those of the dataset's files are used"
    )


def _equal_names(names: Sequence[str]) -> Iterator[Remark]:
    """Yield a remark if classes have equal names: a model always chooses the first of them."""
    first: dict[str, int] = {}
    pairs = [
        (first[key], label, each)
        for label, each in enumerate(names)
        if first.setdefault(key := _spoken(each), label) != label
    ]
    if pairs:
        one, other, each = pairs[0]
        yield Remark(
            "equal-class-names",
            f"{len(pairs)} of its classes have the name of another class (first: {each!r}, classes "
            f"{one} and {other}); a model always chooses the first of them",
        )


def _names_of(root: Path, folders: Sequence[str]) -> tuple[str, ...]:
    """Return the class names that the folders' names stand for."""
    others = [folder for folder in folders if not is_wordnet_id(folder)]
    if not others:
        known = catalogue.imagenet_names()
        if unknown := [folder for folder in folders if folder not in known]:
            raise CellError(
                f"{root}: {unknown[0]} is not a class of ImageNet-1k, so its name is unknown; "
                f"write {LISTED} with a name for each of the {len(folders)} sorted folders"
            )
        return tuple(known[folder] for folder in folders)
    if len(others) < len(folders):
        raise CellError(
            f"{root}: {len(folders) - len(others)} class folders have WordNet ids as names, and "
            f"{len(others)} have not (first: {others[0]!r}); move these elsewhere, or write "
            f"{LISTED} with a name for each of the {len(folders)} sorted folders"
        )
    names = tuple(map(_cleaned, folders))
    first: dict[str, str] = {}
    for folder, name in zip(folders, names, strict=True):
        other = first.setdefault(_spoken(name), folder)
        if other != folder:
            raise CellError(
                f"{root}: the class folders {other!r} and {folder!r} have the same class name "
                f"{name!r}; merge them, or write {LISTED} with different names"
            )
    return names


def _refuse_other_order(path: Path, folders: Sequence[str], names: Sequence[str]) -> None:
    """Raise CellError if a list has exactly the folders' own names, but in another order."""
    known = catalogue.imagenet_names()
    own = [_plain(known.get(folder, _cleaned(folder))) for folder in folders]
    given = list(map(_plain, names))
    if own != given and sorted(own) == sorted(given):
        line = next(line for line in range(len(own)) if own[line] != given[line])
        raise CellError(
            f"{path}, line {line + 1}: got {names[line]!r} for the folder {folders[line]!r}; the "
            "list has the folders' own names in another order; sort it in the order of the "
            "folders, or remove it"
        )


def _refuse_other_classes(root: Path, name: str, names: Sequence[str], *, chosen: bool) -> None:
    """Raise CellError if a public dataset of this name has other classes.

    Args:
        root: The folder of the class folders.
        name: Name of the dataset in the suite.
        names: The class names.
        chosen: Whether the user listed the names, so that they may differ from the catalogue's.
    """
    for known, listed in _catalogued(root, name):
        count = catalogue.datasets()[known].classes
        here, there = {_plain(each) for each in names}, {_plain(each) for each in listed}
        others = [each for each in names if listed and _plain(each) not in there]
        lacking = [each for each in listed if _plain(each) not in here]
        if len(names) == count and (chosen or not others):
            continue
        named = "dataset" if known == name else "folder"
        parts = (
            f"; {len(others)} have other names: {_some(others)}" if others else "",
            f"; {len(lacking)} are missing: {_some(lacking)}" if lacking else "",
        )
        remedy = f"; else write {LISTED} with the names of its classes"
        raise CellError(
            f"{root}: the {named} is called {known}, which has {count} classes; got {len(names)} "
            f"classes{''.join(parts)}; if it is another dataset or a part of {known}, give the "
            f"{named} another name{remedy if len(names) == count else ''}"
        )


def _catalogued(root: Path, name: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the public datasets that a dataset or its folder is called after, with their classes.

    The classes are empty where the catalogue has only their number.
    """
    for known in dict.fromkeys((name, root.name)):
        if known in catalogue.datasets() and catalogue.datasets()[known].classes:
            yield known, catalogue.class_names(known) or ()


def _cleaned(folder: str) -> str:
    """Return a class name from a folder's name."""
    return _NUMBER.sub("", folder).replace("_", " ").replace("-", " ")


def _spoken(name: str) -> str:
    """Return a name as a tokenizer reads it: without case and repeated spaces."""
    return " ".join(name.casefold().split())


def _plain(name: str) -> str:
    """Return the letters and digits of a name, without case, to compare lists of classes."""
    return "".join(filter(str.isalnum, name.casefold()))


def _some(names: Sequence[str]) -> str:
    return ", ".join((*map(shown, names[:_NAMED]), *(["..."] if len(names) > _NAMED else [])))
