"""What tests ask about stored cells, and do to them."""

import shutil
from collections.abc import Iterable
from pathlib import Path

from bench.core.types import CellResult
from bench.store.cell_records import result_to_json
from bench.store.results_folder import Store
from bench.store.segments import BODIES, FRAMES


def is_finished(store: Store, cell_id: str) -> bool:
    """Return whether a cell has a stored result that is not a failure."""
    result = store.get(cell_id)
    return result is not None and result.finished


def stored_ids(folder: Path) -> set[str]:
    """Return the ids of the cells that have a result in a suite's folder of results."""
    store = Store(folder.parent, folder.name)
    store.cells.refresh()
    return {*(cell.hex() for cell in store.cells.places), *store.cells.old}


def whole_results(store: Store, cell_ids: Iterable[str]) -> dict[str, CellResult]:
    """Return the whole results of cells, without those that are absent or damaged."""
    found = {key: result.whole() for key, result in store.find(cell_ids).items()}
    return {key: result for key, result in found.items() if result is not None}


def forget(folder: Path, *cell_ids: str) -> None:
    """Remove the results of cells from a suite's folder, as if they had never been stored."""
    before = Store(folder.parent, folder.name)
    others = whole_results(before, sorted(stored_ids(folder) - set(cell_ids)))
    assert len(others) + len(cell_ids) == len(stored_ids(folder))
    shutil.rmtree(folder / "cells")
    Store(folder.parent, folder.name).cells.put(list(others.values()))


def change_body(folder: Path, cell_id: str) -> Path:
    """Change a byte of a cell's body, and return the file that it is in."""
    store = Store(folder.parent, folder.name)
    store.cells.refresh()
    segment, frame = store.cells.frame(bytes.fromhex(cell_id))
    content = bytearray(segment.bodies.read_bytes())
    content[frame.offset + frame.length // 2] ^= 1
    segment.bodies.write_bytes(content)
    return segment.bodies


def store_as_before(folder: Path) -> list[Path]:
    """Store all results of a suite as earlier versions did, each in a file of its own."""
    store = Store(folder.parent, folder.name)
    results = whole_results(store, sorted(stored_ids(folder)))
    shutil.rmtree(folder / "cells")
    (folder / "cells").mkdir()
    paths = [folder / "cells" / f"{key}.json" for key in results]
    for path, result in zip(paths, results.values(), strict=True):
        path.write_text(result_to_json(result, result.cell_id))
    return paths


def segments(folder: Path) -> list[Path]:
    """Return the files of segments in a suite's folder of results."""
    cells = folder / "cells"
    return [*sorted(cells.glob(f"*{FRAMES}")), *sorted(cells.glob(f"*{BODIES}"))]
