"""A run on a simulated cluster, where workers die, memory runs out, and some workers are slow."""

from pathlib import Path

from bench.plan.cells import expand
from bench.run.events import EventFile, read_events
from bench.run.progress import progress_of
from tests.perf.simulation import simulated, suite_of
from tests.support.simulated_cluster import HAPPENS


def test_no_cell_is_done_twice_and_few_gpus_wait(tmp_path: Path) -> None:
    """On the simulated clock, so that all machines give the same figures.

    The GPUs would wait for 48% of the time if idle workers took no parts of what slow ones do.
    """
    suite, lock = suite_of(models=5, datasets=12, seeds=1)
    cells, log = expand(suite, lock), tmp_path / "events.jsonl"
    cluster, store, _ = simulated(50, suite, lock, cells, EventFile(log))
    assert store.puts == {cell.id: 1 for cell in cells}
    assert store.statuses == {"ok": len(cells)}
    assert all(cluster.happened[what] for what in HAPPENS)
    assert cluster.idle < 0.04
    assert cluster.idle_before_tail < 0.025
    found = progress_of(read_events(log))
    assert found is not None
    assert found.done == found.jobs == len(cells)
