"""One fault after another: strike, start again, and compare with what nothing happened to."""

import random
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.faults.child import finish, start
from tests.faults.kinds import Fault, Struck
from tests.faults.suite import Kind, Undisturbed, begun, command, table

_RESTARTS = 3
_DISK = "8m"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a run.

    Attributes:
        hit: Whether the fault struck; else the run was over before, or there was nothing to hit.
        wrong: What is not as it should be; empty where all is.
        restarts: How often it was started again until it was done.
    """

    hit: bool
    wrong: str = ""
    restarts: int = 0


@contextmanager
def small_disk(folder: Path) -> Iterator[Path | None]:
    """Mount a small disk in memory for a while; None where that is not allowed."""
    folder.mkdir()
    call = ["mount", "-t", "tmpfs", "-o", f"size={_DISK}", "tmpfs", str(folder)]
    try:
        subprocess.run(call, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        yield None
        return
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def until_hit(
    fault: Fault, kind: Kind, undisturbed: Undisturbed, folder: Path, disk: Path, seed: int
) -> Outcome:
    """Let a fault befall a run, with its results on some disk, at another moment where
    that one came too late."""
    for attempt in range(20):
        outcome = _befall(fault, kind, undisturbed, folder, disk, 1000 * seed + attempt)
        if outcome.hit:
            return outcome
    return outcome


def _befall(
    fault: Fault, kind: Kind, undisturbed: Undisturbed, folder: Path, disk: Path, seed: int
) -> Outcome:
    chance = random.Random(f"{fault.name} {kind} {seed}")
    results, log, trigger = disk / "results", folder / "log", folder / "trigger"
    held = folder / "held"
    shutil.rmtree(results, ignore_errors=True)
    for file in (trigger, held):
        file.unlink(missing_ok=True)
    call = command(kind, undisturbed.suite, results)
    # of its passes; under Ray it has none itself
    before = chance.randint(1, undisturbed.passes) if kind == "inline" else 0
    process = start(call, log, fault.inside, str(trigger), seed, str(held), before)
    if not begun(process, results):
        return Outcome(True, f"exit code {finish(process)} before it began")
    if before:
        while process.is_alive() and not held.exists():
            time.sleep(0.01)
    else:
        process.join(chance.uniform(0, undisturbed.seconds[kind]))
    if not process.is_alive():
        finish(process)
        return Outcome(False)
    run = Struck(process, results, trigger, chance, held)
    hit = fault.strike(run)
    jobs = _jobs_begun(run)
    run.release()
    code = finish(process)
    if code == 0 and 0 not in fault.exits:
        return Outcome(False)  # it was all but over
    if fault.inside in ("exception", "memory"):
        hit = not trigger.exists()
    hit = hit and fault.after(results, chance)
    if not hit:
        return Outcome(False)
    if code not in fault.exits:
        return Outcome(True, f"exit code {code}")
    # a run under Ray does not wait while it is struck, and may just be telling of a job
    if code == 130 and (more := _jobs_begun(run) - jobs) > (kind == "ray"):
        return Outcome(True, f"began {more} more jobs after it was told to stop")
    return _again(code, kind, undisturbed, results, log)


def _jobs_begun(run: Struck) -> int:
    return sum(event["event"] == "starting" for event in run.events())


def _again(code: int, kind: Kind, undisturbed: Undisturbed, results: Path, log: Path) -> Outcome:
    suite, restarts = undisturbed.suite, 0
    if (said := finish(start(["status", suite, "--results", results], log))) != 0:
        return Outcome(True, f"exit code {said} of status")
    while code != 0:
        if restarts == _RESTARTS:
            return Outcome(True, f"exit code {code} after {restarts} restarts", restarts)
        restarts += 1
        code = finish(start(command(kind, suite, results), log))
    equal = table(results).equals(undisturbed.cells)
    return Outcome(True, "" if equal else "other values", restarts)
