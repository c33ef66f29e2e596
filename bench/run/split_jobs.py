"""Turn cells into jobs: which job needs which, and which are split by images, at once or later."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import median

from bench.core.resolved_names import Lock
from bench.plan.cells import Cell
from bench.plan.cost.operations import (
    attack_passes,
    forward_operations,
    forwards_of,
    image_count,
    skip_reason,
)
from bench.plan.shards import part_key, parts_of
from bench.run.jobs import Job
from bench.suite.load import Suite

_UNKNOWN = 1e9  # operations of a forward pass where no model's size is known
WORTH = 60.0  # seconds that each worker of a job must have left for one more to load its model
_FAILURES = 3  # parts of a running job that failed and are given again
_LONG = 0.5  # a job above this fraction of one worker's share of all work is split by images


def jobs_of(
    suite: Suite, lock: Lock, cells: Sequence[Cell], slots: int, made: Callable[[str], bool]
) -> list[Job]:
    """Return the jobs that compute the given cells, in the order of the cells.

    The first of several cells that share a craft makes it, and the others wait for it. A nested
    budget waits for the next smaller one. With several workers, a cell that is long compared with
    one worker's share is split: separate jobs attack parts of its images first.

    Args:
        suite: The suite of the cells.
        lock: Gives the number of images of each dataset.
        cells: The distinct cells to compute.
        slots: Number of workers.
        made: Tells whether the part of a craft with a given key is stored already.
    """
    sizes = _Sizes.of(suite, lock)
    makers = _makers(sizes, cells, made)
    jobs = [_whole(suite, cell, sizes, makers) for cell in cells]
    share = sum(job.work for job in jobs) / max(1, slots)
    chain: dict[str, float] = {}  # work of a cell plus that of the smaller budgets that it needs
    found: list[Job] = []
    for job in jobs:
        below = job.cell.below
        chain[job.key] = job.work + (chain.get(below.id, 0.0) if below else 0.0)
        if slots > 1 and job.parts > 1 and chain[job.key] > _LONG * share:
            parts = list(_parts(job, sizes))
            found += parts
            keys = tuple(part.key for part in parts)
            scoring = sizes.score(job.cell) if job.cell.mode == "full" else 0.0
            job = replace(job, needs=job.needs + keys, work=scoring, crafts=False, parts=1)
        found.append(job)
    return found


@dataclass(slots=True)
class _Shared:
    """A running job whose parts other workers do.

    Attributes:
        free: Parts that no other worker was given, the next last.
        undone: How many parts no other worker has done.
        workers: How many workers there are, its own included.
        failures: How many parts have failed.
    """

    free: list[int]
    undone: int
    workers: int = 1
    failures: int = 0


class SharedJobs:
    """The parts of running jobs that were given to workers which no job was left for.

    A job's own worker begins with the first part, and leaves out those that it finds done; so
    other workers begin with the last. The part that it is at may be done twice, and so may a part
    whose worker is slow.
    """

    def __init__(self) -> None:
        """Start with no part."""
        self._jobs: dict[str, _Shared] = {}  # by key
        self._done: list[str] = []

    def next_part(self, running: Iterable[tuple[Job, float]]) -> Job | None:
        """Return a part of the job that may go on for longest; None if none is worth it.

        Args:
            running: Jobs with several parts, or of a part, each with the seconds for which it may
                go on.
        """
        longest, most = None, WORTH
        for job, left in running:
            shared = self._jobs.get(job.key)
            each = left / shared.workers if shared else left
            if (shared is None or shared.free) and each >= most:
                longest, most = job, each
        if longest is None:
            return None
        parts = [*range(longest.parts)] if longest.part is None else [longest.part]
        shared = self._jobs.setdefault(longest.key, _Shared(parts, len(parts)))
        shared.workers += 1
        part = shared.free.pop()
        return replace(
            longest, key=f"{longest.key}.{part}", part=part, needs=(),
            work=longest.work / longest.parts, parts=1, helps=True,
        )  # fmt: skip

    def ended(self, part: Job, ok: bool) -> None:
        """Record that a part has ended."""
        key, _, _ = part.key.rpartition(".")
        if (shared := self._jobs.get(key)) is None:
            return  # the job is done
        shared.workers -= 1
        if ok:
            shared.undone -= 1
            self._done += [key] if not shared.undone else []
        elif part.part is not None and shared.failures < _FAILURES:
            shared.failures += 1
            shared.free.append(part.part)

    def next_done(self) -> str | None:
        """Return the key of a job of which others have done all parts; None if none is left."""
        return self._done.pop() if self._done else None

    def forget(self, job: Job) -> None:
        """Forget a job that is done."""
        self._jobs.pop(job.key, None)


def _makers(
    sizes: "_Sizes", cells: Sequence[Cell], made: Callable[[str], bool]
) -> dict[str, str | None]:
    """Return for each shared craft the cell that makes it; None if it is stored already."""
    makers: dict[str, str | None] = {}
    for cell in cells:
        if cell.attack is None or not cell.crafted or cell.mode != "full":
            continue
        if cell.craft_id in makers:
            continue
        parts = parts_of(cell.attack, image_count(sizes.suite, sizes.lock, cell), cell.ends)
        there = all(made(part_key(cell.craft_id, rows)) for rows in parts)
        makers[cell.craft_id] = None if there else cell.id
    return makers


def _whole(suite: Suite, cell: Cell, sizes: "_Sizes", makers: dict[str, str | None]) -> Job:
    needs = [] if cell.below is None else [cell.below.id]
    maker = makers.get(cell.craft_id, cell.id)
    crafts = cell.crafted and maker == cell.id
    if maker is not None and maker != cell.id:
        needs.append(maker)
    work = 0.0
    if skip_reason(suite, sizes.lock, cell) is None:
        work = sizes.score(cell) + (sizes.craft(cell) if crafts else 0.0)
    surrogates = cell.attack.surrogates if cell.attack else ()
    gpus = max(suite.models[name].gpus for name in (*cell.sources, cell.target, *surrogates))
    parts = _count_of_parts(cell, sizes) if crafts else 1
    early = _is_early(suite, cell)
    return Job(cell.id, cell, None, tuple(needs), gpus, work, crafts, early, parts)


def _is_early(suite: Suite, cell: Cell) -> bool:
    """Return whether a cell is clean, or attacked on the first dataset as the suite lists first."""
    attack = cell.attack
    if attack is None:
        return True
    return (
        (cell.dataset, cell.eps) == (suite.datasets[0].name, attack.eps[0])
        and attack.label_in_norm == suite.attacks[0].label_in_norm
        and cell.threat in suite.threats[:1]
        and cell.seed == suite.attack_seeds[0]
    )


def _count_of_parts(cell: Cell, sizes: "_Sizes") -> int:
    # nobody knows how many parts a cell needs that stops when it has enough
    if cell.attack is None or cell.sequential:
        return 1
    return len(parts_of(cell.attack, sizes.images(cell)))


def _parts(job: Job, sizes: "_Sizes") -> Iterator[Job]:
    cell = job.cell
    assert cell.attack is not None
    images = sizes.images(cell)
    for index, rows in enumerate(parts_of(cell.attack, images)):
        work = sizes.craft(cell) * len(rows) / images
        yield replace(job, key=part_key(cell.id, rows), part=index, work=work, parts=1)


@dataclass(frozen=True, slots=True)
class _Sizes:
    """Estimated work of cells, in operations."""

    suite: Suite
    lock: Lock
    known: dict[str, float]
    other: float

    @classmethod
    def of(cls, suite: Suite, lock: Lock) -> "_Sizes":
        known = forward_operations(suite)
        return cls(suite, lock, known, median(known.values()) if known else _UNKNOWN)

    def forward(self, model: str) -> float:
        """Return the operations of one image's forward pass through the innermost base."""
        return self.known.get(model, self.other)

    def images(self, cell: Cell) -> int:
        """Return how many images a cell has, or only how many more than before, if it goes on."""
        count = image_count(self.suite, self.lock, cell)
        if not cell.ends:
            return count
        *_, start, end = (0, *cell.ends)
        return min(end, count) - min(start, count)

    def score(self, cell: Cell) -> float:
        """Return the operations for scoring a cell's images once."""
        passes = forwards_of(self.suite.models, cell.target)
        return self.images(cell) * passes * self.forward(cell.target)

    def craft(self, cell: Cell) -> float:
        """Return the most operations that attacking all of a cell's images can take."""
        if cell.attack is None:
            return 0.0
        each = (
            attack_passes(self.suite.models, name, cell.attack) * self.forward(name)
            for name in cell.sources
        )
        return self.images(cell) * sum(each)
