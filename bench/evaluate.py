"""The one place where model, data and attack meet."""

import hashlib
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.attacks import build_attack
from bench.attacks.balls import length, project
from bench.attacks.engine import finite
from bench.data import ImageSet, load_images
from bench.errors import CellError, UserError
from bench.models import build_model
from bench.plan import Cell, Lock
from bench.specs import PyAutoAttack, PythonModel, TorchAttacks
from bench.store import Store
from bench.suite import Suite
from bench.text import ZeroShotClassifier, zero_shot_head
from bench.types import CellResult, ImageTextModel

T = TypeVar("T")


class Counted(nn.Module):
    """A classifier that counts the images sent through it."""

    def __init__(self, classifier: nn.Module) -> None:
        """Wrap a classifier."""
        super().__init__()
        self.classifier = classifier
        self.images = 0

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits."""
        self.images += len(images)
        return self.classifier(images)  # type: ignore[no-any-return]


@dataclass
class Evaluator:
    """Computes cells, and keeps models, images and heads warm between them.

    Attributes:
        suite: What the cells' names refer to.
        lock: Which images they are scored on.
        problems: What could not be resolved, by key path; its cells fail for that reason.
        store: Where shared crafts are kept.
        device: Where models run.
        batch: Images at once.
        trust: Whether code named by the suite may be imported.
    """

    suite: Suite
    lock: Lock
    problems: dict[str, str]
    store: Store
    device: torch.device
    batch: int = 128
    trust: bool = False
    _models: dict[str, ImageTextModel] = field(default_factory=dict)
    _images: dict[str, ImageSet] = field(default_factory=dict)
    _classifiers: dict[tuple[str, str], nn.Module] = field(default_factory=dict)

    def __call__(self, cell: Cell) -> CellResult:
        """Compute one cell; its own failures become its result."""
        started = time.perf_counter()
        try:
            correct, distance, queries = self._measure(cell)
        except Exception as error:  # whatever goes wrong in a cell, the others go on
            none = np.zeros(0)
            return CellResult(
                cell.id, "failed", none.astype(np.bool_), (), none.astype(np.float32),
                time.perf_counter() - started, 0, self._provenance(cell), _reason(error),
            )  # fmt: skip
        ids = self.lock.datasets[cell.dataset].sample_ids
        seconds = time.perf_counter() - started
        return CellResult(
            cell.id, "ok", correct, ids, distance, seconds, queries, self._provenance(cell)
        )

    def _measure(self, cell: Cell) -> tuple[NDArray[np.bool_], NDArray[np.float32], int]:
        """Return per image correctness and distance, and the number of forward passes."""
        data = self._data(cell.dataset)
        clean = torch.from_numpy(data.images).float() / 255
        labels = torch.from_numpy(data.labels)
        target = Counted(self._classifier(cell.target, cell.dataset))
        images, queries = clean, 0
        if cell.attack is not None:
            deltas, queries = self._deltas(cell, clean, labels)
            images = project(clean + deltas, clean, cell.budget)
        correct = self._score(target, images, labels)
        distance = length(images - clean, cell.budget.norm if cell.attack else "linf").numpy()
        return correct, distance, queries + target.images

    def _deltas(self, cell: Cell, clean: Tensor, labels: Tensor) -> tuple[Tensor, int]:
        """Return the craft's perturbations: stored, or made now and stored where others need it.

        What is scored is always the decoded form, so that a stored craft and a fresh one
        give the same number.
        """
        if cell.mode == "success":
            return self._make(cell, clean, labels)
        stored = self.store.craft(cell.craft_id)
        if stored is not None and stored.shape == tuple(clean.shape):
            return torch.from_numpy(stored).float(), 0

        def make_and_keep() -> tuple[Tensor, int]:
            delta, queries = self._make(cell, clean, labels)
            halves = delta.half().numpy()
            self.store.put_craft(cell.craft_id, halves)
            return torch.from_numpy(halves).float(), queries

        return self._once(f"crafts.{cell.craft_id}", make_and_keep)

    def _make(self, cell: Cell, clean: Tensor, labels: Tensor) -> tuple[Tensor, int]:
        """Return the perturbations that the attack finds on its source, within the budget."""
        source = Counted(self._classifier(cell.source, cell.dataset))
        proposal = self._craft(cell, source, clean, labels)
        return project(proposal, clean, cell.budget) - clean, source.images

    def _craft(self, cell: Cell, source: Counted, clean: Tensor, labels: Tensor) -> Tensor:
        if cell.attack is None:
            raise ValueError("a clean cell has no craft")
        attack = build_attack(cell.attack, batch=self.batch)
        seeds = [sample_seed(cell.seed, key) for key in self.lock.datasets[cell.dataset].sample_ids]
        proposal = attack(
            source,
            clean.to(self.device),
            labels.to(self.device),
            cell.budget,
            mode=cell.mode,
            seeds=seeds,
        )
        return proposal.detach().cpu()

    def _score(self, target: Counted, images: Tensor, labels: Tensor) -> NDArray[np.bool_]:
        with torch.no_grad():
            predicted = [
                finite(target(part.to(self.device))).argmax(dim=1).cpu()
                for part in images.split(self.batch)
            ]
        return (torch.cat(predicted) == labels).numpy()

    def _classifier(self, model: str, dataset: str) -> nn.Module:
        key = (model, dataset)
        if key not in self._classifiers:
            data = self._data(dataset)
            templates = self.suite.protocol.templates
            head = zero_shot_head(
                self._model(model),
                data.classes,
                data.templates if templates == "dataset" else templates,
            )
            self._classifiers[key] = ZeroShotClassifier(self._model(model), head)
        return self._classifiers[key]

    def _model(self, name: str) -> ImageTextModel:
        if name not in self._models:
            spec = self.suite.models[name]
            self._models[name] = self._once(
                f"models.{name}",
                lambda: build_model(spec, self.device, self._model, trust=self.trust),
            )
        return self._models[name]

    def _data(self, name: str) -> ImageSet:
        if name not in self._images:
            spec = next(entry for entry in self.suite.datasets if entry.name == name)
            self._images[name] = self._once(
                f"datasets.{name}",
                lambda: load_images(
                    spec, self.lock.datasets[name].sample_ids, self.suite.protocol.pixels
                ),
            )
        return self._images[name]

    def _once(self, key: str, make: Callable[[], T]) -> T:
        """Make something that cells share; what failed once in a run fails for all of them."""
        if key in self.problems:
            raise CellError(self.problems[key])
        try:
            return make()
        except Exception as error:
            self.problems[key] = _reason(error)
            raise

    def _provenance(self, cell: Cell) -> Mapping[str, str]:
        models = (self.suite.models[name] for name in (cell.target, cell.source))
        used = [] if all(isinstance(spec, PythonModel) for spec in models) else ["open_clip_torch"]
        if isinstance(cell.attack, PyAutoAttack | TorchAttacks):
            used.append(cell.attack.kind)
        return {
            "torch": torch.__version__,
            **{library: _version(library) for library in used},
            "python": platform.python_version(),
            "device": device_name(self.device),
            "batch": str(self.batch),
        }


def _reason(error: Exception) -> str:
    kind = "" if isinstance(error, CellError) else f"{type(error).__name__}: "
    return f"{kind}{error}"


@cache
def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return "absent"


def sample_seed(seed: int, sample_id: str) -> int:
    """Return the seed of one image's random stream."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{sample_id}".encode()).digest()[:7], "big")


def device_name(device: torch.device) -> str:
    """Return what a device is called by its maker, or `cpu`."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def pick_device(name: str | None) -> torch.device:
    """Return the named device, or the accelerator where there is one.

    Raises:
        UserError: There is no such device here.
    """
    found = name or ("cuda" if torch.cuda.is_available() else "cpu")
    torch.backends.cudnn.allow_tf32 = False  # the protocols are in single precision throughout
    try:
        return torch.empty(0, device=found).device
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"--device: got {found!r}, which cannot be used here: {reason}") from error
