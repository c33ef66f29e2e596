"""Parse the command line of `radapt`, also `python -m radapt`, and run the command."""

import argparse
import sys
from collections.abc import Sequence

from radapt.cli import analyze, anchor, finetune, fit
from radapt.optional_packages import is_optional, not_installed
from radapt.terminal import legible_output


def main(arguments: Sequence[str] | None = None, program: str = "python -m radapt") -> int:
    """Run a command; return 0, or print an error message and return 2.

    Args:
        arguments: The command line after the program's name; default: that of this process.
        program: How the user started the program, for its help.
    """
    with legible_output():
        return _run(arguments, program)


def start() -> int:
    """Run the command `radapt`; modules of the working folder are found, as by `python -m`."""
    sys.path.insert(0, "")
    return main(program="radapt")


def _run(arguments: Sequence[str] | None, program: str) -> int:
    parser = argparse.ArgumentParser(
        prog=program,
        description="R-Adapt: a robust CLIP by changing only its first layers.",
        epilog="The --help of each command shows an example.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in (anchor, fit, finetune, analyze):
        command.add(commands)
    options = parser.parse_args(arguments)
    try:
        options.run(options)
    except (ValueError, TypeError, OSError) as error:
        # the library raises these for a wrong argument, file or tower
        print(f"error: {error}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        if not is_optional(error.name):
            raise
        print(f"error: {not_installed(str(error.name))}", file=sys.stderr)
        return 2
    return 0
