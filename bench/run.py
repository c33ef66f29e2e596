"""Run a suite from its file to its tables."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from bench.errors import UserError
from bench.executors import Inline
from bench.export import export
from bench.jobs import Job
from bench.lock import resolve
from bench.plan import Cell, expand
from bench.scheduler import missing, run
from bench.specs import PythonModel
from bench.store import Store
from bench.suite import Suite, load_suite
from bench.types import CellResult
from bench.watch import Watcher


@dataclass(frozen=True, slots=True)
class Report:
    """What a run did.

    Attributes:
        folder: Where the tables are.
        board: The leaderboard.
        cells: Cells in the suite.
        computed: Cells computed now; the others were done before.
        failed: Cells that failed.
    """

    folder: Path
    board: pd.DataFrame
    cells: int
    computed: int
    failed: int


def run_suite(
    suite: Suite | str | Path,
    *,
    results: str | Path = "results",
    device: str | None = None,
    batch: int | None = None,
    trust: bool = False,
    compiled: bool = False,
    watcher: Watcher | None = None,
) -> Report:
    """Compute the cells of a suite that are not done yet, and write its tables.

    Args:
        suite: A suite or its file.
        results: Folder of all results.
        device: Where models run; the accelerator where there is one, else the CPU.
        batch: Images at once; changes no number beyond numerics. Found by trial where None.
        trust: Whether code that the suite names may be imported.
        compiled: Whether towers are compiled for gradients of full batches; changes no number
            beyond numerics.
        watcher: Is told how it goes.

    Raises:
        UserError: The suite or the call is wrong.
    """
    if not isinstance(suite, Suite):
        suite = load_suite(suite)
    named = [name for name, spec in suite.models.items() if isinstance(spec, PythonModel)]
    if named and not trust:
        raise UserError(
            f"models.{named[0]}.kind: got 'python', which imports code named by the suite; "
            "run with --trust to allow it"
        )
    watcher = watcher or Watcher()
    from bench.devices import pick_device  # brings torch: not needed to plan or report
    from bench.evaluate import Evaluator
    from bench.speed import check_compiler

    place = pick_device(device)
    if compiled:
        check_compiler(place)
    store = Store(Path(results), suite.suite)
    lock, problems = resolve(suite)
    store.put_lock(lock)
    cells = expand(suite, lock)
    todo = missing(cells, store)
    jobs = {cell.id: Job(cell.id, cell) for cell in todo}
    watcher.begin(cells, list(jobs.values()), 1)
    evaluate = Evaluator(suite, lock, problems, store, place, batch, trust, compiled)
    failed: set[str] = set()

    def compute(cell: Cell) -> CellResult:
        watcher.starting("0", jobs[cell.id], None)
        return evaluate(cell)

    def note(result: CellResult) -> None:
        if result.status == "failed":
            failed.add(result.cell_id)
        watcher.finished("0", jobs[result.cell_id], result, None)

    run(todo, Inline(), store, compute, note)
    watcher.ended("done")
    board = export(suite, store)
    unmeasured = sum(1 for cell in cells if cell.id in failed)
    return Report(store.folder, board, len(cells), len(todo), unmeasured)
