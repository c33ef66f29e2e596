"""What only some exports need, and what each of it needs."""

import importlib.util

from bench.core.errors import UserError

# option -> the package that it needs, and the extra of this project that has it
_NEEDS = {"parquet": ("pyarrow", "export"), "figures": ("matplotlib", "plot")}


def check_extras(wanted: dict[str, bool]) -> None:
    """Say what is missing before anything is written.

    Raises:
        UserError: A package that a wanted option needs is not installed.
    """
    for option, (package, extra) in _NEEDS.items():
        if wanted.get(option) and importlib.util.find_spec(package) is None:
            raise UserError(
                f"--{option}: {package} is not installed; "
                f"`pip install 'radapt-bench[{extra}]'` brings it"
            )
