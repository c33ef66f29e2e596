"""The one place where model, data and attack meet."""

import hashlib
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.attacks import build_attack
from bench.attacks.balls import length, project
from bench.attacks.engine import finite
from bench.attacks.fitting import fit
from bench.attacks.official import doubts
from bench.data import ImageSet, load_images
from bench.errors import CellError, CellSkip, UserError
from bench.models import build_model
from bench.plan import Cell, Lock
from bench.specs import AnyAttack, Ensemble, PyAutoAttack, PythonModel, TorchAttacks
from bench.storage import decode, encode
from bench.store import Store
from bench.suite import Suite
from bench.text import ZeroShotClassifier, zero_shot_head
from bench.types import CellResult, ImageTextModel, Status

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
            return self._measure(cell, started)
        except CellSkip as skip:
            return self._unmeasured(cell, "skip", str(skip), started)
        except Exception as error:  # whatever goes wrong in a cell, the others go on
            return self._unmeasured(cell, "failed", _reason(error), started)

    def _unmeasured(self, cell: Cell, status: Status, reason: str, started: float) -> CellResult:
        none = np.zeros(0)
        return CellResult(
            cell.id, status, none.astype(np.bool_), (), none.astype(np.float32),
            time.perf_counter() - started, 0, self._provenance(cell), reason,
        )  # fmt: skip

    def _measure(self, cell: Cell, started: float) -> CellResult:
        data = self._data(cell.dataset)
        clean = torch.from_numpy(data.images).float() / 255
        labels = torch.from_numpy(data.labels)
        target = Counted(self._classifier(cell.target, cell.dataset))
        images, queries = clean, 0
        flags: tuple[str, ...] = ()
        if cell.attack is not None:
            attack, flags = fit(cell.attack, len(data.classes), cell.mode)
            images, queries, more = self._attacked(cell, attack, clean, labels)
            flags += more
        correct = self._score(target, images, labels)
        budget = cell.budget
        distance = length(images - clean, budget.norm)
        if (
            cell.attack is not None
            and float(distance.max()) > budget.eps + 1e-6 + 1e-5 * budget.eps
        ):
            flags += ("beyond-eps",)  # 8-bit storage moves pixels; see `bench.storage`
        return CellResult(
            cell.id,
            "ok",
            correct,
            self.lock.datasets[cell.dataset].sample_ids,
            distance.numpy(),
            time.perf_counter() - started,
            queries + target.images,
            self._provenance(cell),
            flags=flags,
        )

    def _attacked(
        self, cell: Cell, attack: AnyAttack, clean: Tensor, labels: Tensor
    ) -> tuple[Tensor, int, tuple[str, ...]]:
        """Return the craft's images, forward passes and flags.

        A craft that others are scored on is read where it is stored, else made and stored.
        What is scored is the decoded form in either case, so that both give the same number.
        """
        storage = self.suite.protocol.storage
        if cell.mode == "success":
            with doubts() as found:
                points, queries = self._make(cell, attack, clean, labels)
            if storage != "float16":  # a perturbation in full precision is nearer to the attack
                points = decode(encode(points, clean, storage), clean, cell.budget, storage)
            return points, queries, tuple(sorted(found))

        def make_and_keep() -> tuple[NDArray[Any], int]:
            with doubts():
                points, queries = self._make(cell, attack, clean, labels)
            kept = encode(points, clean, storage)
            self.store.put_craft(cell.craft_id, kept)
            return kept, queries

        kept, queries = self.store.craft(cell.craft_id), 0
        if kept is None or kept.shape != tuple(clean.shape):
            kept, queries = self._once(f"crafts.{cell.craft_id}", make_and_keep)
        return decode(kept, clean, cell.budget, storage), queries, ()

    def _make(
        self, cell: Cell, attack: AnyAttack, clean: Tensor, labels: Tensor
    ) -> tuple[Tensor, int]:
        """Return the points that the attack finds on its source, within the budget."""
        source = Counted(self._classifier(cell.source, cell.dataset))
        proposal = build_attack(attack, batch=self.batch)(
            source,
            clean.to(self.device),
            labels.to(self.device),
            cell.budget,
            mode=cell.mode,
            seeds=[
                sample_seed(cell.seed, key) for key in self.lock.datasets[cell.dataset].sample_ids
            ],
        )
        return project(proposal.detach().cpu(), clean, cell.budget), source.images

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
        attacks = cell.attack.attacks if isinstance(cell.attack, Ensemble) else (cell.attack,)
        libraries = {a.kind for a in attacks if isinstance(a, PyAutoAttack | TorchAttacks)}
        used += sorted(libraries)
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
