"""Measure on a GPU what a CPU cannot show, and write docs/gpu.md.

python -m tests.gpu                    all parts that are not finished yet; needs a GPU
python -m tests.gpu --small            all parts in small, on any machine; writes no page
python -m tests.gpu --only rates       some parts
python -m tests.gpu --markdown         measure nothing; write the page from a folder
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

from tests.gpu import page
from tests.gpu.saved import Saved, read


def main() -> int:
    """Run the chosen parts, each in its own process; return 1 if one is not finished."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.gpu",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("--out", type=Path, default=Path("build/gpu"), help="folder of the parts")
    parser.add_argument("--only", nargs="+", choices=page.PARTS, default=list(page.PARTS))
    parser.add_argument("--small", action="store_true", help="find errors, measure nothing")
    parser.add_argument("--markdown", action="store_true", help="write the page, measure nothing")
    parser.add_argument("--minutes", type=float, default=9.0, help="for all parts together")
    parser.add_argument("--here", action="store_true", help="run the parts in this process")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    if not given.markdown:
        if given.here:
            from tests.gpu.parts import run_part

            for name in given.only:
                run_part(name, given.out, small=given.small)
            return 0
        if not given.small and not _gpu():
            parser.error("torch sees no GPU; on a CPU use --small")
        campaign(given.out, given.only, small=given.small, minutes=given.minutes)
    found = [read(given.out, name, small=given.small) for name in page.PARTS]
    saved = [each for each in found if each]
    if not given.small:
        print(page.write(saved))
    return int(any(each.error for each in saved))


def campaign(folder: Path, names: list[str], *, small: bool, minutes: float) -> None:
    """Run the parts that are not finished: first those never begun, in order of importance."""
    ends = time.monotonic() + 60 * minutes
    known = {name: read(folder, name, small=small) for name in names}
    todo = [name for name in names if not _finished(known[name])]
    for name in sorted(todo, key=lambda name: known[name] is not None):
        left = ends - time.monotonic()
        if left <= 0:
            print(f"{name}: no time left; run the command again", flush=True)
            continue
        print(f"\n{name}", flush=True)
        more = ["--small"] if small else []
        if why := in_process(["--here", "--only", name, "--out", str(folder), *more], left):
            saved = read(folder, name, small=small) or Saved(name, small, "unknown")
            saved.error = why
            saved.put(folder)


def in_process(arguments: list[str], seconds: float) -> str:
    """Run this command in a process of its own; return why it was ended, or nothing."""
    command = [sys.executable, "-m", "tests.gpu", *arguments]
    try:
        code = subprocess.run(command, timeout=seconds).returncode
    except subprocess.TimeoutExpired:
        return f"no time left after {seconds:.0f} s"
    return f"the process ended with exit code {code}" if code else ""


def _finished(saved: Saved | None) -> bool:
    return saved is not None and not saved.error


def _gpu() -> bool:
    import torch

    return torch.cuda.is_available()


if __name__ == "__main__":
    sys.exit(main())
