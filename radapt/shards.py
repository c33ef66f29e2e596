"""Shards of images, tar archives in webdataset's layout; needs no torch.

A sample is KEY.(webp|png|jpg|jpeg) with KEY.cls, the number of its class, or KEY.txt, its captions.
A shard is indexed once, by reading its headers and labels; images are then read where they lie.
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
    """Where an encoded image lies.

    Attributes:
        path: Its file, or the shard that it is part of.
        start: First byte in that file.
        length: Number of bytes; -1 for all that follow.
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
    """An image of a shard with its key and its label: a class's number, or captions."""

    key: str
    image: Span
    label: Label


def read_shard(shard: Path, suffix: Literal["cls", "txt"] = "cls") -> Iterator[Sample]:
    """Yield the samples of a shard, in the order of their images.

    Args:
        shard: The archive.
        suffix: `cls` where each image comes with a class, `txt` where it comes with captions.

    Raises:
        ValueError: The archive is damaged or cut, holds no images, or an image and its label do
            not come together.
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
        lonely = sorted(images.keys() ^ labels.keys())
        detail = f"{lonely[0]} lacks its image or its label" if lonely else "it holds no images"
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
    """Return the first encoded image of a shard, or None where it has none.

    Raises:
        OSError, tarfile.TarError: The archive cannot be read up to there.
    """
    with tarfile.open(shard) as archive:
        for member in archive:
            if _parts(member)[1] in EXTENSIONS:
                _check_file(shard, member)
                return Span(shard, member.offset_data, member.size).read()
    return None


def _members(shard: Path) -> list[tarfile.TarInfo]:
    """Return all entries of an archive that is whole.

    tarfile takes an unreadable header in the middle for the end, so that a cut archive would pass
    for a smaller dataset: the last entry must be followed by the two zero blocks of an ending.
    """
    try:
        with tarfile.open(shard, "r:") as archive:  # a compressed one has no offsets to read at
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
    """Raise ValueError unless an entry's bytes lie in the archive: links may lead anywhere."""
    if not member.isreg() or member.issparse():
        raise ValueError(f"{shard}: {member.name!r} is not a plain file")


def _number(text: str, place: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"{place}: label {text!r} is not a class's number")
    return int(text)


def _captions(text: str, place: str) -> tuple[str, ...]:
    captions = tuple(line.strip() for line in text.splitlines() if line.strip())
    if not captions:
        raise ValueError(f"{place}: no captions")
    return captions
