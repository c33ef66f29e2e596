"""Install the wheel into an empty environment and run the quickstart from an empty folder.

    make release-check
    python -m tests.release --pip-option=--extra-index-url=https://download.pytorch.org/whl/cpu

It prints the packages by size and the time of each step. Packages come from where pip is set up to
find them. The folder is removed at the end, unless `--keep` names one.
"""

import argparse
import os
import shlex
import subprocess
import sys
import time
import venv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.support.wheel import ROOT, build_wheel

_SHOWN = 12  # packages in the list of sizes


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the check; return 0 if the quickstart ended in its page."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.release",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--suite",
        default="quickstart",
        help="a shipped suite or an absolute path; default: %(default)s",
    )
    parser.add_argument("--pip-option", action="append", default=[], help="an option for pip")
    parser.add_argument("--keep", type=Path, help="folder to work in, which must not exist")
    options = parser.parse_args(arguments)
    with _folder(options.keep) as folder:
        return _check(folder, options.suite, options.pip_option)


def _check(folder: Path, suite: str, pip_options: Sequence[str]) -> int:
    environment, work = folder / "environment", folder / "empty"
    with _timed("build the wheel"):
        wheel = build_wheel(folder / "build")
    with _timed("make an environment"):
        venv.create(environment, with_pip=True)
    before = _megabytes(environment)
    with _timed("install the wheel"):
        constraints = ("--constraint", str(ROOT / "constraints.txt"))
        pip = (str(environment / "bin" / "pip"), "install", "--quiet", *constraints)
        _call((*pip, *pip_options, str(wheel)), folder)
    _print_sizes(environment, before)
    work.mkdir()
    with _timed(f"radapt-bench {suite}"):
        _call((str(environment / "bin" / "radapt-bench"), suite), work)
    pages = list(work.glob("results/*/leaderboard.html"))
    for page in pages:
        print(f"{page}: {page.stat().st_size:,} bytes")
    return 0 if pages else 1


@contextmanager
def _folder(kept: Path | None) -> Iterator[Path]:
    if kept is None:
        with TemporaryDirectory() as name:
            yield Path(name)
    else:
        kept.mkdir()
        yield kept.absolute()


@contextmanager
def _timed(step: str) -> Iterator[None]:
    begun = time.perf_counter()
    yield
    print(f"{time.perf_counter() - begun:6.0f} s  {step}", flush=True)


def _call(command: Sequence[str], folder: Path) -> None:
    # without the variables by which Python would find this checkout
    variables = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "LANG": "C.UTF-8"}
    done = subprocess.run(command, cwd=folder, env={**_pip_variables(), **variables}, check=False)
    if done.returncode:
        sys.exit(f"{shlex.join(command)}: exit code {done.returncode}")


def _pip_variables() -> dict[str, str]:
    return {
        key: value for key, value in os.environ.items()
        if key.startswith("PIP_") or key.lower().endswith("_proxy") or key.startswith("SSL_")
    }  # fmt: skip


def _megabytes(place: Path) -> float:
    files = [place] if place.is_file() else place.rglob("*")
    return sum(file.lstat().st_size for file in files if not file.is_dir()) / 1e6


def _print_sizes(environment: Path, before: float) -> None:
    (packages,) = environment.glob("lib/python*/site-packages")
    sizes = sorted(((_megabytes(place), place.name) for place in packages.iterdir()), reverse=True)
    print(f"{before:,.0f} MB before, {_megabytes(environment):,.0f} MB after:")
    print(", ".join(f"{name} {size:.0f}" for size, name in sizes[:_SHOWN]))


if __name__ == "__main__":
    sys.exit(main())
