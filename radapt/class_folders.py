"""List images in class folders, in the layout of torchvision's ImageFolder; needs no torch."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

# the extensions that torchvision's ImageFolder reads
SUFFIXES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
_SPLITS = frozenset(("train", "training", "val", "valid", "validation", "dev", "test", "testing"))
_WORDNET_ID = re.compile(r"n\d{8}")


def class_folders(root: Path, *, nested: bool = True) -> dict[str, list[str]]:
    """Return the images of each class folder; a folder's index is its class label.

    Folders are in the order of `folder_names`. Links are followed, as ImageFolder does. Hidden
    folders and hidden files are skipped, such as the `._NAME` files that macOS adds.

    Args:
        root: Existing folder with one folder per class.
        nested: Whether to include images in subfolders of a class folder, as in TinyImageNet.

    Returns:
        For each class folder's name, the sorted paths of its images relative to `root`, with `/`;
        empty if `root` has no folders.

    Raises:
        ValueError: A class folder has no images, where ImageFolder raises FileNotFoundError; the
            folders are splits (`train`, `val`) instead of classes; two of them have the same
            number (`1`, `01`); or a link leads back to a folder around it.
    """
    names = folder_names(root)
    if names and all(name.lower() in _SPLITS for name in names):
        likely = next((name for name in names if name.lower().startswith("val")), names[0])
        raise ValueError(
            f"{root}: its only folders ({', '.join(names)}) are splits and not classes; give the "
            f"path of a split, such as {root / likely}"
        )
    found = {
        name: [
            path.relative_to(root).as_posix()
            for path in sorted(_files(root / name, nested=nested))
            if path.suffix.lower() in SUFFIXES
        ]
        for name in names
    }
    if empty := [name for name, images in found.items() if not images]:
        raise ValueError(
            f"{root}: {len(empty)} of {len(names)} class folders have no images (first: "
            f"{empty[0]!r}); add images ({', '.join(SUFFIXES)}), or move the folders elsewhere"
        )
    return found


def folder_names(root: Path) -> list[str]:
    """Return the names of the class folders in the order of their labels.

    Folders whose names are all plain numbers are sorted as numbers, since the authors of a list of
    class names count 0, 1, 2, ..., 10. ImageFolder sorts them as text: 0, 1, 10, ..., 2. Other
    names are sorted as text, as in ImageFolder.

    Raises:
        ValueError: Two folders have the same number.
    """
    names = sorted(
        entry.name for entry in root.iterdir() if entry.is_dir() and not _is_hidden(entry.name)
    )
    if not are_numbers(names):
        return names
    by_number = {int(name): name for name in names}
    if len(by_number) < len(names):
        twice = next(name for name in names if by_number[int(name)] != name)
        raise ValueError(
            f"{root}: the class folders {twice!r} and {by_number[int(twice)]!r} have the same "
            "number; rename or merge them"
        )
    return [by_number[number] for number in sorted(by_number)]


def are_numbers(names: list[str]) -> bool:
    """Return whether all names of class folders are plain numbers: 0, 1, 2, ..."""
    return bool(names) and all(name.isascii() and name.isdigit() for name in names)


def ignored_files(root: Path, *, nested: bool = True) -> list[str]:
    """Return the files that are not read: other extensions, and images outside class folders.

    Returns:
        Sorted paths relative to `root`, with `/`.
    """
    inside = [
        path
        for name in folder_names(root)
        for path in _files(root / name, nested=nested)
        if path.suffix.lower() not in SUFFIXES
    ]
    outside = [path for path in _files(root, nested=False) if path.suffix.lower() in SUFFIXES]
    return sorted(path.relative_to(root).as_posix() for path in (*inside, *outside))


def is_wordnet_id(name: str) -> bool:
    """Return whether a class folder's name is a WordNet id such as ImageNet's `n01440764`."""
    return _WORDNET_ID.fullmatch(name) is not None


def _files(folder: Path, *, nested: bool, around: tuple[str, ...] = ()) -> Iterator[Path]:
    """Yield the files of a folder that are not hidden, and with `nested` those of its subfolders.

    Raises:
        ValueError: A link leads back to one of the folders `around`, so files have no end.
    """
    real = os.path.realpath(folder)
    if real in around:
        raise ValueError(f"{folder}: is a link to a folder around it; remove the link")
    with os.scandir(folder) as entries:
        for entry in entries:
            if _is_hidden(entry.name):
                continue
            if not entry.is_dir():  # also a link to nothing, so that reading it fails
                yield folder / entry.name
            elif nested:
                yield from _files(folder / entry.name, nested=True, around=(*around, real))


def _is_hidden(name: str) -> bool:
    return name.startswith(".")
