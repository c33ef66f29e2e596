"""Folders in CLIP_benchmark's webdataset layout.

<root>/classnames.txt                            one class a line; the line is the label
<root>/zeroshot_classification_templates.txt     one prompt a line, placeholder {c}
<root>/dataset_type.txt                          `retrieval` where images come with captions
<root>/<split>/nshards.txt, 0.tar, 1.tar ...     KEY.(webp|png|jpg|jpeg) with KEY.cls or KEY.txt
"""

import hashlib
import re
import tarfile
from collections.abc import Collection, Iterator, Sequence
from functools import partial
from pathlib import Path

from bench.core.digests import sha256
from bench.core.errors import CellError
from bench.core.identifiers import shown
from bench.data.split import Label, Split, lines_of, templates_of

EXTENSIONS = ("webp", "png", "jpg", "jpeg")
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
    for path in paths:
        for key, label in _labels(path, "txt" if captioned else "cls"):
            if key in labels:
                raise CellError(
                    f"{root}: the same key {key} appears twice among the shards of {split!r}"
                )
            labels[key] = label
    return Split(
        str(root),
        labels,
        () if captioned else lines_of(root / "classnames.txt"),
        () if captioned else templates_of(root),
        partial(_read_images, paths),
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


def first_image(shard: Path) -> bytes | None:
    """Return the first image of an archive, or None where there is none."""
    with tarfile.open(shard) as archive:
        for member in archive:
            if member.name.rpartition(".")[2].lower() in EXTENSIONS:
                return _bytes(archive, member)
    return None


def _digest(paths: Sequence[Path], keys: Sequence[str]) -> str:
    """Return a hash of whole archives, whatever is chosen from them."""
    return hashlib.sha256(b"".join(map(sha256, paths))).hexdigest()


def _read_images(paths: Sequence[Path], keys: Collection[str]) -> Iterator[tuple[str, bytes]]:
    wanted = set(keys)
    for path in paths:
        with tarfile.open(path) as archive:
            for member in archive:
                key, _, extension = _parts(member)
                if key in wanted and extension in EXTENSIONS:
                    yield key, _bytes(archive, member)
                    wanted.discard(key)
        if not wanted:
            return


def _labels(shard: Path, suffix: str) -> Iterator[tuple[str, Label]]:
    """Yield each sample's key with its class or its captions."""
    images: set[str] = set()
    labels: dict[str, tarfile.TarInfo] = {}
    try:
        with tarfile.open(shard) as archive:
            members = archive.getmembers()
    except (tarfile.TarError, EOFError) as error:
        raise CellError(f"{shard}: damaged or truncated archive ({error})") from error
    end = shard.stat().st_size
    _check_end(shard, members[-1] if members else None, end)
    for member in members:
        if member.offset_data + member.size > end:
            raise CellError(f"{shard}: truncated inside {member.name}")
        key, _, extension = _parts(member)
        if extension in EXTENSIONS:
            images.add(key)
        elif extension == suffix:
            labels[key] = member
    if not images or images != set(labels):
        lonely = sorted(images ^ set(labels))
        detail = f"{lonely[0]} lacks its image or its label" if lonely else "it holds no images"
        raise CellError(f"{shard}: {detail}")
    with tarfile.open(shard) as archive:
        for key, member in labels.items():
            text = _bytes(archive, member).decode("utf-8", "replace").strip()
            yield key, (_captions if suffix == "txt" else _number)(text, f"{shard}: {key}")


def _number(text: str, place: str) -> Label:
    if not (text.isascii() and text.isdigit()):
        raise CellError(f"{place}: label {text!r} is not a class's number")
    return int(text)


def _captions(text: str, place: str) -> Label:
    captions = tuple(line.strip() for line in text.splitlines() if line.strip())
    if not captions:
        raise CellError(f"{place}: no captions")
    return captions


def _check_end(shard: Path, last: tarfile.TarInfo | None, size: int) -> None:
    """Raise CellError unless the last entry is followed by the two zero blocks of an ending.

    tarfile takes an unreadable header in the middle for the end, so a cut archive would
    pass for a smaller dataset.
    """
    block = tarfile.BLOCKSIZE
    end = 0 if last is None else last.offset_data + -(-last.size // block) * block
    with shard.open("rb") as file:
        file.seek(end)
        rest = file.read()
    if size - end < 2 * block or rest.strip(b"\0"):
        raise CellError(f"{shard}: damaged or truncated after entry {last and last.name}")


def _parts(member: tarfile.TarInfo) -> tuple[str, str, str]:
    key, dot, extension = member.name.removeprefix("./").partition(".")
    return key, dot, extension.lower()


def _bytes(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member) if member.isreg() else None  # links may lead nowhere
    if file is None:
        raise CellError(f"{archive.name!r}: {member.name!r} is not a file")
    return file.read()
