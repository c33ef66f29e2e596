"""The name and version of this program."""

import sys
from pathlib import Path

PROJECT = "radapt-bench"  # the package, its command, and the source of its results for others
_SCRIPT = "run_bench.py"
_IN_CHECKOUT = (Path(__file__).parents[2] / _SCRIPT).is_file()

# in a checkout both work: messages tell a user to call the one that was called
PROGRAM = _SCRIPT if _IN_CHECKOUT and Path(sys.argv[0]).stem != PROJECT else PROJECT


def project_version() -> str:
    """Return the version of this program; empty in a checkout that is not installed."""
    import importlib.metadata  # takes longer than the rest of a help text

    try:
        return importlib.metadata.version(PROJECT)
    except importlib.metadata.PackageNotFoundError:
        return ""
