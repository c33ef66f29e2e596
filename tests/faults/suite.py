"""What is run: a small suite of nested attacks and transferred crafts, and its tables."""

import time
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import yaml

from bench import load_results
from bench.run.events import read_events
from tests.faults.child import finish, start

Kind = Literal["inline", "ray"]
NAME = "faults"
_SUITE: dict[str, Any] = {
    "suite": NAME,
    "protocol": {"preset": "radapt-paper", "pixels": "native"},
    "samples": 6,
    "models": {
        "CLIP": {"kind": "nano", "weights": "clip"},
        "FARE": {"kind": "nano", "weights": "fare"},
        "R-Adapt": {
            **{"kind": "radapt", "base": "CLIP", "anchor": {"white": "FARE"}},
            **{"alpha": 1.0, "cutoff": 40},
        },
    },
    "datasets": ["cifar10", "digits"],
    "threats": ["white-box", {"transfer": "CLIP"}],
}


def _attacks(steps: int) -> list[dict[str, Any]]:
    return [
        {"kind": "apgd-ce", "eps": ["0.002", "0.004"], "steps": steps, "nested": True},
        {"kind": "pgd", "eps": "0.004", "steps": steps},
    ]


@dataclass(frozen=True, slots=True)
class Undisturbed:
    """What a run comes to that nothing happens to.

    Attributes:
        suite: The suite's file.
        seconds: From the run's first event to its end, by executor.
        passes: Passes through a model in the run's own process.
        cells: Its table.
    """

    suite: Path
    seconds: dict[Kind, float]
    passes: int
    cells: pd.DataFrame


def run_undisturbed(folder: Path, steps: int, kinds: list[Kind]) -> Undisturbed:
    """Run the suite with so many steps of each attack, once by each executor.

    Raises:
        RuntimeError: A run fails, or the executors differ.
    """
    suite = folder / "suite.yaml"
    suite.write_text(yaml.safe_dump({**_SUITE, "attacks": _attacks(steps)}, sort_keys=False))
    seconds: dict[Kind, float] = {}
    tables, passes = [], 0
    for kind in kinds:
        results, log = folder / f"undisturbed-{kind}", folder / f"undisturbed-{kind}.log"
        held = folder / f"held-{kind}"
        process = start(command(kind, suite, results), log, held=str(held))
        begun(process, results)
        started = time.monotonic()
        if (code := finish(process)) != 0:
            raise RuntimeError(f"an undisturbed run ended with {code}: {log.read_text()}")
        seconds[kind] = time.monotonic() - started
        tables.append(table(results))
        if kind == "inline":
            passes = held.with_name(f"{held.name}.passes").stat().st_size
    if not all(tables[0].equals(other) for other in tables):
        raise RuntimeError("undisturbed runs differ by executor")
    return Undisturbed(suite, seconds, passes, tables[0])


def command(kind: Kind, suite: Path, results: Path) -> list[object]:
    """Return the arguments of a run."""
    workers = ["--workers", 2] if kind == "ray" else []
    common = ["run", suite, "--results", results, "--device", "cpu", "--executor", kind]
    return [*common, "--no-check", *workers]  # what time leaves unexamined differs from run to run


def begun(process: BaseProcess, results: Path) -> bool:
    """Wait until a run has told that it began; False where it ends before."""
    while process.is_alive():
        files = results.glob(f"{NAME}/runs/*/events.jsonl")
        if any(any(read_events(file)) for file in files):
            return True
        time.sleep(0.01)
    return False


def table(results: Path) -> pd.DataFrame:
    """Return a run's table, but for the time that things took."""
    return load_results(results / NAME).drop(columns=["seconds", "load_seconds"])
