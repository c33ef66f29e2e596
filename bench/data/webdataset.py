"""Reads folders in CLIP_benchmark's webdataset layout.

<root>/classnames.txt                            a class name per line, in the order of labels
<root>/zeroshot_classification_templates.txt     a prompt per line, placeholder {c}
<root>/dataset_type.txt                          `retrieval` if images have captions
<root>/<split>/nshards.txt, 0.tar, 1.tar ...     KEY.(webp|png|jpg|jpeg) with KEY.cls or KEY.txt

A shard may be compressed with gzip, and may then be called 0.tar.gz or 0.tgz.
"""

import hashlib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from bench.core.digests import sha256
from bench.core.errors import CellError
from bench.core.identifiers import shown
from bench.data.split import Split, cell_errors, read_templates
from radapt.shards import Label, Span, is_packed, read_shard, read_spans
from radapt.text_files import read_list, read_text

_COUNT = re.compile("0*[1-9][0-9]{0,5}")


def open_webdataset(root: Path, split: str, numbers: Sequence[int] | None = None) -> Split:
    """Read ids and labels of a split.

    Args:
        root: The dataset's folder.
        split: Name of the split, a subfolder.
        numbers: Numbers of the shards to read; None means all.

    Raises:
        CellError: The folder has a different layout, or a shard is damaged.
    """
    paths = shard_paths(root, split, numbers)
    captioned = is_captioned(root)
    labels: dict[str, Label] = {}
    images: dict[str, Span] = {}
    for path in paths:
        with cell_errors():
            for sample in read_shard(path, "txt" if captioned else "cls"):
                if sample.key in labels:
                    raise CellError(
                        f"{root}: the key {sample.key} appears twice in the shards of {split!r}"
                    )
                labels[sample.key] = sample.label
                images[sample.key] = sample.image
    with cell_errors():
        classes = () if captioned else read_list(root / "classnames.txt")
    return Split(
        str(root),
        labels,
        classes,
        () if captioned else read_templates(root),
        partial(_read_images, images),
        partial(_digest, paths),
    )


def is_captioned(root: Path) -> bool:
    """Return whether a dataset's images have captions.

    Raises:
        CellError: `dataset_type.txt` names an unknown type.
    """
    path = root / "dataset_type.txt"
    with cell_errors():
        kind = read_text(path).strip().lower() if path.exists() else "classification"
    if kind not in ("classification", "retrieval"):
        raise CellError(f"{path}: got {kind!r}; allowed: classification, retrieval")
    return kind == "retrieval"


def shard_count(root: Path, split: str) -> int:
    """Return the number of shards of a split, from its `nshards.txt`.

    Raises:
        CellError: The folder has a different layout.
    """
    if not root.is_dir():
        raise CellError(f"{root}: no such dataset folder")
    path = root / split / "nshards.txt"
    if not path.exists():
        raise CellError(f"{path} is missing; a split in CLIP_benchmark's layout has this file")
    with cell_errors():
        text = read_text(path).strip()
    if not _COUNT.fullmatch(text):
        raise CellError(f"{path}: got {shown(text)}; allowed: a number from 1 to 999999")
    return int(text)


def shard_paths(root: Path, split: str, numbers: Sequence[int] | None = None) -> list[Path]:
    """Return the paths of a split's shards.

    Args:
        root: The dataset's folder.
        split: Name of the split.
        numbers: Numbers of the shards; None means all.

    Raises:
        CellError: The folder has a different layout, or a shard is missing.
    """
    total = shard_count(root, split)
    chosen = range(total) if numbers is None else numbers
    return [_shard_path(root / split, number, total) for number in chosen]


def _shard_path(folder: Path, number: int, total: int) -> Path:
    """Return the path of a shard; with several, the one that is not called compressed."""
    names = [f"{number}.{ending}" for ending in ("tar", "tar.gz", "tgz")]
    for name in names:
        if (folder / name).exists():
            return folder / name
    raise CellError(f"{folder / names[0]} is missing, but nshards.txt says {total} shards")


def _digest(paths: Sequence[Path], keys: Sequence[str]) -> str:
    """Return a hash of the whole shards, whatever samples are chosen.

    A compressed shard has the hash of its content, so that a dataset keeps its identity.
    """
    hashes = [sha256(path, unpacked=is_packed(path)) for path in paths]
    return hashlib.sha256(b"".join(hashes)).hexdigest()


def _read_images(images: Mapping[str, Span], keys: Collection[str]) -> Iterator[tuple[str, bytes]]:
    with cell_errors():
        yield from read_spans((key, images[key]) for key in keys)
