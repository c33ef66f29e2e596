"""List images in class folders, in the layout of torchvision's ImageFolder; needs no torch."""

import re
from pathlib import Path

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
_WORDNET_ID = re.compile(r"n\d{8}")


def class_folders(root: Path, *, nested: bool = True) -> dict[str, list[str]]:
    """Return the images of each class folder, both sorted; a folder's index is its class label.

    Hidden folders and folders without images are not classes.

    Args:
        root: Existing folder with one folder per class.
        nested: Whether to include images in subfolders of a class folder, as in TinyImageNet.

    Returns:
        For each class folder's name, the paths of its images relative to `root`, with `/`.
    """
    found = {
        folder.name: [
            path.relative_to(root).as_posix()
            for path in sorted(folder.rglob("*") if nested else folder.iterdir())
            if path.suffix.lower() in SUFFIXES
        ]
        for folder in sorted(root.iterdir())
        if folder.is_dir() and not folder.name.startswith(".")
    }
    return {folder: images for folder, images in found.items() if images}


def is_wordnet_id(name: str) -> bool:
    """Return whether a class folder's name is a WordNet id such as ImageNet's `n01440764`."""
    return _WORDNET_ID.fullmatch(name) is not None
