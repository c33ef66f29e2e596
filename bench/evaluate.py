"""The one place where model, data and attack meet."""

import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.attacks import build_attack
from bench.attacks.balls import length, project
from bench.attacks.official import doubts
from bench.attacks.passes import finite
from bench.counted import Counted
from bench.devices import provenance
from bench.errors import CellError, CellSkip
from bench.fitting import fit
from bench.metrics import counts_captions
from bench.plan import Cell, Lock
from bench.precision import arithmetic, stages
from bench.specs import AnyAttack, Ensemble, Precision, PyAutoAttack, TorchAttacks
from bench.storage import decode, encode
from bench.store import Store
from bench.suite import Suite
from bench.tally import Tally, joined, untouched
from bench.tasks.retrieval import RetrievalClassifier, caption_ids, recall
from bench.types import CellResult, Status
from bench.warm import Images, Warm, reason

_Points = Iterator[tuple[Tensor, Tensor]]  # rows of a dataset, and their images `[b,3,h,w]`
_SLAB = 2**29  # bytes of images in float32 that are worked on together


@dataclass
class Evaluator:
    """Computes cells, and keeps models, images and heads warm between them.

    Attributes:
        suite: What the cells' names refer to.
        lock: Which images they are scored on.
        problems: What could not be resolved, by key path; its cells fail for that reason.
        store: Where shared crafts are kept, and the cells of smaller budgets.
        device: Where models run.
        batch: Images at once; found by trial where None.
        trust: Whether code named by the suite may be imported.
        compiled: Whether towers are compiled for gradients of full batches.
    """

    suite: Suite
    lock: Lock
    problems: dict[str, str]
    store: Store
    device: torch.device
    batch: int | None = None
    trust: bool = False
    compiled: bool = False
    _warm: Warm = field(init=False)

    def __post_init__(self) -> None:
        """Begin with nothing warm."""
        self._warm = Warm(
            self.suite, self.lock, self.problems, self.device, self.batch, self.trust, self.compiled
        )

    def __call__(self, cell: Cell) -> CellResult:
        """Compute one cell; its own failures become its result."""
        started = time.perf_counter()
        known = provenance(self.suite, cell, self.device)
        try:
            found = self._measure(cell)
            known = {
                **known,
                "batch": str(self._warm.batch(cell.source, cell.dataset).size),
                "backwards": str(found.backwards),
                **self._warm.facts(cell.target),
            }
        except Exception as error:  # whatever goes wrong in a cell, the others go on
            status: Status = "skip" if isinstance(error, CellSkip) else "failed"
            text = str(error) if isinstance(error, CellSkip) else reason(error)
            nothing = np.zeros(0)
            return CellResult(
                cell.id, status, nothing.astype(np.bool_), (), nothing.astype(np.float32),
                time.perf_counter() - started, 0, known, text,
            )  # fmt: skip
        return CellResult(
            cell.id, "ok", found.correct, found.sample_ids, found.distance,
            time.perf_counter() - started, found.forwards, known, flags=found.flags,
        )  # fmt: skip

    def _measure(self, cell: Cell) -> Tally:
        if cell.attack is None and cell.dataset in self.lock.whole:
            return joined([self._clean(cell, part) for part in self._warm.parts(cell.dataset)])
        images = self._warm.images(cell.dataset)
        tally = untouched(images.sample_ids)
        attack: AnyAttack | None = None
        if cell.attack is not None:
            attack, tally.flags = fit(cell.attack, len(images.classes), cell.mode)
        if attack is not None and cell.mode == "success":
            self._attack(cell, attack, images, tally)
        else:
            score = self._retrieve if images.captions else self._classify
            score(cell, images, self._points(cell, attack, images, tally), tally)
        if attack is None:
            return tally
        budget = cell.budget
        if tally.distance.max() > budget.eps + 1e-6 + 1e-5 * budget.eps:
            tally.flags += ("beyond-eps",)  # 8-bit storage moves pixels; see `bench.storage`
        precisions = stages(attack, cell.mode)
        if precisions[-1] != "fp32":
            tally.flags += (f"precision={precisions[-1]}",)
        return tally

    def _clean(self, cell: Cell, images: Images) -> Tally:
        tally = untouched(images.sample_ids)
        self._classify(cell, images, self._points(cell, None, images, tally), tally)
        return tally

    def _attack(self, cell: Cell, attack: AnyAttack, images: Images, tally: Tally) -> None:
        """Attack the target itself: each stage sees what none before has broken."""
        storage = self.suite.protocol.storage
        if cell.below is not None:
            below = self._at(cell.below)
            tally.correct, tally.distance = below.correct.copy(), below.distance.copy()
            tally.flags += ("nested",)
        with doubts() as found:
            for precision in stages(attack, cell.mode):
                for rows in self._slabs(tally.correct.nonzero()[0], images, attack):
                    clean = images.floats(rows)
                    points = self._craft(cell, attack, images, rows, precision, tally)
                    if storage != "float16":  # full precision is nearer to the attack than halves
                        kept = encode(points, clean, storage)
                        points = decode(kept, clean, cell.budget, storage)
                    self._judge(cell, images, rows, points, tally)
        tally.flags += tuple(sorted(found))

    def _at(self, cell: Cell) -> CellResult:
        """Return what a smaller budget came to, from the store or, where it is not there, now."""
        result = self.store.get(cell.id)
        if result is None:
            result = self(cell)
            self.store.put(result)
        if result.status == "failed":
            raise CellError(f"the attack failed at the smaller budget {cell.eps}: {result.reason}")
        return result

    def _classify(self, cell: Cell, images: Images, points: _Points, tally: Tally) -> None:
        for rows, part in points:
            self._judge(cell, images, rows, part, tally)

    def _retrieve(self, cell: Cell, images: Images, points: _Points, tally: Tally) -> None:
        """Note for each image or caption whether it finds its own among all of the others."""
        target = self._warm.classifier(cell.target, cell.dataset)
        assert isinstance(target, RetrievalClassifier)
        batch = self._warm.batch(cell.target, cell.dataset)
        cosines: list[Tensor] = []
        with torch.no_grad():
            for rows, part in points:
                cosines += batch.parts(len(rows), lambda some: target.cosines(part[some]))  # noqa: B023
                tally.forwards += len(rows)
                self._note_distance(cell, images, rows, part, tally)
        found = recall(finite(torch.cat(cosines)), target.owners, cell.metric)
        tally.correct = found.cpu().numpy()
        if counts_captions(cell.metric):
            tally.sample_ids = caption_ids(images.sample_ids, images.captions)

    def _points(
        self, cell: Cell, attack: AnyAttack | None, images: Images, tally: Tally
    ) -> _Points:
        """Yield rows with their images, clean or of a craft that several cells share.

        The craft is read from the store or made and kept. What is scored is the decoded form in
        either case, so that both give the same number.
        """
        everything = np.arange(len(images.labels))
        if attack is None:
            for rows in self._slabs(everything, images, None):
                yield rows, images.floats(rows)
            return
        storage = self.suite.protocol.storage

        def make_and_keep() -> NDArray[Any]:
            (precision,) = stages(attack, cell.mode)
            with doubts():
                parts = [
                    encode(
                        self._craft(cell, attack, images, rows, precision, tally),
                        images.floats(rows),
                        storage,
                    )
                    for rows in self._slabs(everything, images, attack)
                ]
            kept = np.concatenate(parts)
            self.store.put_craft(cell.craft_id, kept)
            return kept

        kept = self.store.craft(cell.craft_id)
        if kept is None or kept.shape != tuple(images.pixels.shape):
            kept = self._warm.once(f"crafts.{cell.craft_id}", make_and_keep)
        for rows in self._slabs(everything, images, None):
            yield rows, decode(kept[rows.numpy()], images.floats(rows), cell.budget, storage)

    def _craft(
        self,
        cell: Cell,
        attack: AnyAttack,
        images: Images,
        rows: Tensor,
        precision: Precision,
        tally: Tally,
    ) -> Tensor:
        """Return the points `[b,3,h,w]` that an attack finds on the source, within the budget."""
        source = Counted(self._warm.classifier(cell.source, cell.dataset, precision))
        batch = self._warm.batch(cell.source, cell.dataset)
        clean, labels = images.floats(rows), images.labels[rows.to(images.labels.device)]
        run = build_attack(attack, batch=batch)
        try:
            with arithmetic(precision):
                proposal = run(
                    source,
                    clean,
                    labels,
                    cell.budget,
                    mode=cell.mode,
                    seeds=[sample_seed(cell.seed, images.sample_ids[row]) for row in rows.tolist()],
                )
        except torch.OutOfMemoryError as error:  # of adapters: the engine makes do with less
            raise CellError(
                f"{attack.label}: chunks of {_chunk(attack)} images do not fit into the device's "
                "memory; a smaller `chunk` is another cell, since its random numbers differ"
            ) from error
        tally.add(source)
        return project(proposal.detach(), clean, cell.budget)

    def _judge(
        self, cell: Cell, images: Images, rows: Tensor, points: Tensor, tally: Tally
    ) -> None:
        """Note for points whether the target is right, and how far they are from their images."""
        target = Counted(self._warm.classifier(cell.target, cell.dataset))
        batch = self._warm.batch(cell.target, cell.dataset)
        with torch.no_grad():
            predicted = torch.cat(
                batch.parts(len(rows), lambda part: finite(target(points[part])).argmax(dim=1))
            )
        tally.add(target)
        place = rows.numpy()
        tally.correct[place] = (predicted == images.labels[rows.to(predicted.device)]).cpu().numpy()
        self._note_distance(cell, images, rows, points, tally)

    def _note_distance(
        self, cell: Cell, images: Images, rows: Tensor, points: Tensor, tally: Tally
    ) -> None:
        if cell.attack is not None:
            distance = length(points - images.floats(rows), cell.budget.norm)
            tally.distance[rows.numpy()] = distance.cpu().numpy()

    def _slabs(
        self, rows: NDArray[np.int64], images: Images, attack: AnyAttack | None
    ) -> Iterator[Tensor]:
        """Yield rows in as many as are worked on together, whole chunks where there are such.

        Memory then grows by a byte a pixel, and not by all the copies in single precision.
        """
        size = max(1, _SLAB // (4 * images.pixels[0].numel()))
        chunk = _chunk(attack)
        if chunk is not None:
            size = -(-size // chunk) * chunk
        elif isinstance(attack, Ensemble) and any(_chunk(member) for member in attack.attacks):
            size = len(rows)  # what its earlier members leave fills the chunks of the later ones
        if len(rows):
            yield from torch.from_numpy(rows).split(size)


def _chunk(attack: AnyAttack | None) -> int | None:
    return attack.chunk if isinstance(attack, PyAutoAttack | TorchAttacks) else None


def sample_seed(seed: int, sample_id: str) -> int:
    """Return the seed of one image's random stream."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{sample_id}".encode()).digest()[:7], "big")
