"""Read shards: tar archives of images in webdataset's layout; needs no torch.

A sample is KEY.(webp|png|jpg|jpeg) with KEY.cls, its class label, or KEY.txt, its captions.
A key ends before the first dot of the file name, as in webdataset; its folders may have dots.
A shard is indexed once by reading its headers and labels; images are then read at their offsets.
A shard that is compressed with gzip is decompressed from its start up to the images that are read,
so `read_spans` reads the images of a shard in their order.
"""

import gzip
import itertools
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal, cast

from radapt.text_files import decode_text

EXTENSIONS = ("webp", "png", "jpg", "jpeg")
# Members beside an image that are not read: img2dataset writes captions and metadata so.
_BESIDE = ("cls", "txt", "json")
_GZIP = b"\x1f\x8b"

Label = int | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Span:
    """Location of an encoded image.

    Attributes:
        path: The image file, or the shard that contains it.
        start: Offset of the first byte in the file, or in what a compressed file contains.
        length: Number of bytes; -1 for the rest of the file.
        packed: Whether the file is compressed with gzip.
    """

    path: Path
    start: int = 0
    length: int = -1
    packed: bool = False

    def read(self) -> bytes:
        """Return the encoded image."""
        return next(read_spans([("", self)]))[1]


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
        ValueError: The archive is damaged or truncated; it has no images; or it has an image
            without a label, a label without an image, two images or two labels with the same key,
            or a member with another extension. webdataset reads some of these archives, but which
            image and label then belong together is a guess.
    """
    packed = is_packed(shard)
    images: dict[str, tarfile.TarInfo] = {}
    labels: dict[str, tarfile.TarInfo] = {}
    seen: dict[tuple[str, str], str] = {}
    repeated: list[str] = []
    unknown: list[str] = []
    for member in _members(shard, packed=packed):
        if member.isdir() or _is_hidden(member):
            continue
        _check_file(shard, member)
        key, extension = _parts(member)
        kind = "image" if extension in EXTENSIONS else extension
        if not key or kind not in ("image", *_BESIDE):
            unknown.append(member.name)
        elif (key, kind) in seen:
            repeated.append(f"{member.name} after {seen[key, kind]}")
        elif kind in ("image", suffix):
            (images if kind == "image" else labels)[key] = member
        seen.setdefault((key, kind), member.name)
    known = ", ".join(f".{extension}" for extension in (*EXTENSIONS, *_BESIDE))
    faults = (
        _fault("second images, labels or texts of a key", repeated),
        _fault(f"members that are not KEY with one of {known}", unknown),
        _fault("keys without their image or their label", sorted(images.keys() ^ labels.keys())),
        "" if images else "it has no images",
    )
    if any(faults):
        raise ValueError(f"{shard}: {'; '.join(filter(None, faults))}")
    read = _captions if suffix == "txt" else _number
    texts = dict(read_spans((key, _span(shard, labels[key], packed=packed)) for key in images))
    for key, image in images.items():
        text = decode_text(texts[key], f"{shard}: {labels[key].name}").strip()
        label = read(text, f"{shard}: {key}")
        yield Sample(key, _span(shard, image, packed=packed), label)


def read_spans(spans: Iterable[tuple[str, Span]]) -> Iterator[tuple[str, bytes]]:
    """Yield each key with its content, in the order of the files and of the places in them.

    A file is opened once, and a compressed file is decompressed once.

    Raises:
        OSError: A file cannot be read.
        ValueError: A compressed file is damaged or truncated.
    """
    ordered = sorted(spans, key=lambda item: (item[1].path, item[1].start))
    for (path, packed), places in itertools.groupby(
        ordered, lambda item: (item[1].path, item[1].packed)
    ):
        with _opened(path, packed=packed) as file:
            for key, span in places:
                file.seek(span.start)
                yield key, file.read(span.length)


def first_image(shard: Path) -> bytes | None:
    """Return the first encoded image of a shard, or None if it has no images.

    Raises:
        OSError, tarfile.TarError, ValueError: The archive cannot be read up to the image.
    """
    packed = is_packed(shard)
    with (
        _opened(shard, packed=packed) as file,
        tarfile.open(fileobj=file, mode="r:", encoding="utf-8") as archive,
    ):
        for member in archive:
            if not _is_hidden(member) and _parts(member)[1] in EXTENSIONS:
                _check_file(shard, member)
                return _span(shard, member, packed=packed).read()
    return None


def is_packed(path: Path) -> bool:
    """Return whether a file is compressed with gzip; its name does not matter."""
    with path.open("rb") as file:
        return file.read(len(_GZIP)) == _GZIP


@contextmanager
def _opened(path: Path, *, packed: bool) -> Iterator[IO[bytes]]:
    """Open a file; offsets in a compressed file are those of its content."""
    if not packed:
        with path.open("rb") as file:
            yield file
        return
    try:
        with gzip.open(path, "rb") as unpacked:
            yield cast(IO[bytes], unpacked)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{path}: damaged or truncated gzip file ({error})") from error


def _span(shard: Path, member: tarfile.TarInfo, *, packed: bool) -> Span:
    return Span(shard, member.offset_data, member.size, packed)


def _members(shard: Path, *, packed: bool) -> list[tarfile.TarInfo]:
    """Return all entries of an archive, after a check that it is complete.

    tarfile treats an unreadable header as the end of the archive, so a damaged archive would look
    like a smaller dataset. Therefore the last entry must be followed by at least two zero blocks.
    """
    with _opened(shard, packed=packed) as file:
        try:
            with tarfile.open(fileobj=file, mode="r:", encoding="utf-8") as archive:
                members = archive.getmembers()
        except tarfile.TarError as error:
            raise ValueError(f"{shard}: damaged or truncated archive ({error})") from error
        last = members[-1] if members else None
        block = tarfile.BLOCKSIZE
        end = 0 if last is None else last.offset_data + -(-last.size // block) * block
        file.seek(end)
        rest = file.read()
    if len(rest) < 2 * block or rest.strip(b"\0"):
        raise ValueError(f"{shard}: damaged or truncated after entry {last and last.name}")
    return members


def _parts(member: tarfile.TarInfo) -> tuple[str, str]:
    """Return an entry's key and its extension; both are empty for a name without a dot."""
    folder, slash, name = member.name.removeprefix("./").rpartition("/")
    key, dot, extension = name.partition(".")
    return (f"{folder}{slash}{key}", extension.lower()) if dot else ("", "")


def _is_hidden(member: tarfile.TarInfo) -> bool:
    """Return whether an entry is a hidden file, such as the `._NAME` files that macOS adds."""
    return member.name.rpartition("/")[2].startswith(".")


def _fault(what: str, names: list[str]) -> str:
    """Return how often a fault occurs and where first; empty if it does not occur."""
    return f"{what}: {len(names)} (first: {names[0]})" if names else ""


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
