"""Reads datasets with a folder of images per class, like torchvision's ImageFolder.

<root>/<class>/**/*.(jpg|png|tif|...)            label: index of the folder in sorted order
<root>/classnames.txt                            optional: a class name per line, in that order
<root>/zeroshot_classification_templates.txt     optional: a prompt per line, placeholder {c}

The layout of TinyImageNet's validation set is read too: `images/`, `val_annotations.txt`.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from bench import catalogue
from bench.core.digests import sha256
from bench.core.errors import CellError
from bench.core.identifiers import relative_path_fault, shown
from bench.core.resolved_names import Remark
from bench.data.class_names import LISTED, class_names
from bench.data.split import PLAIN_PROMPTS, Split, cell_errors, read_files, read_templates
from radapt.class_folders import (
    SUFFIXES,
    are_numbers,
    class_folders,
    folder_names,
    ignored_files,
    is_wordnet_id,
)
from radapt.text_files import read_text


def open_folder(root: Path, name: str, *, nested: bool = True) -> Split:
    """List the images of the class folders; an image's id is its path relative to the root.

    Class names come from `classnames.txt`; else, if the folders have WordNet ids as names, they
    are CLIP's names of ImageNet's classes; else they are the folder names, without a leading
    number (`012.`) and with spaces in place of `_` and `-`. Prompts come from the root folder,
    else from the catalogue's entry `name`; else the prompt is "a photo of a {c}.".

    Args:
        root: The folder that holds the class folders.
        name: The dataset's name in the catalogue, if it has an entry.
        nested: Whether images in subfolders of a class folder belong to the class.

    Raises:
        CellError: There are fewer than two class folders; see also `radapt.class_folders` and
            `bench.data.class_names`.
    """
    if not root.is_dir():
        raise CellError(f"{root}: no such dataset folder")
    by_class = _by_class(root, nested=nested)
    folders = tuple(by_class)
    if len(folders) < 2:
        raise CellError(_too_few(root, folders))
    labels = {key: number for number, folder in enumerate(folders) for key in by_class[folder]}
    has_prompts = (root / "zeroshot_classification_templates.txt").exists()
    return Split(
        str(root),
        labels,
        class_names(root, folders, name),
        read_templates(root) if has_prompts else catalogue.templates(name) or PLAIN_PROMPTS,
        partial(read_files, root),
        partial(_digest, root, labels),
        folders=folders,
    )


def reading_remarks(root: Path) -> Iterator[Remark]:
    """Yield remarks on numbered class folders, and on files that are not read."""
    if (root / "val_annotations.txt").exists():
        return
    with cell_errors():
        folders, ignored = folder_names(root), ignored_files(root)
    if are_numbers(folders) and (as_text := sorted(folders)) != folders:
        yield Remark(
            "numeric-order",
            f"its class folders are sorted as numbers ({_outline(folders)}), where torchvision's "
            f"ImageFolder sorts them as text ({_outline(as_text)})",
        )
    if are_numbers(folders) and not (root / LISTED).exists():
        yield Remark(
            "numbers-as-names",
            "its class names are the numbers of the folders; if these stand for other names, write "
            f"{LISTED} with a name for each folder, in the order {_outline(folders)}",
        )
    if ignored:
        yield Remark(
            "files-not-read",
            f"{len(ignored)} files were not read: they have another extension or are outside of "
            f"the class folders (first: {shown(ignored[0])[1:-1]})",
        )


def _outline(names: Sequence[str]) -> str:
    return ", ".join(names if len(names) < 6 else (*names[:3], "...", names[-1]))


def _by_class(root: Path, *, nested: bool) -> Mapping[str, list[str]]:
    """Return the images of each class folder or WordNet id, in the order of the class labels."""
    annotations = root / "val_annotations.txt"
    if annotations.exists():
        return dict(sorted(_annotated(root, annotations).items()))
    with cell_errors():
        return class_folders(root, nested=nested)


def _too_few(root: Path, folders: Sequence[str]) -> str:
    """Return a message for fewer than two classes, on which every accuracy would be 100%."""
    message = (
        f"{root}: got {len(folders)} folders with images; one folder per class is needed, and at "
        "least two classes"
    )
    for folder in folders:
        inside = [path for path in (root / folder).iterdir() if path.is_dir()]
        if len(inside) > 1:
            return f"{message}; if the classes are the folders in {folder}, give {root / folder}"
    if any(path.suffix.lower() in SUFFIXES for path in root.iterdir()):
        return f"{message}; images in a single folder with a list of their labels are `kind: table`"
    return message


def _annotated(root: Path, annotations: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    with cell_errors():
        lines = read_text(annotations).rstrip("\n").split("\n")
    for number, line in enumerate(lines, 1):
        image, _, rest = line.partition("\t")
        wordnet_id = rest.partition("\t")[0]
        named = relative_path_fault(image) is None and (root / "images" / image).is_file()
        if not named or not is_wordnet_id(wordnet_id):
            raise CellError(
                f"{annotations}, line {number}: got {shown(line)}; needed: the name of a file in "
                "images/, a tab, and a WordNet id"
            )
        found.setdefault(wordnet_id, []).append(f"images/{image}")
    return found


def _digest(root: Path, labels: Mapping[str, int], keys: Sequence[str]) -> str:
    """Return a hash of all ids and labels, and of the content of the chosen images."""
    content = hashlib.sha256()
    for key, label in sorted(labels.items()):
        content.update(f"{label} {key}\n".encode())
    for key in keys:
        content.update(sha256(root / key))
    return content.hexdigest()
