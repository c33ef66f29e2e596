"""Folders in CLIP_benchmark's webdataset layout.

<root>/classnames.txt                            one class a line; the line is the label
<root>/zeroshot_classification_templates.txt     one prompt a line, placeholder {c}
<root>/dataset_type.txt                          `retrieval` where images come with captions
<root>/<split>/nshards.txt, 0.tar, 1.tar ...     KEY.(webp|png|jpg|jpeg) with KEY.cls or KEY.txt
"""

import hashlib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from bench.core.digests import sha256
from bench.core.errors import CellError
from bench.core.identifiers import shown
from bench.data.split import Split, cell_errors, lines_of, templates_of
from radapt.shards import Label, Span, read_shard

_COUNT = re.compile("0*[1-9][0-9]{0,5}")


def open_webdataset(root: Path, split: str, numbers: Sequence[int] | None = None) -> Split:
    """Read keys and labels of a split.

    Args:
        root: The dataset's folder.
        split: Name of the split, a folder in it.
        numbers: Which shards to read; all where None.

    Raises:
        CellError: The folder is not in the layout, or an archive is damaged.
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
                        f"{root}: the same key {sample.key} appears twice among the shards of "
                        f"{split!r}"
                    )
                labels[sample.key] = sample.label
                images[sample.key] = sample.image
    return Split(
        str(root),
        labels,
        () if captioned else lines_of(root / "classnames.txt"),
        () if captioned else templates_of(root),
        partial(_read_images, images),
        partial(_digest, paths),
    )


def is_captioned(root: Path) -> bool:
    """Return whether a dataset's images come with captions.

    Raises:
        CellError: They come with something else.
    """
    path = root / "dataset_type.txt"
    kind = path.read_text("utf-8").strip().lower() if path.exists() else "classification"
    if kind not in ("classification", "retrieval"):
        raise CellError(f"{path}: got {kind!r}; allowed: classification, retrieval")
    return kind == "retrieval"


def shard_count(root: Path, split: str) -> int:
    """Return how many shards a split says that it has.

    Raises:
        CellError: The folder is not in the layout.
    """
    if not root.is_dir():
        raise CellError(f"{root}: no such dataset folder")
    path = root / split / "nshards.txt"
    if not path.exists():
        raise CellError(f"{path} is missing: not a split in CLIP_benchmark's layout")
    text = path.read_text("utf-8").strip()
    if not _COUNT.fullmatch(text):
        raise CellError(f"{path}: got {shown(text)}; a number from 1 to 999999 is needed")
    return int(text)


def shard_paths(root: Path, split: str, numbers: Sequence[int] | None = None) -> list[Path]:
    """Return the archives of a split, or those of some numbers.

    Raises:
        CellError: The folder is not in the layout, or one of them is not there.
    """
    total = shard_count(root, split)
    chosen = range(total) if numbers is None else numbers
    paths = [root / split / f"{number}.tar" for number in chosen]
    for path in paths:
        if not path.exists():
            raise CellError(f"{path} is missing; nshards.txt names {total} shards")
    return paths


def _digest(paths: Sequence[Path], keys: Sequence[str]) -> str:
    """Return a hash of whole archives, whatever is chosen from them."""
    return hashlib.sha256(b"".join(map(sha256, paths))).hexdigest()


def _read_images(images: Mapping[str, Span], keys: Collection[str]) -> Iterator[tuple[str, bytes]]:
    for key in keys:
        yield key, images[key].read()
