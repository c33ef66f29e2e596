"""Two thousand cheap cells: what a run costs around its models, its commands, and its page.

python -m tests.perf --only load start
python -m tests.perf.load FOLDER    runs the suite, and prints what its cells cost

The suite has 50 models of a user, attacked white-box and with the images of 39 of them. This gives
2,050 cells, and a leaderboard of 2,000 rows.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch
import yaml

from bench.core.types import CellResult
from bench.run.jobs import Job
from bench.run.suite_run import run_suite
from bench.run.watchers import Watcher
from tests.support.browser import CHROMIUM, Tab, browser
from tests.support.stored_cells import stored_ids

_ROUNDS = 5
_MODELS, _SOURCES = 50, 39
SUITE = {
    "suite": "load",
    "protocol": {"preset": "radapt-paper", "pixels": "native"},
    "samples": 8,
    "models": {
        f"own {place}": {
            "kind": "python",
            "target": "own_model:Own",
            "args": {"place": place},
        }
        for place in range(_MODELS)
    },
    "datasets": ["cifar10"],
    "attacks": [{"kind": "fgsm", "eps": "1/255"}],
    "threats": ["white-box", *({"transfer": f"own {place}"} for place in range(_SOURCES))],
}
_BENCH = (sys.executable, "run_bench.py")
_LIBRARIES = (sys.executable, "-c", "import numpy, pydantic, yaml")  # what each command imports
_PLAN = ("plan", "suites/quickstart.yaml")
_STATUS = ("status", "suites/quickstart.yaml")


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds on the wall's clock, and of the processor."""

    wall: float
    cpu: float

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.wall + other.wall, self.cpu + other.cpu)

    def __sub__(self, other: "Cost") -> "Cost":
        return Cost(self.wall - other.wall, self.cpu - other.cpu)


def now() -> Cost:
    """Return the clocks of this process."""
    return Cost(time.perf_counter(), time.process_time())


@dataclass
class _Clock(Watcher):
    """Measures from the first cell's beginning to the last one's end."""

    begun: Cost | None = None
    spent: Cost = Cost(0.0, 0.0)
    cells: int = 0

    def starting(self, slot: str, job: Job, estimate: float | None) -> None:
        self.begun = self.begun or now()

    def finished(self, slot: str, job: Job, result: CellResult, left: float | None) -> None:
        assert result.status == "ok", result.reason
        assert self.begun is not None
        self.spent, self.cells = now() - self.begun, self.cells + 1


def load() -> Iterator[dict[str, object]]:
    """Run the suite, ask for its status meanwhile, run it again, and open its page."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "load.yaml")
        path.write_text(yaml.safe_dump(SUITE, sort_keys=False))
        shutil.copy(Path(__file__).parent / "own_model.py", folder)
        given = (str(path), "--results", folder)
        call = [sys.executable, "-m", "tests.perf.load", folder]
        with subprocess.Popen(call, stdout=subprocess.PIPE, text=True) as running:
            _wait_for_cells(Path(folder), 500)
            beside = _cost((*_BENCH, "status", *given))
            assert running.poll() is None, "the run ended too early"
            assert running.stdout is not None
            wall, cpu = map(float, running.stdout.read().split()[-2:])
        yield _row("a cell, around its model", [Cost(wall, cpu)])
        yield _row("`status` beside the run", [beside])
        for name, command in (("`status`", ["status"]), ("finished run again", ["run", "--trust"])):
            yield _row(name, [_cost((*_BENCH, *command, *given)) for _ in range(_ROUNDS)])
        if CHROMIUM:
            yield from _page(Path(folder, "load", "leaderboard.html"))


def _row(work: str, costs: Sequence[Cost]) -> dict[str, object]:
    return {
        "work": work,
        "s": f"{median(cost.wall for cost in costs):.2g}",
        "CPU s": f"{median(cost.cpu for cost in costs):.2g}",
    }


def _page(page: Path) -> Iterator[dict[str, object]]:
    def sort(tab: Tab) -> None:
        tab.click("#board [data-sort='0'] button")
        tab.settle()

    with browser() as tab:
        tab.look(1280, 900)
        for name, act in (
            ("open the page", lambda: tab.open(page)),
            ("sort it", lambda: sort(tab)),
        ):
            seconds = median(_timed(act) for _ in range(_ROUNDS))
            yield {"work": name, "s": f"{seconds:.2g}"}
    yield {"work": "size of the page", "KB": round(page.stat().st_size / 1000)}


def start() -> Iterator[dict[str, object]]:
    """The processor's time of commands that only read, against that of their libraries alone."""
    commands = {"`list`": ("list",), "`plan`": _PLAN, "`status`": _STATUS}
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    for _ in range(_ROUNDS + 1):  # the first time compiles the modules
        for name, command in commands.items():
            pair = (_cost((*_BENCH, *command)).cpu, _cost(_LIBRARIES).cpu)
            spent[name].append(pair)
    for name, pairs in spent.items():
        known = pairs[1:]
        yield {
            "command": name,
            "CPU s": round(median(own for own, _ in known), 2),
            "libraries alone": round(median(base for _, base in known), 2),
            "ratio": round(median(own / base for own, base in known), 1),
        }


def _timed(act: Callable[[], object]) -> float:
    begun = time.perf_counter()
    act()
    return time.perf_counter() - begun


def _cost(command: Sequence[str]) -> Cost:
    """Return what a process costs."""
    begun = time.perf_counter()
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, command
    return Cost(time.perf_counter() - begun, usage.ru_utime + usage.ru_stime)


def _wait_for_cells(folder: Path, count: int) -> None:
    while len(stored_ids(folder / "load")) < count:
        time.sleep(0.05)


def main(folder: Path) -> None:
    """Run the suite."""
    torch.set_num_threads(1)
    clock = _Clock()
    run_suite(folder / "load.yaml", results=folder, trust=True, check=False, watcher=clock)
    around = clock.spent - Cost(*sys.modules["own_model"].spent)
    print(around.wall / clock.cells, around.cpu / clock.cells)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
