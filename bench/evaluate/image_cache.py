"""A cache of decoded images, which are compared with the lock."""

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

import torch

from bench.core.array_files import ArrayFiles, Gather, NotKept, in_memory, user_files
from bench.core.errors import CellError
from bench.core.resolved_names import DatasetLock, Lock
from bench.data.decode import decoder
from bench.data.tensors import Images, in_parts, load
from bench.evaluate.loading import Loading
from bench.evaluate.recent import Recent
from bench.evaluate.unchanged import require_unchanged_dataset
from bench.suite.load import Suite

_SHARE = 0.25  # share of the memory that the images of datasets may fill together
_CPU = torch.device("cpu")


@dataclass
class ImageCache:
    """Decodes the images of datasets at their first use, and keeps those of the latest datasets.

    Decoded images are also kept in files (`bench.core.array_files`) for the other processes of this
    machine and for later runs.

    Attributes:
        suite: Defines the datasets.
        lock: Lists their images.
        device: Device of the labels, and of the images if they fit.
        loading: Remembers errors and measures time.
        files: Keeps decoded images; None if there is no folder for them.
    """

    suite: Suite
    lock: Lock
    device: torch.device
    loading: Loading
    files: ArrayFiles | None = field(default_factory=partial(user_files, "images"))
    _held: dict[str, Recent[str, Images]] = field(init=False)

    def __post_init__(self) -> None:
        """Hold no images, neither in the machine's memory nor in that of an accelerator."""
        self._held = {
            device.type: Recent(self.loading.share(_SHARE, device), _size)
            for device in (_CPU, self.device)
        }

    def __contains__(self, name: str) -> bool:
        """Return whether the images of a dataset are held."""
        return any(name in held for held in self._held.values())

    def images(self, name: str) -> Images:
        """Return the images of a dataset of the suite."""
        for held in self._held.values():
            if (known := held.get(name)) is not None:
                return known
        with self.loading.timed():
            found = self.loading.once(f"datasets.{name}", lambda: self._sample(name))
        self._held[found.pixels.device.type].put(name, found)
        return found

    def parts(self, name: str) -> Iterator[Images]:
        """Yield all images of a dataset in parts; parts are not held.

        Raises:
            CellError: The dataset cannot be read, or (after the last part) it has changed.
        """
        whole = f"datasets.{name}.whole"
        for key in (f"datasets.{name}", whole):
            if key in self.loading.problems:
                raise CellError(self.loading.problems[key])
        with self.loading.timed():
            mapped = self.loading.once(whole, lambda: self._whole_in_file(name))
        left = mapped.parts_on(self.device) if mapped else self._decoded_parts(name)
        while True:
            with self.loading.timed():
                part = next(left, None)
            if part is None:
                break
            yield part

    def clear(self) -> None:
        """Drop all images."""
        for held in self._held.values():
            held.clear()

    def _sample(self, name: str) -> Images:
        known = self.lock.datasets[name]
        found = self._in_file(name, known, self.device)
        return found or self._load(name, known, self.device, in_memory)

    def _whole_in_file(self, name: str) -> Images | None:
        """Return all images of a dataset, mapped from a file; None if no file can be written."""
        return self._in_file(name, self.lock.whole[name], _CPU)

    def _decoded_parts(self, name: str) -> Iterator[Images]:
        spec, size = self.suite.dataset(name), self.suite.protocol.pixels_of(name)
        known = self.lock.whole[name]
        yield from in_parts(spec, known.sample_ids, size, self.device)
        self.loading.once(
            f"datasets.{name}.whole",
            lambda: require_unchanged_dataset(spec, known, self.suite.seed),
        )

    def _in_file(self, name: str, known: DatasetLock, device: torch.device) -> Images | None:
        """Return the images of a lock from a file, or write the file; None if that fails."""
        if self.files is None:
            return None
        what = (decoder(), known.fingerprint, known.sample_ids)
        size = self.suite.protocol.pixels_of(name)
        key = hashlib.sha256(repr((*what, size)).encode()).hexdigest()
        with suppress(NotKept), self.files.gathering(key, self.loading.check) as gather:
            return self._load(name, known, device, gather)
        return None

    def _load(self, name: str, known: DatasetLock, device: torch.device, gather: Gather) -> Images:
        """Return the images of a lock, after a comparison with it."""
        spec, size = self.suite.dataset(name), self.suite.protocol.pixels_of(name)
        found = load(spec, known.sample_ids, size, device, gather)
        require_unchanged_dataset(spec, known, self.suite.seed)
        return found


def _size(images: Images) -> int:
    return images.pixels.nbytes
