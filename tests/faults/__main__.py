"""Hit many runs of a small suite at random moments, and compare what they come to in the end.

python -m tests.faults              the whole campaign and its table; 1 if anything differs
python -m tests.faults --runs 20    a smaller one

A disk is filled only where a small one can be mounted, which takes root.
"""

import argparse
import signal
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path

from tests.faults.campaign import Outcome, small_disk, until_hit
from tests.faults.kinds import FAULTS, Fault
from tests.faults.suite import Kind, run_undisturbed

Outcomes = dict[tuple[Kind, Fault], list[Outcome]]


def main() -> int:
    """Run the campaign and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("--runs", type=int, default=50, help="at least; default: 50")
    parser.add_argument("--executor", nargs="+", choices=list(FAULTS), default=list(FAULTS))
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the disk goes, whoever ends it
    with tempfile.TemporaryDirectory() as name:
        found = _campaign(Path(name), given.executor, given.runs, given.seed)
    print("\n".join(_table(found)))
    every = [each for outcomes in found.values() for each in outcomes]
    return 0 if all(each.hit and not each.wrong for each in every) else 1


def _campaign(folder: Path, kinds: list[Kind], runs: int, seed: int) -> Outcomes:
    undisturbed = run_undisturbed(folder, 10, kinds)
    told = ", ".join(f"{kind} {seconds:.1f} s" for kind, seconds in undisturbed.seconds.items())
    print(f"undisturbed: {len(undisturbed.cells)} cells, {told}", flush=True)
    found: Outcomes = defaultdict(list)
    with small_disk(folder / "disk") as disk:
        every = [(kind, fault) for kind in kinds for fault in FAULTS[kind]]
        possible = [pair for pair in every if disk or not pair[1].small_disk]
        for pair in every:
            found[pair] = []
        rounds = -(-runs // len(possible))
        for number, (kind, fault) in enumerate(islice(cycle(possible), rounds * len(possible))):
            place = disk if fault.small_disk and disk else folder
            outcome = until_hit(fault, kind, undisturbed, folder, place, seed + number)
            found[kind, fault].append(outcome)
            told = outcome.wrong or ("equal" if outcome.hit else "not hit")
            print(f"{number + 1} {fault.name} ({kind}): {told}", flush=True)
            if outcome.wrong:
                print((folder / "log").read_text()[-4000:])
    return found


def _table(found: Outcomes) -> Iterator[str]:
    yield "| fault | executor | runs | restarts | equal |"
    yield "| --- | --- | --- | --- | --- |"
    total = 0
    for (kind, fault), outcomes in found.items():
        hits = [outcome for outcome in outcomes if outcome.hit]
        total += len(hits)
        equal = sum(1 for outcome in hits if not outcome.wrong)
        restarts = sum(outcome.restarts for outcome in hits)
        said = f"{equal} of {len(hits)}" if hits else "skipped: no small disk can be mounted here"
        yield f"| {fault.name} | {kind} | {len(hits)} | {restarts} | {said} |"
    yield f"\n{total} runs were hit."


if __name__ == "__main__":
    raise SystemExit(main())
