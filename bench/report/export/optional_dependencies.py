"""Checks the optional packages of `--parquet` and `--figures`."""

import importlib.util

from bench.core.errors import UserError
from radapt.optional_packages import not_installed

_NEEDS = {"parquet": "pyarrow", "figures": "matplotlib"}  # option -> package that it needs


def check_extras(wanted: dict[str, bool]) -> None:
    """Check the packages of the chosen options before any file is written.

    Args:
        wanted: Whether each option was chosen.

    Raises:
        UserError: A package of a chosen option is not installed.
    """
    for option, package in _NEEDS.items():
        if wanted.get(option) and importlib.util.find_spec(package) is None:
            raise UserError(f"--{option}: {not_installed(package)}")
