"""Checks the optional packages of `--parquet` and `--figures`."""

import importlib.util

from bench.core.errors import UserError

# option -> package that it needs, and this project's extra that installs the package
_NEEDS = {"parquet": ("pyarrow", "export"), "figures": ("matplotlib", "plot")}


def check_extras(wanted: dict[str, bool]) -> None:
    """Check the packages of the chosen options before any file is written.

    Args:
        wanted: Whether each option was chosen.

    Raises:
        UserError: A package of a chosen option is not installed.
    """
    for option, (package, extra) in _NEEDS.items():
        if wanted.get(option) and importlib.util.find_spec(package) is None:
            raise UserError(
                f"--{option}: {package} is not installed; run `pip install 'radapt-bench[{extra}]'`"
            )
