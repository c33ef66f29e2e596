"""Read shards: tar archives of images in webdataset's layout; needs no torch.

A sample is KEY.(webp|png|jpg|jpeg) with KEY.cls, its class label, or KEY.txt, its captions.
A shard is indexed once by reading its headers and labels; images are then read at their offsets.
"""

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

EXTENSIONS = ("webp", "png", "jpg", "jpeg")

Label = int | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Span:
    """Location of an encoded image.

    Attributes:
        path: The image file, or the shard that contains it.
        start: Offset of the first byte in the file.
        length: Number of bytes; -1 for the rest of the file.
    """

    path: Path
    start: int = 0
    length: int = -1

    def read(self) -> bytes:
        """Return the encoded image."""
        with self.path.open("rb") as file:
            file.seek(self.start)
            return file.read(self.length)


@dataclass(frozen=True, slots=True)
class Sample:
    """A sample of a shard: its key, its image, and its label (a class number or captions)."""

    key: str
    image: Span
    label: Label


def read_shard(shard: Path, suffix: Literal["cls", "txt"] = "cls") -> Iterator[Sample]:
    """Yield the samples of a shard, in the order of their images.

    Args:
        shard: The archive.
        suffix: Suffix of the labels: `cls` for class numbers, `txt` for captions.

    Raises:
        ValueError: The archive is damaged or truncated, has no images, or has an image without a
            label or a label without an image.
    """
    images: dict[str, Span] = {}
    labels: dict[str, tarfile.TarInfo] = {}
    for member in _members(shard):
        key, extension = _parts(member)
        if extension in EXTENSIONS:
            _check_file(shard, member)
            images.setdefault(key, Span(shard, member.offset_data, member.size))
        elif extension == suffix:
            labels[key] = member
    if not images or images.keys() != labels.keys():
        unpaired = sorted(images.keys() ^ labels.keys())
        detail = f"{unpaired[0]} lacks its image or its label" if unpaired else "it has no images"
        raise ValueError(f"{shard}: {detail}")
    read = _captions if suffix == "txt" else _number
    with shard.open("rb") as file:
        for key, image in images.items():
            member = labels[key]
            _check_file(shard, member)
            file.seek(member.offset_data)
            text = file.read(member.size).decode("utf-8", "replace").strip()
            yield Sample(key, image, read(text, f"{shard}: {key}"))


def first_image(shard: Path) -> bytes | None:
    """Return the first encoded image of a shard, or None if it has no images.

    Raises:
        OSError, tarfile.TarError: The archive cannot be read up to the image.
    """
    with tarfile.open(shard) as archive:
        for member in archive:
            if _parts(member)[1] in EXTENSIONS:
                _check_file(shard, member)
                return Span(shard, member.offset_data, member.size).read()
    return None


def _members(shard: Path) -> list[tarfile.TarInfo]:
    """Return all entries of an archive, after a check that it is complete.

    tarfile treats an unreadable header as the end of the archive, so a damaged archive would look
    like a smaller dataset. Therefore the last entry must be followed by at least two zero blocks.
    """
    try:
        with tarfile.open(shard, "r:") as archive:  # uncompressed only: images are read by offset
            members = archive.getmembers()
    except (tarfile.TarError, EOFError) as error:
        raise ValueError(f"{shard}: damaged or truncated archive ({error})") from error
    size = shard.stat().st_size
    for member in members:
        if member.offset_data + member.size > size:
            raise ValueError(f"{shard}: truncated inside {member.name}")
    last = members[-1] if members else None
    block = tarfile.BLOCKSIZE
    end = 0 if last is None else last.offset_data + -(-last.size // block) * block
    with shard.open("rb") as file:
        file.seek(end)
        rest = file.read()
    if size - end < 2 * block or rest.strip(b"\0"):
        raise ValueError(f"{shard}: damaged or truncated after entry {last and last.name}")
    return members


def _parts(member: tarfile.TarInfo) -> tuple[str, str]:
    """Return an entry's key and its extension."""
    key, _, extension = member.name.removeprefix("./").partition(".")
    return key, extension.lower()


def _check_file(shard: Path, member: tarfile.TarInfo) -> None:
    """Raise ValueError unless an entry is a plain file: a link may point outside of the archive."""
    if not member.isreg() or member.issparse():
        raise ValueError(f"{shard}: {member.name!r} is not a plain file")


def _number(text: str, place: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"{place}: label {text!r} is not a class number (0, 1, 2, ...)")
    return int(text)


def _captions(text: str, place: str) -> tuple[str, ...]:
    captions = tuple(line.strip() for line in text.splitlines() if line.strip())
    if not captions:
        raise ValueError(f"{place}: no captions")
    return captions
