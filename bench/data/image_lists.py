"""Reads lists of images with labels: text, CSV or TSV files, beside a folder of images.

*.txt          `PATH LABEL` per line (Caffe's val.txt); or only a label per line, for the images
               ILSVRC2012_val_00000001.JPEG, ... in the order of their numbers (the development
               kit's ILSVRC2012_validation_ground_truth.txt)
*.csv, *.tsv   two columns, with or without a header; or a header that has the columns of the
               spec; or Kaggle's LOC_val_solution.csv (`ImageId,PredictionString`)
"""

import csv
import io
import os
import posixpath
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from bench.core.digests import sha256
from bench.core.errors import CellError
from bench.core.identifiers import relative_path_fault, shown
from bench.core.resolved_names import Remark
from bench.data.label_classes import Labelled, validation_number
from bench.data.split import cell_errors, read_files
from bench.suite.specs import TableDataset
from radapt.class_folders import SUFFIXES
from radapt.text_files import read_text

_KAGGLE = ["ImageId", "PredictionString"]
# a row of a list: the number of its line, and its cells
_Row = tuple[int, list[str]]


def images_folder(spec: TableDataset) -> Path:
    """Return the folder that the paths in a list start from."""
    return Path(spec.images) if spec.images is not None else Path(spec.path).parent


def open_list(spec: TableDataset) -> Labelled:
    """Read a list; an image's id is its path in the folder of the images.

    Raises:
        CellError: A row has no path or label, leads out of the folder, or names an image that is
            not there; or an image has two labels.
    """
    path, root = Path(spec.path), images_folder(spec)
    rows = _text_rows(path) if path.suffix.lower() == ".txt" else _csv_rows(path)
    if not rows:
        raise CellError(f"{path}: is empty")
    if path.suffix.lower() == ".txt" and all(len(cells) == 1 for _, cells in rows):
        labels, remarks = _numbered(path, root, rows)
    else:
        labels, remarks = _named(spec, root, _pairs(spec, root, rows))
    return Labelled(labels, (), partial(read_files, root), partial(_content, root), remarks)


def unlisted(spec: TableDataset, labels: Mapping[str, object]) -> Iterator[Remark]:
    """Yield a remark if the folder has images that the list does not have."""
    root = images_folder(spec)
    others = [key for key in _images_below(root) if key not in labels]
    if others:
        first = shown(min(others))[1:-1]
        text = f"{len(others)} images in the folder are not in the list (first: {first})"
        yield Remark("images-not-listed", text)


def _text_rows(path: Path) -> list[_Row]:
    with cell_errors():
        lines = read_text(path).split("\n")
    return [(n, line.rsplit(maxsplit=1)) for n, line in enumerate(lines, 1) if line.strip()]


def _csv_rows(path: Path) -> list[_Row]:
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    with cell_errors():
        text = read_text(path)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        rows = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader]
    except csv.Error as error:
        raise CellError(f"{path}, line {reader.line_num}: not valid CSV ({error})") from error
    return [(line, cells) for line, cells in rows if any(cells)]


def _pairs(spec: TableDataset, root: Path, rows: list[_Row]) -> Iterator[tuple[int, str, str]]:
    """Yield line, path and label of each row."""
    head, is_text = rows[0][1], spec.path.lower().endswith(".txt")
    width, columns, first = 2, (0, 1), 0
    if spec.image is not None or spec.label is not None:
        wanted = (spec.image or "image", spec.label or "label")
        if absent := [name for name in wanted if name not in head]:
            raise CellError(
                f"{spec.path}: has no column {shown(absent[0])}; allowed: {', '.join(head)}"
            )
        width, columns, first = len(head), (head.index(wanted[0]), head.index(wanted[1])), 1
    elif not (is_text or _is_image(head[0]) or (root / head[0]).is_file()):
        first = 1  # a header, such as `path,label`
    for line, cells in rows[first:]:
        if len(cells) != width or not all(cells[column] for column in columns):
            raise CellError(
                f"{spec.path}, line {line}: got {shown(cells)}; needed: {width} columns, with the "
                "path and the label of an image"
            )
        image, label = (cells[column] for column in columns)
        if head == _KAGGLE:  # a class and the corners of a box, for each object
            image, label = f"{image}.JPEG", label.split()[0]
        yield line, image, label


def _named(
    spec: TableDataset, root: Path, rows: Iterator[tuple[int, str, str]]
) -> tuple[dict[str, str], tuple[Remark, ...]]:
    """Return the labels of images that are listed by their paths."""
    labels: dict[str, str] = {}
    repeated = []
    for line, image, label in rows:
        if why := relative_path_fault(image):
            raise CellError(f"{spec.path}, line {line}: got the path {shown(image)}; it {why}")
        key = posixpath.normpath(image)  # `./a.png` and `a.png` are one image
        if key not in labels:
            labels[key] = label
        elif labels[key] == label:
            repeated.append(key)
        else:
            raise CellError(
                f"{spec.path}, line {line}: {shown(key)} has the label {shown(label)} here and "
                f"{shown(labels[key])} before"
            )
    if missing := [key for key in labels if not os.path.isfile(os.path.join(root, key))]:
        raise CellError(
            f"{spec.path}: {len(missing)} of {len(labels)} images are not in {root} (first: "
            f"{shown(missing[0])}); give the folder that the paths start from as `images`"
        )
    if not repeated:
        return labels, ()
    text = f"{len(repeated)} rows repeat an image and its label (first: {shown(repeated[0])[1:-1]})"
    return labels, (Remark("repeated-images", text),)


def _numbered(
    path: Path, root: Path, rows: Sequence[_Row]
) -> tuple[dict[str, str], tuple[Remark, ...]]:
    """Return the labels of the images of ImageNet's validation set, by their numbers."""
    by_line = {line: cells[0] for line, cells in rows}
    numbers = {key: validation_number(key) for key in sorted(os.listdir(root))}
    images = {key: number for key, number in numbers.items() if number is not None}
    if not images:
        raise CellError(
            f"{path}: has only labels, which belong to the images ILSVRC2012_val_00000001.JPEG, "
            f"..., but {root} has none; give their folder as `images`, or write a path before each "
            "label"
        )
    if without := [key for key, number in images.items() if number not in by_line]:
        raise CellError(
            f"{path}: {len(without)} of {len(images)} images in {root} have no line with a label "
            f"(first: {without[0]})"
        )
    labels = {key: by_line[number] for key, number in images.items()}
    if len(labels) == len(by_line):
        return labels, ()
    text = f"the folder has {len(labels)} of the {len(by_line)} images that have a label"
    return labels, (Remark("labels-without-image", text),)


def _images_below(root: Path) -> Iterator[str]:
    """Yield the paths of the images in a folder and its subfolders, with `/`."""
    for folder, _, names in os.walk(root):
        inside = os.path.relpath(folder, root).replace(os.sep, "/")
        for name in names:
            if name[0] != "." and _is_image(name):
                yield name if inside == "." else f"{inside}/{name}"


def _is_image(name: str) -> bool:
    return name.lower().endswith(SUFFIXES)


def _content(root: Path, keys: Sequence[str]) -> Iterator[bytes]:
    for key in keys:
        yield sha256(root / key)
