"""Reads the raw training and test images of the four embedded datasets.

CIFAR is read from parquet shards in the Hugging Face layout (`image` {bytes, path}, `label`,
`class_name`) if `--data` has them, else it is downloaded by torchvision. Fashion-MNIST is read
from idx files in `--data` or in Debian's `dataset-fashion-mnist`, else it is downloaded by
torchvision. Digits are part of scikit-learn.
"""

import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.core.torchvision_shim import ensure_torchvision
from radapt.pictures import opened

SIZE = 32
DATASETS = ("cifar10", "cifar100", "fashion-mnist", "digits")
DEBIAN_FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")
DIGITS_TEST = 500  # scikit-learn ships no split: the last 500 images are the test set
CLASS_NAMES = {
    "fashion-mnist": (
        *("t-shirt", "trouser", "pullover", "dress", "coat"),
        *("sandal", "shirt", "sneaker", "bag", "ankle boot"),
    ),
    "digits": ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
}


@dataclass(frozen=True, slots=True)
class RawSet:
    """Images `[n,3,32,32]` uint8, labels `[n]`, and class names in the order of the labels."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]


def load_raw(name: str, split: str, folder: Path | None) -> RawSet:
    """Load a split of a dataset into memory.

    Args:
        name: Name in `DATASETS`.
        split: `train` or `test`.
        folder: Folder of parquet shards and idx files; torchvision downloads missing data to it.
    """
    match name:
        case "cifar10" | "cifar100":
            return _cifar(name, split, folder)
        case "fashion-mnist":
            return _fashion_mnist(split, folder)
        case "digits":
            return _digits(split)
    raise ValueError(f"unknown dataset {name!r}; allowed: {', '.join(DATASETS)}")


def _cifar(name: str, split: str, folder: Path | None) -> RawSet:
    shards = sorted(folder.glob(f"{name}-{split}*.parquet")) if folder else []
    if shards:
        pixels, labels, names = zip(*_parquet_rows(shards), strict=True)
        classes = {int(label): str(text) for label, text in zip(labels, names, strict=True)}
        ordered = tuple(classes[label].replace("_", " ") for label in range(len(classes)))
        return RawSet(_channels_first(np.stack(pixels)), np.array(labels, np.int64), ordered)
    source: Any = getattr(ensure_torchvision().datasets, name.upper())
    data = source(str(folder or "data"), train=split == "train", download=True)
    ordered = tuple(text.replace("_", " ") for text in data.classes)
    return RawSet(_channels_first(data.data), np.array(data.targets, np.int64), ordered)


def _parquet_rows(shards: list[Path]) -> Iterator[tuple[NDArray[np.uint8], int, str]]:
    import pyarrow.parquet as parquet

    for shard in shards:  # decode each shard before reading the next, to save memory
        for row in parquet.read_table(shard).to_pylist():
            with opened(row["image"]["bytes"], f"{shard}: {row['image']['path']}") as image:
                yield np.asarray(image.convert("RGB")), row["label"], row["class_name"]


def _fashion_mnist(split: str, folder: Path | None) -> RawSet:
    prefix = "train" if split == "train" else "t10k"
    for place in (folder, DEBIAN_FASHION_MNIST):
        if place and (place / f"{prefix}-images-idx3-ubyte.gz").exists():
            images = _idx(place / f"{prefix}-images-idx3-ubyte.gz", header=16).reshape(-1, 28, 28)
            labels = _idx(place / f"{prefix}-labels-idx1-ubyte.gz", header=8)
            break
    else:
        source: Any = ensure_torchvision().datasets.FashionMNIST
        data = source(str(folder or "data"), train=split == "train", download=True)
        images, labels = data.data.numpy(), data.targets.numpy()
    padded = np.pad(images, ((0, 0), (2, 2), (2, 2)))
    return RawSet(_grey_to_rgb(padded), labels.astype(np.int64), CLASS_NAMES["fashion-mnist"])


def _idx(path: Path, header: int) -> NDArray[np.uint8]:
    with gzip.open(path) as file:
        return np.frombuffer(file.read(), np.uint8, offset=header)


def _digits(split: str) -> RawSet:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = np.stack(
        [
            np.asarray(Image.fromarray(image).resize((SIZE, SIZE), Image.Resampling.BICUBIC))
            for image in (bunch.images * (255 / 16)).astype(np.uint8)
        ]
    )
    rows = slice(None, -DIGITS_TEST) if split == "train" else slice(-DIGITS_TEST, None)
    labels = bunch.target[rows].astype(np.int64)
    return RawSet(_grey_to_rgb(images[rows]), labels, CLASS_NAMES["digits"])


def _grey_to_rgb(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.repeat(images[:, None], 3, axis=1)


def _channels_first(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2))
