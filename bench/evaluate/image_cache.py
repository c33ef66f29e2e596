"""A cache of decoded images, which are compared with the lock."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch

from bench.core.errors import CellError
from bench.core.resolved_names import Lock
from bench.data.tensors import Images, in_parts, load
from bench.evaluate.loading import Loading
from bench.evaluate.unchanged import require_unchanged_dataset
from bench.suite.load import Suite


@dataclass
class ImageCache:
    """Decodes the images of datasets at their first use and keeps them.

    Attributes:
        suite: Defines the datasets.
        lock: Lists their images.
        device: Device of the labels, and of the images if they fit.
        loading: Remembers errors and measures time.
    """

    suite: Suite
    lock: Lock
    device: torch.device
    loading: Loading
    _images: dict[str, Images] = field(default_factory=dict)

    def images(self, name: str) -> Images:
        """Return the images of a dataset of the suite."""
        if name not in self._images:
            with self.loading.timed():
                found = self.loading.once(f"datasets.{name}", lambda: self._load(name))
            self._images[name] = found
        return self._images[name]

    def parts(self, name: str) -> Iterator[Images]:
        """Yield all images of a dataset in parts; parts are not cached.

        Raises:
            CellError: The dataset cannot be read, or (after the last part) it has changed.
        """
        spec, size = self.suite.dataset(name), self.suite.protocol.pixels_of(name)
        whole = f"datasets.{name}.whole"
        for key in (f"datasets.{name}", whole):
            if key in self.loading.problems:
                raise CellError(self.loading.problems[key])
        known = self.lock.whole[name]
        left = in_parts(spec, known.sample_ids, size, self.device)
        while True:
            with self.loading.timed():
                part = next(left, None)
            if part is None:
                break
            yield part
        with self.loading.timed():
            self.loading.once(
                whole, lambda: require_unchanged_dataset(spec, known, self.suite.seed)
            )

    def clear(self) -> None:
        """Drop all images."""
        self._images.clear()

    def _load(self, name: str) -> Images:
        spec, size = self.suite.dataset(name), self.suite.protocol.pixels_of(name)
        known = self.lock.datasets[name]
        found = load(spec, known.sample_ids, size, self.device)
        require_unchanged_dataset(spec, known, self.suite.seed)
        return found
