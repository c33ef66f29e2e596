"""What may befall a run, and what is done about it before it is started again."""

import os
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from multiprocessing.process import BaseProcess
from pathlib import Path

from bench.run.events import read_events
from bench.run.progress import Event
from tests.faults.inside import Inside
from tests.faults.suite import NAME, Kind

_FULL = "ballast"  # a file that takes all the room there is


@dataclass(frozen=True, slots=True)
class Struck:
    """A run that a fault strikes.

    Attributes:
        process: The driver.
        results: Folder of its results.
        trigger: File that sets off what is armed inside.
        chance: Source of all that is random.
        held: File that a run waits for the end of, while it is there.
    """

    process: BaseProcess
    results: Path
    trigger: Path
    chance: random.Random
    held: Path

    def release(self) -> None:
        """Let a run that waits go on."""
        self.held.unlink(missing_ok=True)

    def events(self) -> list[Event]:
        """Return what the run has told so far."""
        return [
            event
            for path in self.results.glob(f"{NAME}/runs/*/events.jsonl")
            for event in read_events(path)
        ]


def _no_cure(results: Path, chance: random.Random) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Fault:
    """What befalls a run.

    Attributes:
        name: As the table has it.
        exits: How the run may end that it befalls; a negative number is a signal's.
        strike: Does it, at the moment; False where there is nothing to strike.
        inside: What of it is armed in the run's own processes.
        after: What is done before the run is started again; False where nothing could be.
        small_disk: Whether the results are on a small disk.
    """

    name: str
    exits: frozenset[int]
    strike: Callable[[Struck], bool]
    inside: Inside = ""
    after: Callable[[Path, random.Random], bool] = _no_cure
    small_disk: bool = False


def _signal(number: signal.Signals) -> Callable[[Struck], bool]:
    def strike(run: Struck) -> bool:
        assert run.process.pid is not None
        os.kill(run.process.pid, number)
        return True

    return strike


def _kill_worker(run: Struck) -> bool:
    """Kill one of the workers that are up, as soon as there is one."""
    while run.process.is_alive():
        pids = [int(event["where"].split()[1]) for event in run.events() if "where" in event]
        if alive := [pid for pid in pids if _is_worker(pid)]:
            os.kill(run.chance.choice(alive), signal.SIGKILL)
            return True
        time.sleep(0.02)
    return False


def _is_worker(pid: int) -> bool:
    try:
        return b"ray::" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def _set_off(run: Struck) -> bool:
    run.trigger.touch()
    return True


def _jump_then_kill(run: Struck) -> bool:
    """Let the clock jump, and end every other run once it has told something after that."""
    told = len(run.events())
    run.trigger.touch()
    run.release()
    if run.chance.random() < 0.5:
        while run.process.is_alive() and len(run.events()) == told:
            time.sleep(0.01)
        run.process.kill()
    run.process.join()
    now = datetime.now(UTC)
    times = [datetime.fromisoformat(event["time"]) for event in run.events()]
    return any(abs(time - now) > timedelta(hours=12) for time in times)


def _fill(run: Struck) -> bool:
    with (run.results / _FULL).open("wb", buffering=0) as file:
        for size in (1 << 16, 1):
            try:
                while file.write(bytes(size)):
                    pass
            except OSError:
                continue
    return True


def _make_room(results: Path, chance: random.Random) -> bool:
    (results / _FULL).unlink()
    return True


def _truncate(pattern: str) -> Callable[[Path, random.Random], bool]:
    def after(results: Path, chance: random.Random) -> bool:
        files = sorted(results.glob(pattern))
        if not files:
            return False
        path = chance.choice(files)
        if not path.stat().st_size:
            return False
        os.truncate(path, chance.randrange(path.stat().st_size))
        return True

    return after


_KILLED = frozenset({-signal.SIGKILL})
_KILL = _signal(signal.SIGKILL)


def _truncated(what: str, pattern: str) -> Fault:
    return Fault(f"SIGKILL, then a truncated {what}", _KILLED, _KILL, after=_truncate(pattern))


_ANYWHERE = (
    Fault("SIGKILL of the driver", _KILLED, _KILL),
    Fault("Ctrl-C (SIGINT)", frozenset({130}), _signal(signal.SIGINT)),
    Fault("SIGTERM", frozenset({130}), _signal(signal.SIGTERM)),
    # 0 where it struck a part that another worker was given: the cell then does that itself
    Fault("exception inside a model", frozenset({0, 1}), _set_off, "exception"),
    Fault("CUDA out of memory, simulated", frozenset({0}), _set_off, "memory"),
    Fault("full disk", frozenset({2}), _fill, after=_make_room, small_disk=True),
)
FAULTS: dict[Kind, tuple[Fault, ...]] = {
    "inline": (
        *_ANYWHERE,
        _truncated("file of frames", f"{NAME}/cells/*.cells"),
        _truncated("file of bodies", f"{NAME}/cells/*.bodies"),
        _truncated("part of a result", f"{NAME}/parts/*/[!.]*.json"),
        _truncated("craft", "crafts/[!.]*.safetensors"),
        Fault("clock that jumps", _KILLED | {0}, _jump_then_kill, "clock"),
    ),
    "ray": (Fault("SIGKILL of a worker", frozenset({0}), _kill_worker), *_ANYWHERE),
}
