"""`status`: what is known, from files alone: what is done, and what a run is doing now."""

import argparse
import socket
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from bench.commands.arguments import add_suite
from bench.plan.labels import duration
from bench.results.tables import Scored
from bench.run.events import read_events
from bench.run.progress import Progress, progress_of
from bench.store.folder_lock import RunOwner, killed_owner, running_owner
from bench.store.results_folder import Store
from bench.store.snapshot import Results, read_results
from bench.suite.load import load_suite


def status_lines(results: Results) -> Iterator[str]:
    """Say how many of a suite's cells are done, how its run goes, and which cells failed."""
    suite, folder = results.suite, results.store.folder
    scored = [Scored(cell, result) for cell, result in results.cells_with_results]
    counts = Counter(item.result.status if item.result else "missing" for item in scored)
    yield f"suite {suite.suite}: {len(scored)} cells in {folder}"
    yield "  " + ", ".join(f"{counts[key]} {key}" for key in ("ok", "skip", "failed", "missing"))
    yield from run_lines(folder, datetime.now(UTC))
    for item in scored:
        if item.result and item.result.status == "failed":
            cell = f"{item.cell.target} · {item.cell.dataset} · {item.column}"
            yield f"  failed: {cell}: {item.result.reason}"


def run_lines(folder: Path, now: datetime) -> Iterator[str]:
    """Say how the run goes that holds a folder of results, or how the last one there ended.

    Args:
        folder: The suite's folder of results.
        now: The time in UTC; how long a worker has been busy is counted on from its last event.
    """
    running, dead = running_owner(folder), killed_owner(folder)
    known = running or dead
    logs = folder / known.logs if known else _last(folder)
    progress = progress_of(read_events(logs / "events.jsonl")) if logs else None
    if running:
        yield f"  running: {running}, executor {running.executor}"
    elif dead:
        yield f"  died: {_last_seen(dead, progress)}; run again to go on"
    elif progress:
        yield f"  no run; the last one ended at {progress.time}: {progress.how or 'broken off'}"
    if progress:
        yield from _progress_lines(progress, now if running else None)
    if logs and (running or progress):
        yield f"  logs: {logs}"


def _last_seen(dead: RunOwner, progress: Progress | None) -> str:
    words = [f"{dead}, executor {dead.executor}"]
    here = socket.gethostname()
    if dead.host != here:  # some file systems keep locks to one host
        words.append(f"as far as {here} can see")
    if progress:
        words.append(f"its last event was at {progress.time}")
    return "; ".join(words)


def _progress_lines(progress: Progress, now: datetime | None) -> Iterator[str]:
    """Say how far a run is; `now` is None for one that is over."""
    at = progress.at
    if now is not None:
        at += max(0.0, (now - datetime.fromisoformat(progress.time)).total_seconds())
        for slot in [*progress.where, *(progress.doing.keys() - progress.where.keys())]:
            doing = progress.doing.get(slot)
            place = f" ({progress.where[slot]})" if slot in progress.where else ""
            yield f"    worker {slot}{place}: {doing.text(at) if doing else 'idle'}"
    todo = progress.cells - progress.before
    said = sum(progress.statuses.values())
    yield f"  this run: {said} of {todo} cells, {todo - said} left; {progress.before} before it"
    if progress.jobs > todo:
        yield f"  in parts: {progress.done} of {progress.jobs} jobs"
    if now is not None:
        yield f"  speed: {progress.rate(at)}, {duration(at)} so far"
    if progress.examining:
        yield f"  {progress.examining}"
    if troubles := progress.troubles():
        yield f"  trouble: {troubles}"
    for reason in progress.lost:
        yield f"    lost worker {reason}"


def _last(folder: Path) -> Path | None:
    """Return the folder of the last run; their names begin with the time."""
    runs = sorted(path.parent for path in folder.glob("runs/*/events.jsonl"))
    return runs[-1] if runs else None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_suite(parser)


def command(options: argparse.Namespace) -> int:
    """Print the status."""
    suite = load_suite(options.suite)
    results = read_results(suite, Store(Path(options.results), suite.suite))
    print("\n".join(status_lines(results)))
    return 0
