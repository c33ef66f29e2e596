"""Images in one folder per class, as torchvision's ImageFolder reads them; needs no torch."""

import re
from pathlib import Path

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
_WORDNET_ID = re.compile(r"n\d{8}")


def class_folders(root: Path, *, nested: bool = True) -> dict[str, list[str]]:
    """Return the images of each class folder, both sorted; a class's place is its label.

    Hidden folders and folders without images are not classes.

    Args:
        root: The folder of class folders, which must exist.
        nested: Whether images in folders of a class folder count, as TinyImageNet has them.

    Returns:
        By the name of a class folder, the paths of its images relative to `root`, with `/`.
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
    """Return whether a class folder is named by a WordNet id, as ImageNet's are: `n01440764`."""
    return _WORDNET_ID.fullmatch(name) is not None
