"""The parts of the campaign, each a function that yields rows."""

import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from tests.gpu.against import against, agreement
from tests.gpu.memory import memory
from tests.gpu.out_of_memory import out_of_memory
from tests.gpu.rates import compiled, graphs, rates
from tests.gpu.runs import again, devices, workers
from tests.gpu.saved import Saved
from tests.gpu.scale import FULL, SMALL, Row, Scale
from tests.perf.subjects import machine

PARTS: Mapping[str, Callable[[Scale], Iterator[Row]]] = {
    part.__name__: part
    for part in (
        *(rates, devices, memory, against, agreement, out_of_memory, again, workers, compiled),
        graphs,
    )
}


def run_part(name: str, folder: Path, *, small: bool) -> None:
    """Run a part in this process; its rows are saved one by one, and so is its error."""
    saved = Saved(name, small, machine())
    saved.put(folder)
    try:
        for row in PARTS[name](SMALL if small else FULL):
            saved.rows.append(row)
            saved.put(folder)
            print("  " + "   ".join(f"{key}: {value}" for key, value in row.items()), flush=True)
        saved.error = ""
    except Exception as error:
        traceback.print_exc()
        saved.error = traceback.format_exception_only(error)[-1].strip()
    saved.put(folder)
