"""Compute a cell: run its attack on its model and images, and score the result."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from bench.attacks.balls import reach
from bench.attacks.stored_images import decode
from bench.core.errors import FAILURES, CellError, CellSkip, StoreError
from bench.core.resolved_names import Lock
from bench.core.types import ANYTIME, REACHED, CellResult, Status, unmeasured
from bench.evaluate.cell_results import result_of, scores_of, tally_of
from bench.evaluate.craft import Case, batch_of
from bench.evaluate.external_points import score_external
from bench.evaluate.gpu_usage import Usage
from bench.evaluate.loading import Stopwatch
from bench.evaluate.memory_limit import memory_limit
from bench.evaluate.model_cache import ModelCache
from bench.evaluate.provenance import provenance
from bench.evaluate.random_numbers import seeded
from bench.evaluate.score import Points, score
from bench.evaluate.sequential import until_narrow
from bench.evaluate.tally import Tally, concatenate, extra_fields, new_tally
from bench.evaluate.tracebacks import reason
from bench.evaluate.transferable import attack_all
from bench.evaluate.white_box import attack_target
from bench.models.batch_size import accelerator_failed, memory_too_small
from bench.plan.attack_limits import fit_cell
from bench.plan.cells import Cell, expand, scores_all
from bench.plan.precisions import stages
from bench.plan.shards import part_key, part_name, parts_of
from bench.store.crafts import Craft
from bench.store.results_folder import Store
from bench.suite.load import Suite
from bench.suite.specs import AnyAttack, ExternalImages
from bench.tasks.answer_targets import targets_reached

_AT_ONCE = 1024  # number of clean images in float32: 0.6 GB at 224 pixels


@dataclass
class Evaluator:
    """Computes cells; keeps models, images and heads in memory between them.

    Attributes:
        suite: Defines the names that cells refer to.
        lock: Lists the images of each dataset.
        problems: Reasons why models and datasets could not be resolved, by key path; their cells
            fail with these reasons.
        store: Holds shared crafts, parts of cells, and the results of smaller budgets.
        device: Device of the models.
        batch: Batch size; found by trial if None.
        trust: Whether code that the suite names may be imported.
        compiled: Whether image towers are compiled for gradients of full batches.
        limit: Time limit of a cell in seconds; no limit if None.
        logs: Folder of the run, where tracebacks are written; None for none.
        memory: Bytes of the machine's memory that this process may fill.
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
    logs: Path | None = None
    memory: int = field(default_factory=memory_limit)
    _cache: ModelCache = field(init=False)
    _paying_cells: dict[str, str] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        """Create an empty cache of models and images."""
        self._cache = ModelCache(
            self.suite, self.lock, self.problems, self.device, self.batch, self.trust,
            self.compiled, self.store.judge_replies, self.logs, self.memory,
        )  # fmt: skip

    def __call__(self, cell: Cell, part: int | None = None) -> CellResult:
        """Compute one cell; an error of the cell becomes a failed result.

        Args:
            cell: The cell.
            part: Index of the part of its images to attack and store; all parts if None.

        Raises:
            StoreError: Results cannot be written or read, so no cell can be computed.
            torch.AcceleratorError: This process cannot use the accelerator any more.
        """
        if part is not None and (done := self._finished(cell)):
            return done
        self._cache.loading.deadline.restart(self.limit)
        return self._result(cell, part)

    def _finished(self, cell: Cell) -> CellResult | None:
        """Return the stored result of a cell; None if it has none, or failed."""
        found = self.store.get(cell.id)
        return found if found is not None and found.finished else None

    def _result(self, cell: Cell, part: int | None = None) -> CellResult:
        watch = Stopwatch(self._cache.loading)
        facts = provenance(self.suite, cell, self.device)
        retry = False
        with Usage(self.device) as usage, seeded(cell.id, part, self.device):
            try:
                found = self._compute(cell, part)
                self._cache.memory_freed = False
                batch = found.batch or batch_of(self._cache, cell).size
                facts = {
                    **facts,
                    "batch": batch,
                    "backwards": found.backwards,
                    **usage.facts(),
                    **(self._cache.facts(cell.target) if part is None else {}),
                    **self._answer_batch(cell),
                }
                return result_of(cell, found, watch.read(), facts)
            except StoreError:
                raise
            except CellSkip as skip:
                status: Status = "skip"
                text = str(skip)
            except FAILURES as error:  # other cells continue after any error in a cell
                if accelerator_failed(error):
                    raise
                status, text = "failed", reason(error, self.logs)
                retry = memory_too_small(error)
        if retry:  # after the handler, since the error keeps the tensors of its frames alive
            self._cache.free_memory()
        seconds, load_seconds = watch.read()
        return unmeasured(
            cell.id, status, text, seconds, facts, again=retry, load_seconds=load_seconds
        )

    def _answer_batch(self, cell: Cell) -> dict[str, int]:
        """Return the batch size of answers; in half precision, answers depend on it."""
        if not cell.task.answers:
            return {}
        return {"answer_batch": self._cache.batch(cell.target, cell.dataset).size}

    def _compute(self, cell: Cell, part: int | None) -> Tally:
        if cell.attack is None:
            return self._clean(cell)
        if isinstance(cell.attack, ExternalImages):
            return score_external(self._cache, self.lock, cell, cell.attack)
        images = self._cache.images(cell.dataset)
        attack, flags = fit_cell(self.suite, cell, cell.attack, len(images.classes))
        case = Case(cell, self._cache, images)
        parts = parts_of(attack, len(images.labels), cell.ends)
        if part is not None:
            parts = parts[part : part + 1]
        if cell.sequential:
            tallies = (self._part(case, attack, rows, kept=True) for rows in parts)
            narrow = until_narrow(tallies, cell.width) if cell.width is not None else tallies
            tally = concatenate([*narrow])
        elif cell.mode == "success":
            kept = len(images.labels) > len(parts[0])
            own = part is None
            tally = concatenate([self._part(case, attack, rows, kept, own) for rows in parts])
        elif part is not None:
            self._shared_craft(case, attack, parts[0])
            return new_tally(())
        else:
            tally = new_tally(images.sample_ids)
            score(case, self._shared_points(case, attack, parts, tally), tally)
            tally.reached = targets_reached(attack, images.questions, tally.texts)
        reached_flags = []
        if part is None and tally.reached is not None:
            reached_flags = [f"{REACHED}{tally.reached.mean():.2f}"]
        outcome_flags = self._outcome_flags(cell, attack, tally)
        return replace(tally, flags=(*flags, *tally.flags, *outcome_flags, *reached_flags))

    def _clean(self, cell: Cell) -> Tally:
        cache, name = self._cache, cell.dataset
        all_images = scores_all(self.suite, self.suite.dataset(name))
        tallies = []
        for images in cache.parts(name) if all_images else [cache.images(name)]:
            tally = new_tally(images.sample_ids)
            rows = torch.arange(len(images.labels)).split(_AT_ONCE)
            case = Case(cell, cache, images)
            score(case, ((chunk, images.floats(chunk)) for chunk in rows), tally)
            tallies.append(tally)
        return concatenate(tallies)

    def _outcome_flags(self, cell: Cell, attack: AnyAttack, tally: Tally) -> list[str]:
        """Return flags for a nested budget, a distance above eps, and a low precision."""
        flags = [ANYTIME] if cell.sequential else []
        if cell.below is not None:
            flags.append("nested")
        if tally.distance.max() > reach(cell.budget):
            flags.append("beyond-eps")  # 8-bit storage moves pixels: `bench.attacks.stored_images`
        if (judged := stages(attack, cell.mode)[-1]) != "fp32":
            flags.append(f"precision={judged}")
        return flags

    def _part(
        self, case: Case, attack: AnyAttack, rows: range, kept: bool, own: bool = True
    ) -> Tally:
        """Return the tally of a part of the images; `kept` parts are read or stored.

        Only the parts of cells with several parts are kept. If it is not for the cell's `own` job,
        the cell may be done meanwhile, and needs its parts no more.
        """
        cell, key = case.cell, part_name(rows)
        part_case = replace(case, images=case.images.span(rows))
        known = self.store.part(cell.parts_id, key) if kept else None
        if known is not None and known.sample_ids == part_case.images.sample_ids:
            return tally_of(known, cell)
        watch = Stopwatch(self._cache.loading)
        if cell.mode == "success":
            tally = self._attack(part_case, attack, rows)
        else:
            tally = new_tally(part_case.images.sample_ids)
            shared = self._shared_points(case, attack, [rows], tally)
            score(part_case, ((chunk - rows.start, points) for chunk, points in shared), tally)
        tally.batch = batch_of(self._cache, cell).size
        if kept and (own or not self._finished(cell)):
            facts = {"backwards": tally.backwards, "batch": tally.batch}
            part = result_of(cell, tally, watch.read(), facts)
            self.store.put_part(cell.parts_id, key, replace(part, cell_id=cell.parts_id))
        return tally

    def _attack(self, case: Case, attack: AnyAttack, rows: range) -> Tally:
        """Attack the target itself, except on images that a smaller budget has broken."""
        cell, tally = case.cell, new_tally(case.images.sample_ids)
        if cell.below is not None:
            below, part = self._at_smaller_budget(cell.below), slice(rows.start, rows.stop)
            tally.correct = below.correct[part].copy()
            tally.distance = below.distance[part].copy()
            if cell.task.answers:
                tally.scores, tally.texts = scores_of(below)[part].copy(), list(below.texts[part])
            if below.reached is not None:
                tally.reached = below.reached[part].copy()
            tally.extra = extra_fields(below, part)
        attack_target(case, attack, self.suite.protocol.storage, tally)
        return tally

    def _at_smaller_budget(self, cell: Cell) -> CellResult:
        """Return the result at a smaller budget; compute and store it if it is missing."""
        result = self.store.get(cell.id)
        if result is None:
            result = self._result(cell)  # within the same time limit
            if result.again:
                raise MemoryError(f"at the smaller budget {cell.eps}: {result.reason}")
            self.store.put(result)
        if result.status == "failed":
            raise CellError(f"the attack failed at the smaller budget {cell.eps}: {result.reason}")
        return result

    def _shared_points(
        self, case: Case, attack: AnyAttack, parts: Sequence[range], tally: Tally
    ) -> Points:
        """Yield rows with their adversarial images, from a craft that several cells share.

        The decoded form is scored, whether the craft was read or just made, so both give the same
        number. The passes of the craft count in one of the cells, whichever cell made it; those on
        images that only other cells needed, because that cell stopped before, count in none.
        """
        storage, budget = self.suite.protocol.storage, case.cell.budget
        pays = self._paying_cell(case.cell.craft_id) == case.cell.id
        for rows in parts:
            found = self._shared_craft(case, attack, rows)
            if pays:
                tally.forwards += found.forwards
                tally.backwards += found.backwards
            clean = case.images.floats(chunk := torch.arange(rows.start, rows.stop))
            yield chunk, decode(found.kept, clean, budget, storage)

    def _shared_craft(self, case: Case, attack: AnyAttack, rows: range) -> Craft:
        """Return a part of a shared craft, read from the store or made and stored."""
        key = part_key(case.cell.craft_id, rows)
        part_case = replace(case, images=case.images.span(rows))

        def read_craft() -> Craft | None:
            return self.store.craft(key, tuple(part_case.images.pixels.shape))

        def make_and_keep() -> Craft:
            craft = attack_all(part_case, attack, self.suite.protocol.storage)
            self.store.put_craft(key, craft)
            return craft

        if found := read_craft():
            return found
        with self.store.crafting(key, case.deadline.check):  # another run may be making it
            return read_craft() or self._cache.loading.once(
                f"crafts.{case.cell.craft_id}", make_and_keep
            )

    def _paying_cell(self, craft_id: str) -> str:
        """Return the id of the cell that counts a craft's passes: the first that needs it."""
        if not self._paying_cells:
            for cell in reversed(expand(self.suite, self.lock)):
                self._paying_cells[cell.craft_id] = cell.id
        return self._paying_cells[craft_id]
