"""The command line of the harness: find the command, run it, turn its outcome into an exit code."""

import argparse
import importlib
import os
import sys
import traceback
from types import ModuleType

from bench.core.errors import UserError
from bench.core.terminal import legible_output

# name -> what `--help` says; each is a module of this folder with `add_arguments` and `command`
COMMANDS = {
    "run": "compute what is missing and write the tables",
    "plan": "say what a run would compute, without computing",
    "status": "say what is done, and what a run is doing now",
    "export": "write the tables from what is stored",
    "images": "write a page of clean and adversarial images of a cell",
    "merge": "add another's results of the suite; exit code 1 if some differ from ours",
    "check": "say which numbers not to believe, and which differ from published ones",
    "compare": "compare results with a model, with other results or with published numbers",
    "fetch": "download models and data ahead of time; runs then need no network",
    "doctor": "say what is missing here, and what to do about it",
    "list": "say what a suite may name",
}


def main(arguments: list[str], about: str | None = None) -> int:
    """Run a command and return the exit code: 0, 1 if a cell failed, 2 if the call is wrong.

    Args:
        arguments: The command line after the program's name; `SUITE` alone means `run SUITE`.
        about: What `--help` says first.
    """
    with legible_output():
        return _main(arguments, about)


def _main(arguments: list[str], about: str | None) -> int:
    if arguments and arguments[0] not in (*COMMANDS, "-h", "--help"):
        arguments = ["run", *arguments]
    options = _parser(arguments[:1], about).parse_args(arguments)
    try:
        return int(options.command(options))
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader has left, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt as stop:
        what = str(stop) or "finished cells are kept, run again to go on"
        print(f"stopped; {what}", file=sys.stderr)
        return 130
    except Exception:  # a fault of ours; its message may quote a suite or a file, too
        print(traceback.format_exc(), end="", file=sys.stderr)
        return 1


def _parser(asked: list[str], about: str | None) -> argparse.ArgumentParser:
    """Return the parser; it imports the asked command alone, since imports take time."""
    parser = argparse.ArgumentParser(
        prog="run_bench.py", description=about, formatter_class=argparse.RawTextHelpFormatter
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, what in COMMANDS.items():
        command = commands.add_parser(name, help=what, description=what)
        if [name] == asked:
            module = _module(name)
            module.add_arguments(command)
            command.set_defaults(command=module.command)
    return parser


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"bench.commands.{name}")
