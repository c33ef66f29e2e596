"""Parse the command line of `python -m radapt` and run the command."""

import argparse
import sys
from collections.abc import Sequence

from radapt.cli import analyze, anchor, finetune, fit
from radapt.terminal import legible_output


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return 0, or print an error message and return 2."""
    with legible_output():
        return _run(arguments)


def _run(arguments: Sequence[str] | None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m radapt",
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
    return 0
