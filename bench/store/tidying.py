"""Tidy the results of cells before a run, while no other process writes to them.

All results are checked: other commands read no more of them than they need.
Files of earlier versions are copied into a segment. Segments are merged if there are many, if most
of what they hold was replaced, or if they are damaged. Nothing is lost if the process is killed:
the disk has the copies before the originals are removed, and readers take the later of two.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from bench.core.types import CellResult
from bench.store.cell_log import OLD, CellLog, last_stored
from bench.store.result_on_disk import check
from bench.store.segments import BODIES, FRAMES
from bench.store.writing import writing

_MOST_SEGMENTS = 8
_AT_ONCE = 256  # results that are copied together
T = TypeVar("T")


def tidy(log: CellLog, read: Callable[[str], CellResult | None]) -> None:
    """Copy files of earlier versions into a segment, and merge segments.

    Args:
        log: The results.
        read: Returns the result in a file of an earlier version.

    Raises:
        StoreError: A file cannot be read, written or removed.
    """
    log.refresh()
    _drop_damaged(log)
    _remove(
        path for path in log.folder.glob(f"*{BODIES}") if path.stem + FRAMES not in log.segments
    )
    if log.old:
        _take_over(log, read)
    if len(log.segments) > _MOST_SEGMENTS or log.frames > 2 * len(log.places) or log.damaged:
        _merge(log)


def _drop_damaged(log: CellLog) -> None:
    """Tell which results are damaged, and forget them; a run computes them again."""
    for cell in list(log.places):
        if found := log.get(cell.hex()):
            log.read(found, check)


def _take_over(log: CellLog, read: Callable[[str], CellResult | None]) -> None:
    newest = last_stored(log.folder)
    old = sorted(log.old)
    for keys in _chunks([key for key in old if key not in log]):
        log.put([result for key in keys if (result := read(key)) is not None])
    log.finish_segment(newest)
    _remove(log.folder / f"{key}{OLD}" for key in old)
    log.refresh()


def _merge(log: CellLog) -> None:
    newest, old = last_stored(log.folder), list(log.segments.values())
    for cells in _chunks(list(log.places)):
        log.append([log.frame(cell)[1] for cell in cells], [log.body(cell) for cell in cells])
    log.finish_segment(newest)
    _remove(segment.path for segment in old)  # first, since they point to bodies
    _remove(segment.bodies for segment in old)
    log.refresh()


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        with writing(path):
            path.unlink(missing_ok=True)


def _chunks(values: Sequence[T]) -> Iterator[Sequence[T]]:
    return (values[start : start + _AT_ONCE] for start in range(0, len(values), _AT_ONCE))
