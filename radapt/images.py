"""Labelled images from class folders or from webdataset shards, read in any order.

Shards are indexed once by reading their headers; then each image is read at its offset in the
shard. So batch t depends only on t, and a resumed run has exactly the batches of a run without a
break. Streaming shards would be faster on a network disk, but would not allow this.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from radapt.class_folders import class_folders
from radapt.pictures import opened, to_rgb
from radapt.shards import Span, is_packed, read_shard
from radapt.text_files import read_list


@dataclass(frozen=True, slots=True)
class Entry:
    """Location of an encoded image, and its class label."""

    place: Span
    label: int


class Images(Dataset[tuple[Tensor, int]]):
    """Images `[3,h,w]` in [0,1] with class labels, resized and cropped to one size."""

    def __init__(
        self, entries: tuple[Entry, ...], classes: tuple[str, ...], size: tuple[int, int]
    ) -> None:
        """Set the entries, the class names, and the height and width of images in pixels."""
        self.entries = entries
        self.classes = classes
        self.size = size

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        entry = self.entries[index]
        place = entry.place
        with opened(place.read(), f"{place.path} at byte {place.start}") as image:
            return to_tensor(to_rgb(image), self.size), entry.label

    def take(self, count: int, seed: int) -> tuple[Tensor, Tensor]:
        """Return a random sample of images `[n,3,h,w]` and labels `[n]`, without repeats.

        Raises:
            ValueError: `count` exceeds the number of images, or an image cannot be read.
        """
        if not 0 < count <= len(self):
            raise ValueError(f"images: got {count}; allowed: 1 to {len(self)}, the number found")
        rows = np.random.default_rng(seed).permutation(len(self))[:count]
        pairs = [self[int(row)] for row in rows]
        return torch.stack([image for image, _ in pairs]), torch.tensor([y for _, y in pairs])


def open_images(root: Path, size: tuple[int, int], split: str = "train") -> Images:
    """Index a folder with one folder per class, or with webdataset shards as in CLIP_benchmark.

    Args:
        root: Folder with class folders (in `root/<split>` or directly), or with `<split>/*.tar`.
            Class names are the lines of `classnames.txt`, else the names of the class folders.
        size: Height and width of the returned images in pixels.
        split: Name of the split's folder, if there is one.

    Raises:
        ValueError: No images are found, or the number of class names is wrong.
    """
    folder = root / split if (root / split).is_dir() else root
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder")
    shards = sorted(folder.glob("*.tar"), key=lambda path: (len(path.name), path.name))
    if packed := _packed_shards(folder):
        raise ValueError(
            f"{folder}: {len(packed)} shards are compressed with gzip (first: {packed[0]}); images "
            "are read in random order, so decompress them with gunzip; names must end in .tar"
        )
    listed = root / "classnames.txt"
    names = read_list(listed) if listed.exists() else None
    if shards:
        if names is None:
            raise ValueError(f"{listed}: missing; shards need class names, one per line")
        return Images(tuple(_in_shards(shards, names, listed)), names, size)
    folders = class_folders(folder)
    if not folders:
        raise ValueError(f"{folder}: neither class folders with images nor .tar shards")
    if names is not None and len(names) != len(folders):
        raise ValueError(f"{listed}: {len(names)} names for {len(folders)} class folders")
    entries = tuple(
        Entry(Span(folder / key), label)
        for label, keys in enumerate(folders.values())
        for key in keys
    )
    return Images(entries, names or tuple(folders), size)


def to_tensor(image: Image.Image, size: tuple[int, int]) -> Tensor:
    """Resize an image so that it covers `size` (bicubic), crop its centre, map it to [0,1].

    For a square size this equals CLIP's Resize and CenterCrop of torchvision to the last bit.
    """
    height, width = size
    if width * image.height >= height * image.width:  # the width decides the scale
        whole = (width, max(height, int(width * image.height / image.width)))
    else:
        whole = (max(width, int(height * image.width / image.height)), height)
    if whole != image.size:
        image = image.resize(whole, Image.Resampling.BICUBIC)
    left, top = round((whole[0] - width) / 2), round((whole[1] - height) / 2)
    pixels = np.asarray(image.crop((left, top, left + width, top + height)))
    return torch.from_numpy(pixels.transpose(2, 0, 1).copy()).float() / 255


def parts(
    images: Images,
    size: int,
    seed: int,
    first: int,
    *,
    process: int = 0,
    processes: int = 1,
    workers: int = 0,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield parts (batches) without end; part t depends only on the seed and t.

    Each pass over the images has every image once, in a random order.

    Args:
        images: The images.
        size: Number of images per part, over all processes.
        seed: Seed of the random orders.
        first: Number of the first part.
        process: Index of this process, which gets its share of each part.
        processes: Number of processes.
        workers: Number of processes that decode images.
    """
    sampler = _Parts(len(images), size, seed, first, process, processes)
    loader = DataLoader(
        images, batch_sampler=sampler, num_workers=workers, pin_memory=torch.cuda.is_available()
    )
    yield from loader


class _Parts(Sampler[list[int]]):
    """Yields the row numbers of each part, without end."""

    def __init__(
        self, count: int, size: int, seed: int, first: int, process: int, processes: int
    ) -> None:
        self.count, self.size, self.seed, self.first = count, size, seed, first
        self.share = slice(process, None, processes)

    def __iter__(self) -> Iterator[list[int]]:
        part = self.first
        while True:
            places = np.arange(part * self.size, (part + 1) * self.size)
            passes, offsets = np.divmod(places, self.count)
            rows = [
                int(_order(self.count, self.seed, int(number))[offset])
                for number, offset in zip(passes, offsets, strict=True)
            ]
            yield rows[self.share]
            part += 1


@lru_cache(maxsize=2)
def _order(count: int, seed: int, number: int) -> NDArray[np.int64]:
    return np.random.default_rng((seed, number)).permutation(count)


def _packed_shards(folder: Path) -> list[str]:
    """Return the names of compressed shards that are not there uncompressed too."""
    return [
        path.name
        for path in sorted(folder.glob("*"))
        if (stem := re.fullmatch(r"(.+?)\.(?:tar|tar\.gz|tgz)", path.name))
        and is_packed(path)
        and (path.suffix == ".tar" or not (folder / f"{stem[1]}.tar").exists())
    ]


def _in_shards(shards: list[Path], names: tuple[str, ...], listed: Path) -> Iterator[Entry]:
    for shard in shards:
        for sample in read_shard(shard):
            if not isinstance(sample.label, int) or sample.label >= len(names):
                raise ValueError(
                    f"{listed}: {len(names)} names, but a label is {sample.label}; labels are "
                    "numbered from 0"
                )
            yield Entry(sample.image, sample.label)
