"""Images in one folder per class, as torchvision's ImageFolder reads them.

<root>/<class>/**/*.(jpg|jpeg|png|webp|bmp)      labels are the places of sorted class folders
<root>/classnames.txt                            optional: one name a line, in that order
<root>/zeroshot_classification_templates.txt     optional: prompts, placeholder {c}

TinyImageNet's own layout of its validation set is read too: `images/`, `val_annotations.txt`.
"""

import hashlib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from bench import catalogue
from bench.core.digests import sha256
from bench.core.errors import CellError
from bench.core.identifiers import inside_fault, shown
from bench.data.split import Split, lines_of, templates_of
from radapt.class_folders import class_folders, is_wordnet_id

_NUMBER = re.compile(r"^\d+\.")
_PROMPTS = ("a photo of a {c}.",)


def open_folder(root: Path, name: str, *, nested: bool = True) -> Split:
    """List the images of class folders; a key is an image's path within the root.

    Class names are those of `classnames.txt`; else CLIP's names of ImageNet's classes where
    folders are called by WordNet ids; else the folders' own, without a leading number and with
    spaces for `_` and `-`. Prompts are those beside the images, else the catalogue's for `name`,
    else "a photo of a {c}.".

    Args:
        root: The folder of class folders.
        name: The dataset's name in the catalogue, if it is there.
        nested: Whether images in folders of a class folder count.

    Raises:
        CellError: There are no class folders, or names do not fit them.
    """
    if not root.is_dir():
        raise CellError(f"{root}: no such dataset folder")
    annotations = root / "val_annotations.txt"
    by_class = (
        _annotated(root, annotations)
        if annotations.exists()
        else class_folders(root, nested=nested)
    )
    folders = sorted(by_class)
    if not folders:
        raise CellError(f"{root}: no folders with images; one folder per class is needed")
    keys = {key: number for number, folder in enumerate(folders) for key in by_class[folder]}
    prompted = (root / "zeroshot_classification_templates.txt").exists()
    return Split(
        str(root),
        keys,
        _class_names(root, folders),
        templates_of(root) if prompted else catalogue.templates(name) or _PROMPTS,
        partial(_read, root),
        partial(_digest, root, keys),
    )


def _annotated(root: Path, annotations: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for number, line in enumerate(annotations.read_text("utf-8").splitlines(), 1):
        image, _, rest = line.partition("\t")
        wordnet_id = rest.partition("\t")[0]
        named = inside_fault(image) is None and (root / "images" / image).is_file()
        if not named or not is_wordnet_id(wordnet_id):
            raise CellError(
                f"{annotations}, line {number}: got {shown(line)}; a file of images/ and its "
                "WordNet id are needed, separated by a tabulator"
            )
        found.setdefault(wordnet_id, []).append(f"images/{image}")
    return found


def _class_names(root: Path, folders: Sequence[str]) -> tuple[str, ...]:
    path = root / "classnames.txt"
    if path.exists():
        names = lines_of(path)
        if len(names) != len(folders):
            raise CellError(f"{path}: {len(names)} names for {len(folders)} class folders")
        return names
    if all(is_wordnet_id(folder) for folder in folders):
        known = catalogue.imagenet_names()
        if unknown := [folder for folder in folders if folder not in known]:
            raise CellError(
                f"{root}: {unknown[0]} is no class of ImageNet-1k, so that its name is not known; "
                f"write {path.name} with one name for each of the sorted {len(folders)} folders"
            )
        return tuple(known[folder] for folder in folders)
    return tuple(_NUMBER.sub("", name).replace("_", " ").replace("-", " ") for name in folders)


def _read(root: Path, keys: Collection[str]) -> Iterator[tuple[str, bytes]]:
    for key in keys:
        path = root / key
        if path.is_file():
            yield key, path.read_bytes()


def _digest(root: Path, labels: Mapping[str, int], keys: Sequence[str]) -> str:
    """Return a hash of all names and labels, and of the chosen images' content."""
    content = hashlib.sha256()
    for key, label in sorted(labels.items()):
        content.update(f"{label} {key}\n".encode())
    for key in keys:
        content.update(sha256(root / key))
    return content.hexdigest()
