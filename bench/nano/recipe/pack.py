"""Writes the embedded datasets as webdataset folders in CLIP_benchmark's layout."""

import io
import tarfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.nano.recipe.captions import templates
from bench.nano.recipe.rawdata import RawSet

IMAGES = 500


def pack(
    name: str, raw: RawSet, root: Path, split: str = "test", images: int = IMAGES, seed: int = 0
) -> None:
    """Write a class-balanced subset of a split to `root/name`; the bytes are reproducible."""
    rows = balanced(raw.labels, images, seed)
    folder = root / name / split
    folder.mkdir(parents=True, exist_ok=True)
    (root / name / "classnames.txt").write_text("\n".join(raw.classes) + "\n", "utf-8")
    (root / name / "zeroshot_classification_templates.txt").write_text(
        "\n".join(templates(name)) + "\n", "utf-8"
    )
    (folder / "nshards.txt").write_text("1\n", "utf-8")
    with tarfile.open(folder / "0.tar", "w", format=tarfile.USTAR_FORMAT) as archive:
        for index, row in enumerate(rows):
            buffer = io.BytesIO()
            Image.fromarray(raw.images[row].transpose(1, 2, 0)).save(
                buffer, "WEBP", lossless=True, quality=100
            )
            _add(archive, f"s{index:07d}.cls", str(raw.labels[row]).encode())
            _add(archive, f"s{index:07d}.webp", buffer.getvalue())


def balanced(labels: NDArray[np.int64], count: int, seed: int) -> list[int]:
    """Return `count` rows in random order, with class counts as equal as possible."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(labels))
    turn = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        members = order[labels[order] == label]
        turn[members] = np.arange(len(members))
    chosen = order[np.argsort(turn[order], kind="stable")][:count]
    return [int(row) for row in rng.permutation(chosen)]


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    archive.addfile(info, io.BytesIO(data))
