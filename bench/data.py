"""Labelled images from folders in CLIP_benchmark's webdataset layout.

<root>/classnames.txt                            one class a line; the line is the label
<root>/zeroshot_classification_templates.txt     one prompt a line, placeholder {c}
<root>/<split>/nshards.txt, 0.tar, 1.tar ...     KEY.(webp|png|jpg|jpeg) with KEY.cls
"""

import hashlib
import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.errors import CellError
from bench.plan import DatasetLock
from bench.specs import DatasetSpec, NanoDataset, Pixels

NANO_DATA = Path(__file__).parent / "nano" / "data"
EXTENSIONS = ("webp", "png", "jpg", "jpeg")


@dataclass(frozen=True, slots=True)
class ImageSet:
    """Images `[n,3,h,w]` uint8 with labels `[n]`, ids, and what the labels are called."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    sample_ids: tuple[str, ...]
    classes: tuple[str, ...]
    templates: tuple[str, ...]


def root_of(spec: DatasetSpec) -> tuple[Path, str]:
    """Return the folder of a dataset and the name of its split."""
    if isinstance(spec, NanoDataset):
        return NANO_DATA / spec.name, "test"
    return Path(spec.path), spec.split


def index_dataset(spec: DatasetSpec, samples: int, seed: int) -> DatasetLock:
    """Choose the images of a subset and fingerprint the dataset, without decoding images.

    A subset holds the images whose ids hash lowest under the seed, so a smaller subset
    is part of a larger one and neither depends on shards or their order.

    Raises:
        CellError: The folder is not in the layout, or an archive is damaged.
    """
    root, split = root_of(spec)
    content = hashlib.sha256()
    ids: list[str] = []
    for shard in _shards(root, split):
        with shard.open("rb") as file:
            content.update(hashlib.file_digest(file, "sha256").digest())
        ids += [key for key, _, _ in _members(shard)]
    if len(set(ids)) != len(ids):
        raise CellError(f"{root}: the same key appears twice among the shards of {split!r}")
    chosen = sorted(ids, key=lambda key: hashlib.sha256(f"{seed}:{key}".encode()).digest())
    return DatasetLock(
        content.hexdigest(),
        tuple(sorted(chosen[:samples])),
        _lines(root / "classnames.txt"),
        _templates(root),
    )


def load_images(spec: DatasetSpec, sample_ids: tuple[str, ...], pixels: Pixels | str) -> ImageSet:
    """Decode the named images, in the order of `sample_ids`.

    Args:
        spec: The dataset.
        sample_ids: Which images.
        pixels: The size to bring them to, or `native` to keep the size they have.

    Raises:
        CellError: An image cannot be decoded, a label is outside the classes, images
            have several sizes where `native` was asked, or the folder is damaged.
    """
    root, split = root_of(spec)
    shards = _shards(root, split)
    classes = _lines(root / "classnames.txt")
    found: dict[str, tuple[NDArray[np.uint8], int]] = {}
    wanted = set(sample_ids)
    for shard in shards:
        with tarfile.open(shard) as archive:
            for key, image, label in _members(shard):
                if key in wanted:
                    place = f"{shard}: {key}"
                    picture = _decode(_read(archive, image), pixels, place)
                    found[key] = picture, _label(_read(archive, label), len(classes), place)
    missing = wanted - set(found)
    if missing:
        raise CellError(f"{root}: {len(missing)} images are gone, {min(missing)} the first")
    sizes = {picture.shape for picture, _ in found.values()}
    if len(sizes) > 1:
        raise CellError(
            f"{root}: the images have {len(sizes)} sizes; protocol.pixels must name one size"
        )
    return ImageSet(
        np.stack([found[key][0] for key in sample_ids]),
        np.array([found[key][1] for key in sample_ids], np.int64),
        sample_ids,
        classes,
        _templates(root),
    )


def native_size(spec: DatasetSpec) -> tuple[int, int] | None:
    """Return height and width of a dataset's first image, or None where it cannot be read.

    Only the image's header is read.
    """
    root, split = root_of(spec)
    try:
        with tarfile.open(_shards(root, split)[0]) as archive:
            for member in archive:
                if member.name.rpartition(".")[2].lower() in EXTENSIONS:
                    with Image.open(io.BytesIO(_read(archive, member))) as image:
                        return image.height, image.width
    except (CellError, OSError, tarfile.TarError, Image.DecompressionBombError):
        pass  # the run tells what is wrong with the dataset
    return None


def _shards(root: Path, split: str) -> list[Path]:
    if not root.is_dir():
        raise CellError(f"{root}: no such dataset folder")
    count_file = root / split / "nshards.txt"
    if not count_file.exists():
        raise CellError(f"{count_file} is missing: not a split in CLIP_benchmark's layout")
    text = count_file.read_text("utf-8").strip()
    if not text.isdigit() or int(text) == 0:
        raise CellError(f"{count_file}: got {text!r}; a positive number is needed")
    shards = [root / split / f"{index}.tar" for index in range(int(text))]
    for shard in shards:
        if not shard.exists():
            raise CellError(f"{shard} is missing; nshards.txt names {text} shards")
    return shards


def _members(shard: Path) -> Iterator[tuple[str, tarfile.TarInfo, tarfile.TarInfo]]:
    """Yield each sample's key with the archive's entries of its image and label."""
    images: dict[str, tarfile.TarInfo] = {}
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
        key, _, extension = member.name.removeprefix("./").partition(".")
        if extension.lower() in EXTENSIONS:
            images[key] = member
        elif extension == "cls":
            labels[key] = member
    if not images or set(images) != set(labels):
        lonely = sorted(set(images) ^ set(labels))
        detail = f"{lonely[0]} lacks its image or its label" if lonely else "it holds no images"
        raise CellError(f"{shard}: {detail}")
    for key in images:
        yield key, images[key], labels[key]


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


def _read(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member)
    if file is None:
        raise CellError(f"{member.name} is not a file")
    return file.read()


def _decode(data: bytes, pixels: Pixels | str, place: str) -> NDArray[np.uint8]:
    try:
        image = Image.open(io.BytesIO(data)).convert("RGB")
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise CellError(f"{place}: the image cannot be decoded ({error})") from error
    if isinstance(pixels, Pixels):
        image = fit(image, pixels)
    return np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1))


def fit(image: Image.Image, pixels: Pixels) -> Image.Image:
    """Bring an image to a square, as torchvision's Resize and CenterCrop do on PIL."""
    size, kernel = pixels.size, Image.Resampling[pixels.kernel.upper()]
    if pixels.fit == "squash":
        return image.resize((size, size), kernel)
    width, height = image.size
    short, target = min(width, height), pixels.short or size
    image = image.resize((target * width // short, target * height // short), kernel)
    left = round((image.width - size) / 2)
    top = round((image.height - size) / 2)
    return image.crop((left, top, left + size, top + size))


def _label(data: bytes, classes: int, place: str) -> int:
    text = data.decode("ascii", "replace").strip()
    if not text.isdigit() or int(text) >= classes:
        raise CellError(f"{place}: label {text!r} is outside the {classes} classes")
    return int(text)


def _lines(path: Path) -> tuple[str, ...]:
    if not path.exists():
        raise CellError(f"{path} is missing")
    lines = path.read_text("utf-8").rstrip().splitlines()
    if not lines or not all(line.strip() for line in lines):
        raise CellError(f"{path}: is empty or has an empty line; a line's number is its label")
    return tuple(lines)


def _templates(root: Path) -> tuple[str, ...]:
    path = root / "zeroshot_classification_templates.txt"
    templates = _lines(path)
    for number, text in enumerate(templates, 1):
        if "{c}" not in text:
            raise CellError(f"{path}, line {number}: {text!r} lacks the placeholder {{c}}")
    return templates
