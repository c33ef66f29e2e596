"""Adversarial images in files of others: a folder of image files, or an array in one file.

    folder         image files, whose relative paths are ids (`bench.plan.external_images`)
    .safetensors   the tensor `images`; in its metadata `ids`, a list in JSON
    .npz           the arrays `images` and `ids`
    .pt            a mapping with the tensor `images` and the list `ids`, or the tensor alone

An array is `[n,3,h,w]`: uint8, or float32 or float64 in [0,1]. float16 is refused, since rounding
to it moves pixels beyond a budget. No code of a file runs. The size that a file states is compared
with the size of the file before memory is reserved for it.
"""

import json
import pickle
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from torch import Tensor

from bench.core.digests import files_below
from bench.core.errors import MALFORMED, CellError
from bench.core.identifiers import shown, text_fault
from bench.data.decode import decode
from radapt.class_folders import SUFFIXES

_MOST = 2**36  # bytes of a file, packed and unpacked: 100,000 images of 224 pixels in float32
_MOST_IDS = 2**28  # bytes of unpacked ids, which are read before their number is checked
_OUTSIDE = 1e-6  # by rounding
_TYPES = {"U8": np.uint8, "F32": np.float32, "F64": np.float64}  # by name in safetensors
_ALLOWED = "allowed: `images` [n,3,h,w], uint8, or float32 or float64 in [0,1]"

Rows = Sequence[int]


@dataclass(frozen=True, slots=True)
class ImageFiles:
    """Adversarial images that are read when they are needed.

    Attributes:
        place: The file or folder.
        names: Id of each image; in a folder its relative path; None if the file has no ids.
        count: Number of images.
        shape: `[3,h,w]` of all images; None in a folder, whose files are opened one by one.
        stored: Takes row numbers and returns those images `[b,3,h,w]` as stored.
    """

    place: Path
    names: tuple[str, ...] | None
    count: int
    shape: tuple[int, ...] | None
    stored: Callable[[Rows], Tensor]

    def read(self, rows: Rows, shape: tuple[int, ...]) -> Tensor:
        """Return images of some rows as floats in [0,1], `[b,3,h,w]`.

        Args:
            rows: Their row numbers.
            shape: `[3,h,w]` of the images that are attacked.

        Raises:
            CellError: An image has another size, values outside of [0,1], or cannot be read.
        """
        require_shape(self, shape)
        if not rows:
            return torch.zeros((0, *shape))
        try:
            found = self.stored(rows)
        except MALFORMED as error:
            raise CellError(f"{self.place}: {error}") from error
        if tuple(found.shape[1:]) != shape:
            raise CellError(_other_size(self.place, tuple(found.shape[1:]), shape))
        if found.dtype == torch.uint8:
            return found.float() / 255
        images = found.float()
        low, high = float(images.min()), float(images.max())
        if not (low >= -_OUTSIDE and high <= 1 + _OUTSIDE):  # also for NaN
            raise CellError(f"{self.place}: got pixels from {low:.4g} to {high:.4g}; {_ALLOWED}")
        return images.clamp(0, 1)


def open_images(path: Path) -> ImageFiles:
    """Return the images in a file or folder; no image is decoded.

    Raises:
        CellError: The file has another form, is too large, or is damaged.
    """
    if path.is_dir():
        return _open_folder(path)
    opener = _OPENERS.get(path.suffix)
    if opener is None:
        raise CellError(f"{path}: allowed: a folder, or a file {', '.join(_OPENERS)}")
    try:
        _bounded(path)
        found = opener(path)
    except CellError:
        raise
    except Exception as error:  # a damaged file raises errors of many types
        reason = str(error).removeprefix(f"{path}: ") or type(error).__name__
        raise CellError(f"{path}: {reason}") from error
    _check_names(found)
    return found


def require_shape(files: ImageFiles, shape: tuple[int, ...]) -> None:
    """Refuse an array whose images are not of the shape `[3,h,w]`.

    Raises:
        CellError: They have another shape.
    """
    if files.shape is not None and files.shape != shape:
        raise CellError(_other_size(files.place, files.shape, shape))


def _other_size(place: Path, given: Sequence[int], needed: Sequence[int]) -> str:
    return (
        f"{place}: got images of {_size(given)} pixels; needed: {_size(needed)}, the size at which "
        "the suite attacks (protocol.pixels); images are not resized, since that would change the "
        "perturbation"
    )


def _size(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape[1:]))


def _open_folder(folder: Path) -> ImageFiles:
    files = sorted(path for path in files_below(folder) if path.suffix.lower() in SUFFIXES)
    if not files:
        raise CellError(f"{folder}: has no image files; allowed: {', '.join(SUFFIXES)}")
    names = tuple(path.relative_to(folder).as_posix() for path in files)

    def stored(rows: Rows) -> Tensor:
        decoded = [decode(files[row].read_bytes(), "native", str(files[row])) for row in rows]
        if len({image.shape for image in decoded}) > 1:
            raise ValueError("its images have different sizes")
        return torch.from_numpy(np.stack(decoded))

    return ImageFiles(folder, names, len(files), None, stored)


