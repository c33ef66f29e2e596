"""Parse a command line and run its command."""

import argparse
import sys
from collections.abc import Sequence

from radapt.cli import analyze, anchor, finetune, fit
from radapt.terminal import legible_output


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return 0, or 2 with one message where the call is wrong."""
    with legible_output():
        return _run(arguments)


def _run(arguments: Sequence[str] | None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m radapt",
        description="R-Adapt: a robust CLIP by changing only its start.",
        epilog="Each command's --help shows an example.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in (anchor, fit, finetune, analyze):
        command.add(commands)
    options = parser.parse_args(arguments)
    try:
        options.run(options)
    except (ValueError, TypeError, OSError) as error:
        # the library's own words for a wrong argument, file or tower
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0
