"""The one place where model, data and attack meet."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray

from bench.attacks.stored_images import decode
from bench.core.deadline import Deadline
from bench.core.errors import CellError, CellSkip, StoreError
from bench.core.locks import Lock
from bench.core.types import REACHED, CellResult, Status, unmeasured
from bench.evaluate.craft import Case, batch_of
from bench.evaluate.gpu_usage import Usage
from bench.evaluate.model_cache import Warm, reason
from bench.evaluate.provenance import provenance
from bench.evaluate.score import Points, score
from bench.evaluate.tally import Tally, further_of, joined, untouched
from bench.evaluate.transferable import attack_all
from bench.evaluate.white_box import attack_target
from bench.models.batch_size import broke, too_little
from bench.plan.attack_limits import fit_cell
from bench.plan.cells import Cell, expand, scores_all
from bench.plan.precisions import stages
from bench.plan.shards import part_key, part_name, parts_of
from bench.store.results_folder import Craft, Store
from bench.suite.load import Suite
from bench.suite.metrics import metric_of
from bench.suite.specs import AnyAttack
from bench.tasks.answer_targets import reached

_AT_ONCE = 1024  # clean images in single precision: 0.6 GB at 224 pixels


@dataclass
class Evaluator:
    """Computes cells, and keeps models, images and heads warm between them.

    Attributes:
        suite: What the cells' names refer to.
        lock: Which images they are scored on.
        problems: What could not be resolved, by key path; its cells fail for that reason.
        store: Where shared crafts are kept, parts of cells, and the cells of smaller budgets.
        device: Where models run.
        batch: Images at once; found by trial where None.
        trust: Whether code named by the suite may be imported.
        compiled: Whether towers are compiled for gradients of full batches.
        limit: Seconds that a cell may take; any number where None.
    """

    suite: Suite
    lock: Lock
    problems: dict[str, str]
    store: Store
    device: torch.device
    batch: int | None = None
    trust: bool = False
    compiled: bool = False
    limit: float | None = None
    _warm: Warm = field(init=False)
    _makers: dict[str, str] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        """Begin with nothing warm."""
        self._warm = Warm(
            self.suite, self.lock, self.problems, self.device, self.batch, self.trust,
            self.compiled, self.store.judged,
        )  # fmt: skip

    def __call__(self, cell: Cell, part: int | None = None) -> CellResult:
        """Compute one cell; its own failures become its result.

        Args:
            cell: The cell.
            part: Attack this part of its images alone, and keep what comes of it for the cell.

        Raises:
            StoreError: Results cannot be written or read, so that no cell can go on.
            torch.AcceleratorError: The accelerator fails this process for good.
        """
        started = time.perf_counter()
        known = provenance(self.suite, cell, self.device)
        deadline, again = Deadline(self.limit), False
        with Usage(self.device) as usage:
            try:
                found = self._measure(cell, part, deadline)
                self._warm.relieved = False
                batch = found.batch or batch_of(self._warm, cell).size
                known = {
                    **known,
                    "batch": batch,
                    "backwards": found.backwards,
                    **usage.facts(),
                    **(self._warm.facts(cell.target) if part is None else {}),
                    **self._answered(cell),
                }
                return CellResult(
                    cell.id, "ok", found.correct, found.sample_ids, found.distance,
                    time.perf_counter() - started + found.seconds, found.forwards, known,
                    flags=found.flags, scores=_kept(found, cell.metric), texts=tuple(found.texts),
                    reached=found.reached, **found.further,
                )  # fmt: skip
            except StoreError:
                raise
            except CellSkip as skip:
                status: Status = "skip"
                text = str(skip)
            except Exception as error:  # whatever goes wrong in a cell, the others go on
                if broke(error):
                    raise
                status, text = "failed", reason(error)
                again = too_little(error)
        if again:  # not while the error holds the tensors of the frames that it passed
            self._warm.relieve()
        seconds = time.perf_counter() - started
        return unmeasured(cell.id, status, text, seconds, known, again=again)

    def _answered(self, cell: Cell) -> dict[str, int]:
        """Return how many images a target answered at once: in halves, answers hang on it."""
        if not cell.task.answers:
            return {}
        return {"answer_batch": self._warm.batch(cell.target, cell.dataset).size}

    def _measure(self, cell: Cell, part: int | None, deadline: Deadline) -> Tally:
        if cell.attack is None:
            return self._clean(cell, deadline)
        images = self._warm.images(cell.dataset)
        attack, flags = fit_cell(self.suite, cell, cell.attack, len(images.classes))
        case = Case(cell, self._warm, images, deadline)
        parts = parts_of(attack, len(images.labels))
        if part is not None:
            parts = parts[part : part + 1]
        if cell.mode == "success":
            kept = len(images.labels) > len(parts[0])
            tally = joined([self._part(case, attack, rows, kept) for rows in parts])
        elif part is not None:
            self._shared(case, attack, parts[0])
            return untouched(())
        else:
            tally = untouched(images.sample_ids)
            score(case, self._points(case, attack, parts, tally), tally)
            tally.reached = reached(attack, images.questions, tally.texts)
        said = []
        if part is None and tally.reached is not None:
            said = [f"{REACHED}{tally.reached.mean():.2f}"]
        doubts = self._doubts(cell, attack, tally)
        return replace(tally, flags=(*flags, *tally.flags, *doubts, *said))

    def _clean(self, cell: Cell, deadline: Deadline) -> Tally:
        whole = scores_all(self.suite, self.suite.dataset(cell.dataset))
        sets = self._warm.parts(cell.dataset) if whole else [self._warm.images(cell.dataset)]
        tallies = []
        for images in sets:
            tally = untouched(images.sample_ids)
            rows = torch.arange(len(images.labels)).split(_AT_ONCE)
            case = Case(cell, self._warm, images, deadline)
            score(case, ((some, images.floats(some)) for some in rows), tally)
            tallies.append(tally)
        return joined(tallies)

    def _doubts(self, cell: Cell, attack: AnyAttack, tally: Tally) -> list[str]:
        """Return the flags that an attack's outcome and settings ask for."""
        eps, flags = cell.budget.eps, []
        if cell.below is not None:
            flags.append("nested")
        if tally.distance.max() > eps + 1e-6 + 1e-5 * eps:
            flags.append("beyond-eps")  # 8-bit storage moves pixels: `bench.attacks.stored_images`
        if (judged := stages(attack, cell.mode)[-1]) != "fp32":
            flags.append(f"precision={judged}")
        return flags

    def _part(self, case: Case, attack: AnyAttack, rows: range, kept: bool) -> Tally:
        """Return what a part of the images comes to, from the store where it is kept there."""
        cell, key = case.cell, part_name(rows)
        own = replace(case, images=case.images.span(rows))
        known = self.store.part(cell.id, key) if kept else None
        if known is not None and known.sample_ids == own.images.sample_ids:
            return _recalled(known, cell)
        started = time.perf_counter()
        tally = self._attack(own, attack, rows)
        tally.batch = batch_of(self._warm, cell).size
        if kept:
            self.store.put_part(
                cell.id,
                key,
                CellResult(
                    cell.id, "ok", tally.correct, tally.sample_ids, tally.distance,
                    time.perf_counter() - started, tally.forwards,
                    {"backwards": tally.backwards, "batch": tally.batch},
                    flags=tally.flags, scores=_kept(tally, cell.metric), texts=tuple(tally.texts),
                    reached=tally.reached, **tally.further,
                ),
            )  # fmt: skip
        return tally

    def _attack(self, case: Case, attack: AnyAttack, rows: range) -> Tally:
        """Attack the target itself, but for what a smaller budget has broken."""
        cell, tally = case.cell, untouched(case.images.sample_ids)
        if cell.below is not None:
            below, part = self._at(cell.below), slice(rows.start, rows.stop)
            tally.correct = below.correct[part].copy()
            tally.distance = below.distance[part].copy()
            if cell.task.answers:
                tally.scores, tally.texts = _scores(below)[part].copy(), list(below.texts[part])
            if below.reached is not None:
                tally.reached = below.reached[part].copy()
            tally.further = further_of(below, part)
        attack_target(case, attack, self.suite.protocol.storage, tally)
        return tally

    def _at(self, cell: Cell) -> CellResult:
        """Return what a smaller budget came to, from the store or, where it is not there, now."""
        result = self.store.get(cell.id)
        if result is None:
            result = self(cell)
            if result.again:
                raise MemoryError(f"at the smaller budget {cell.eps}: {result.reason}")
            self.store.put(result)
        if result.status == "failed":
            raise CellError(f"the attack failed at the smaller budget {cell.eps}: {result.reason}")
        return result

    def _points(
        self, case: Case, attack: AnyAttack, parts: Sequence[range], tally: Tally
    ) -> Points:
        """Yield rows with their images of a craft that several cells share.

        What is scored is the decoded form, whether it was read or made now, so that both give
        the same number. What the craft took counts for one of the cells, whoever made it.
        """
        storage, budget = self.suite.protocol.storage, case.cell.budget
        counts = self._maker(case.cell.craft_id) == case.cell.id
        for rows in parts:
            found = self._shared(case, attack, rows)
            if counts:
                tally.forwards += found.forwards
                tally.backwards += found.backwards
            clean = case.images.floats(place := torch.arange(rows.start, rows.stop))
            yield place, decode(found.kept, clean, budget, storage)

    def _shared(self, case: Case, attack: AnyAttack, rows: range) -> Craft:
        """Return a part of a shared craft, read from the store or made and kept."""
        key = part_key(case.cell.craft_id, rows)
        own = replace(case, images=case.images.span(rows))

        def stored() -> Craft | None:
            found = self.store.craft(key)
            fits = found is not None and found.kept.shape == tuple(own.images.pixels.shape)
            return found if fits else None

        def make_and_keep() -> Craft:
            made = attack_all(own, attack, self.suite.protocol.storage)
            self.store.put_craft(key, made)
            return made

        if found := stored():
            return found
        with self.store.crafting(key, case.deadline.check):  # another run may have been at it
            return stored() or self._warm.once(f"crafts.{case.cell.craft_id}", make_and_keep)

    def _maker(self, craft_id: str) -> str:
        """Return the cell that a craft's cost counts for: the first of the suite that needs it."""
        if not self._makers:
            for cell in reversed(expand(self.suite, self.lock)):
                self._makers[cell.craft_id] = cell.id
        return self._makers[craft_id]


def _recalled(kept: CellResult, cell: Cell) -> Tally:
    # parts of before have these integers as text
    backwards, batch = (int(kept.provenance[name]) for name in ("backwards", "batch"))
    return Tally(
        kept.correct, kept.distance, kept.sample_ids, kept.flags, kept.queries, backwards,
        kept.seconds, batch, _scores(kept) if cell.task.answers else None,
        list(kept.texts), kept.reached, further_of(kept),
    )  # fmt: skip


def _kept(tally: Tally, metric: str) -> NDArray[np.float32] | None:
    """Return the scores that say more than right or wrong."""
    return tally.scores if metric_of(metric).graded else None


def _scores(result: CellResult) -> NDArray[np.float32]:
    return result.correct.astype(np.float32) if result.scores is None else result.scores
