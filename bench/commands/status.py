"""`status`: shows finished cells and the current run, read from files only."""

import argparse
import socket
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

from bench.commands.arguments import add_suite
from bench.commands.open_suite import open_suite
from bench.core.types import Status
from bench.plan.labels import duration
from bench.results.tables import Scored
from bench.run.events import read_progress
from bench.run.progress import Progress
from bench.store.folder_lock import RunOwner, killed_owner, running_owner
from bench.store.results_folder import Store
from bench.store.snapshot import planned_ids, read_results
from bench.suite.load import Suite


def status_lines(suite: Suite, store: Store) -> Iterator[str]:
    """Yield the number of cells by status, the state of the run, and each reason of failures."""
    statuses = store.statuses()
    counts = Counter(map(statuses.get, planned_ids(suite, store)))
    yield f"suite {suite.suite}: {counts.total()} cells in {store.folder}"
    known = [f"{counts[key]} {key}" for key in get_args(Status)]
    yield f"  {', '.join(known)}, {counts[None]} missing"
    if suite.compared and not counts[None]:
        yield from _unsettled(suite, store)
    yield from run_lines(store.folder, datetime.now(UTC))
    if counts["failed"]:
        yield from _failures(suite, store, statuses)


def _unsettled(suite: Suite, store: Store) -> Iterator[str]:
    from bench.results.rounds import next_round  # brings pandas

    results = read_results(suite, store)
    failed = [key for key, result in results.by_id.items() if not result.finished]
    if short := next_round(results, failed):
        yield f"  ranks are not settled: {len(short)} cells need more images"


def _failures(suite: Suite, store: Store, statuses: Mapping[bytes, Status]) -> Iterator[str]:
    ids = {cell for cell, status in statuses.items() if status == "failed"}
    results = read_results(suite, store, wanted=lambda cell: bytes.fromhex(cell.id) in ids)
    failed: dict[str | None, list[str]] = {}  # cells by reason
    for cell, result in results.cells_with_results:
        if result and result.status == "failed":
            details = result.details()
            label = f"{cell.target} · {cell.dataset} · {Scored(cell, result).column}"
            failed.setdefault(details.reason if details else None, []).append(label)
    for reason, (first, *others) in failed.items():
        more = f" and {len(others)} more" if others else ""
        yield f"  failed: {first}{more}: {reason}"


def run_lines(folder: Path, now: datetime) -> Iterator[str]:
    """Yield the progress of the run in a results folder, or the end of the last run.

    Args:
        folder: The suite's results folder.
        now: The time in UTC, up to which the time since a worker's last event is counted.
    """
    running, dead = running_owner(folder), killed_owner(folder)
    run = running or dead
    logs = folder / run.logs if run else _last_logs(folder)
    progress = read_progress(logs / "events.jsonl") if logs else None
    if running:
        yield f"  running: {running}, executor {running.executor}"
    elif dead:
        yield f"  died: {_last_seen(dead, progress)}; run again to continue"
    elif progress:
        yield f"  no run; the last run ended at {progress.time}: {progress.how or 'interrupted'}"
    if progress:
        yield from _progress_lines(progress, now if running else None)
    if logs and (running or progress):
        yield f"  logs: {logs}"


def _last_seen(dead: RunOwner, progress: Progress | None) -> str:
    words = [f"{dead}, executor {dead.executor}"]
    here = socket.gethostname()
    if dead.host != here:  # on some file systems a lock is visible only on its own host
        words.append(f"it may still run there: {here} may not see its lock")
    if progress:
        words.append(f"its last event was at {progress.time}")
    return "; ".join(words)


def _progress_lines(progress: Progress, now: datetime | None) -> Iterator[str]:
    """Yield the progress of a run; `now` is None for a finished run."""
    at = progress.at
    if now is not None:
        at += max(0.0, (now - datetime.fromisoformat(progress.time)).total_seconds())
        for slot in [*progress.where, *(progress.doing.keys() - progress.where.keys())]:
            doing = progress.doing.get(slot)
            place = f" ({progress.where[slot]})" if slot in progress.where else ""
            yield f"    worker {slot}{place}: {doing.text(at) if doing else 'idle'}"
    todo = progress.cells - progress.before
    done = sum(progress.statuses.values())
    yield f"  this run: {done} of {todo} cells, {todo - done} left; {progress.before} before it"
    if progress.jobs > todo:
        yield f"  in parts: {progress.done} of {progress.jobs} jobs"
    if now is not None:
        yield f"  speed: {progress.rate(at)}, {duration(at)} so far"
    if progress.examining:
        yield f"  {progress.examining.text(at)}"
    if troubles := progress.troubles():
        yield f"  trouble: {troubles}"
    for reason in progress.lost:
        yield f"    lost worker {reason}"


def _last_logs(folder: Path) -> Path | None:
    """Return the log folder of the last run; the names begin with the time."""
    runs = sorted(path.parent for path in folder.glob("runs/*/events.jsonl"))
    return runs[-1] if runs else None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_suite(parser)


def command(options: argparse.Namespace) -> int:
    """Print the status."""
    suite, store = open_suite(options)
    print("\n".join(status_lines(suite, store)))
    return 0
