"""What cells share and is made once: models, zero-shot heads, decoded images, batch sizes."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import TypeVar

import torch
from torch import Tensor, nn

from bench.data import load_images
from bench.errors import CellError
from bench.memory import Batch, batch_for
from bench.models import ClipModel, build_model
from bench.plan import Lock
from bench.precision import Lowered
from bench.specs import Precision
from bench.speed import Compiled, lay_out
from bench.suite import Suite
from bench.text import ZeroShotClassifier, zero_shot_head
from bench.types import ImageTextModel

T = TypeVar("T")

_SHARE = 0.25  # of an accelerator's free memory that a dataset may take


@dataclass(frozen=True, slots=True)
class Images:
    """A dataset's images, decoded once; on the device where they fit.

    Attributes:
        pixels: `[n,3,h,w]`, uint8.
        labels: `[n]`, on the device.
        classes: What the labels are called.
        templates: The dataset's own prompts.
    """

    pixels: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    templates: tuple[str, ...]

    def floats(self, rows: Tensor) -> Tensor:
        """Return the chosen images in [0,1], `[b,3,h,w]`, on the device."""
        return self.pixels[rows.to(self.pixels.device)].to(self.labels.device).float() / 255


@dataclass
class Warm:
    """Makes what cells share when it is first asked for, and keeps it.

    Attributes:
        suite: What names refer to.
        lock: Which images are used.
        problems: What could not be made, by key path, and why; who asks again is told the same.
        device: Where models run.
        size: Images at once; found by trial where None.
        trust: Whether code named by the suite may be imported.
        compiled: Whether towers are compiled for full batches.
    """

    suite: Suite
    lock: Lock
    problems: dict[str, str]
    device: torch.device
    size: int | None
    trust: bool
    compiled: bool = False
    _layouts: dict[str, str] = field(default_factory=dict)
    _towers: dict[Hashable, Compiled] = field(default_factory=dict)
    _models: dict[str, ImageTextModel] = field(default_factory=dict)
    _images: dict[str, Images] = field(default_factory=dict)
    _heads: dict[Hashable, Tensor] = field(default_factory=dict)
    _batches: dict[Hashable, Batch] = field(default_factory=dict)

    def classifier(self, model: str, dataset: str, precision: Precision = "fp32") -> nn.Module:
        """Return a model with its head for a dataset, `[b,3,h,w]` in [0,1] to `[b,k]`."""
        tower: ImageTextModel = self._tower(model, dataset) if self.compiled else self.model(model)
        if precision == "bf16":
            tower = Lowered(tower, self.device)
        return ZeroShotClassifier(tower, self._head(model, dataset))

    def _head(self, model: str, dataset: str) -> Tensor:
        built, images = self.model(model), self.images(dataset)
        templates = self.suite.protocol.templates
        prompts = images.templates if templates == "dataset" else templates
        # models that differ in their image tower alone, as adapted ones do, share their heads
        text = built.encode if isinstance(built, ClipModel) else built
        key = (text, images.classes, prompts)
        if key not in self._heads:
            self._heads[key] = zero_shot_head(built, images.classes, prompts)
        return self._heads[key]

    def _tower(self, model: str, dataset: str) -> Compiled:
        batch = self.batch(model, dataset)
        if (model, batch) not in self._towers:
            self._towers[model, batch] = Compiled(self.model(model), batch)
        return self._towers[model, batch]

    def batch(self, model: str, dataset: str) -> Batch:
        """Return how many of a dataset's images go through a model at once."""
        height, width = self.images(dataset).pixels.shape[-2:]
        key = (model, height, width)
        if key not in self._batches:
            self._batches[key] = (
                Batch(self.size) if self.size else self._trial(model, dataset, height, width)
            )
        return self._batches[key]

    def _trial(self, model: str, dataset: str, height: int, width: int) -> Batch:
        classifier = ZeroShotClassifier(self.model(model), self._head(model, dataset))

        def both_ways(part: slice) -> None:
            shape = (part.stop - part.start, 3, height, width)
            points = torch.rand(shape, device=self.device, requires_grad=True)
            torch.autograd.grad(classifier(points).sum(), points)

        return batch_for(self.device, height, width, both_ways)

    def model(self, name: str) -> ImageTextModel:
        """Return a model of the suite."""
        if name not in self._models:
            spec = self.suite.models[name]
            built = self.once(
                f"models.{name}",
                lambda: build_model(spec, self.device, self.model, trust=self.trust),
            )
            layout = lay_out(built.tower) if isinstance(built, ClipModel) else None
            if layout:
                self._layouts[name] = layout
            self._models[name] = built
        return self._models[name]

    def choices(self, model: str) -> dict[str, str]:
        """Return what a row says of how its model ran, where that is not as ever."""
        compiled = {"compiled": "full batches"} if self.compiled else {}
        layout = self._layouts.get(model)
        return {**compiled, **({"layout": layout} if layout else {})}

    def images(self, name: str) -> Images:
        """Return a dataset of the suite."""
        if name not in self._images:
            self._images[name] = self.once(f"datasets.{name}", lambda: self._load(name))
        return self._images[name]

    def _load(self, name: str) -> Images:
        spec = next(entry for entry in self.suite.datasets if entry.name == name)
        ids = self.lock.datasets[name].sample_ids
        data = load_images(spec, ids, self.suite.protocol.pixels)
        pixels = torch.from_numpy(data.images)
        if self.device.type == "cuda":
            free, _ = torch.cuda.mem_get_info(self.device)
            pixels = pixels.to(self.device) if pixels.nbytes < _SHARE * free else pixels
        labels = torch.from_numpy(data.labels).to(self.device)
        return Images(pixels, labels, data.classes, data.templates)

    def once(self, key: str, make: Callable[[], T]) -> T:
        """Make something that cells share; what failed once in a run fails for all of them."""
        if key in self.problems:
            raise CellError(self.problems[key])
        try:
            return make()
        except Exception as error:
            self.problems[key] = reason(error)
            raise


def reason(error: Exception) -> str:
    """Return what a cell's row says of an error."""
    kind = "" if isinstance(error, CellError) else f"{type(error).__name__}: "
    return f"{kind}{error}"