def _open_safetensors(path: Path) -> ImageFiles:
    with safe_open(path, "numpy") as file:
        part = file.get_slice(_only_images(file.keys()))
        shape = tuple(part.get_shape())
        _check_array(shape, part.get_dtype() in _TYPES, part.get_dtype())
        ids = json.loads((file.metadata() or {}).get("ids", "null"))

    def stored(rows: Rows) -> Tensor:
        with safe_open(path, "numpy") as file:
            part = file.get_slice("images")
            return torch.from_numpy(np.concatenate([part[row : row + 1] for row in rows]))

    return ImageFiles(path, _names(ids), *_sizes(shape), stored)


def _open_npz(path: Path) -> ImageFiles:
    with zipfile.ZipFile(path) as archive:
        _only_images([name.removesuffix(".npy") for name in archive.namelist()])
        with archive.open("images.npy") as member:
            shape, kind = _header(member, archive.getinfo("images.npy").file_size)
        names = None
        if "ids.npy" in archive.namelist():
            if (size := archive.getinfo("ids.npy").file_size) > _MOST_IDS:
                raise ValueError(f"its `ids` have {size:,} bytes; allowed: {_MOST_IDS:,}")
            with archive.open("ids.npy") as member:
                _header(member, size)
            names = _names(_member(path, "ids").tolist())
    _check_array(shape, kind.type in _TYPES.values(), str(kind))
    images = cache(partial(_member, path, "images"))
    return ImageFiles(
        path, names, *_sizes(shape), lambda rows: torch.from_numpy(images()[list(rows)])
    )


def _member(path: Path, name: str) -> NDArray[Any]:
    with np.load(path, allow_pickle=False) as archive:
        found: NDArray[Any] = archive[name]
        return found


def _header(member: IO[bytes], size: int) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Return shape and type of an array of an .npz file, compared with its size in bytes."""
    major, _ = np.lib.format.read_magic(member)
    reader = np.lib.format
    read = reader.read_array_header_1_0 if major == 1 else reader.read_array_header_2_0
    shape, _, kind = read(member)
    if kind.hasobject:
        raise ValueError("it holds Python objects, which are not loaded because they may run code")
    if not shape or int(np.prod(shape, dtype=object)) * kind.itemsize > size:
        raise ValueError(f"its header states the shape {list(shape)}, for which it is too small")
    return shape, kind


def _open_pt(path: Path) -> ImageFiles:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:  # torch's message recommends unsafe loading
        raise ValueError(
            "holds more than tensors, numbers and texts, which is not loaded because it may run "
            "code; write it as torch.save({'images': TENSOR, 'ids': LIST}, FILE)"
        ) from error
    images = content.get("images") if isinstance(content, dict) else content
    if not isinstance(images, Tensor):
        raise ValueError(f"has no tensor `images`; {_ALLOWED}")
    plain = images.layout == torch.strided and images.device.type == "cpu"
    kinds = (torch.uint8, torch.float32, torch.float64)
    _check_array(tuple(images.shape), plain and images.dtype in kinds, str(images.dtype))
    ids = content.get("ids") if isinstance(content, dict) else None
    return ImageFiles(
        path, _names(ids), *_sizes(tuple(images.shape)), lambda rows: images.detach()[list(rows)]
    )


_OPENERS = {".safetensors": _open_safetensors, ".npz": _open_npz, ".pt": _open_pt}


def _bounded(path: Path) -> None:
    """Refuse a file that is larger than any set of images, also when it is unpacked."""
    size, most = path.stat().st_size, _MOST
    if zipfile.is_zipfile(path):
        most = min(size, most) if path.suffix == ".pt" else most  # torch packs nothing
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
    if size > most:
        raise CellError(f"{path}: has {size:,} bytes, unpacked; allowed: {most:,}")


def _only_images(names: Sequence[str]) -> str:
    if "images" not in names:
        raise ValueError(f"has no `images`, but {shown(sorted(names))}; {_ALLOWED}")
    return "images"


def _check_array(shape: tuple[int, ...], allowed: bool, kind: str) -> None:
    if not allowed or len(shape) != 4 or shape[1] != 3:
        raise ValueError(f"`images` has the type {kind} and the shape {list(shape)}; {_ALLOWED}")


def _sizes(shape: tuple[int, ...]) -> tuple[int, tuple[int, ...]]:
    return shape[0], shape[1:]


def _names(ids: Any) -> tuple[str, ...] | None:
    if ids is None:
        return None
    if not isinstance(ids, list | tuple) or not all(isinstance(each, str) for each in ids):
        raise ValueError("its `ids` are not a list of texts")
    return tuple(ids)


def _check_names(files: ImageFiles) -> None:
    names = files.names
    if names is None:
        return
    if len(names) != files.count:
        raise CellError(f"{files.place}: got {len(names)} ids for {files.count} images")
    for name in names:
        if why := text_fault(name):
            raise CellError(f"{files.place}: the id {shown(name)} {why}")
