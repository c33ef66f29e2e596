"""The command line of the harness: runs a command and returns its exit code."""

import argparse
import importlib
import os
import sys
import traceback
from types import ModuleType
from typing import NoReturn

from bench.core.errors import UserError
from bench.core.exits import end_process
from bench.core.program import PROGRAM
from bench.core.shipped_files import named_suite, shipped_suites
from bench.core.suggestions import suggestion
from bench.core.terminal import legible_output

# Help texts by command. Each is a module of this folder with `add_arguments` and `command`.
COMMANDS = {
    "run": "compute missing cells and write the tables",
    "plan": "show what a run would compute and what it costs",
    "status": "show finished cells and the current run",
    "export": "write the tables from stored results",
    "data": "show the classes, prompts and some samples of the datasets, on a page",
    "site": "write a static site with the results of many suites",
    "images": "write a page with clean and adversarial images of a cell",
    "merge": "add results of the same suite from elsewhere; exit code 1 if cells conflict",
    "check": "find numbers that should not be trusted or that differ from published numbers",
    "compare": "compare results with a baseline model, other results or published numbers",
    "fetch": "download models and data, so that runs need no network",
    "doctor": "find what this machine lacks for a run, and say what to do",
    "init": "write a shipped suite to a file, for you to edit",
    "list": "list everything that a suite may contain",
}
_EXAMPLES = {
    "quickstart": "run the shipped suite of the embedded models",
    "mine.yaml": "run a suite, or continue a stopped run",
    "init zero_shot mine.yaml": "write a shipped suite to a file, for you to edit",
    "plan zero_shot": "show what a run computes, and its cost",
    "status quickstart": "show finished cells and the current run",
    "export quickstart": "write the tables again",
    "site results --out site": "write a site with all results",
    "images quickstart --cell ID": "write a page with a cell's images",
    "merge fare OTHER": "add results of another run: a folder or bundle",
    "check zero_shot": "find numbers that should not be trusted",
    "compare quickstart --baseline FARE": "test differences of models",
    "data zero_shot": "show classes, prompts and samples",
    "fetch zero_shot": "download models and data before a run",
    "doctor zero_shot": "find what this machine lacks for a run",
    "list": "list everything that a suite may contain",
}


def start() -> NoReturn:
    """Run the command of this process's command line, and end the process."""
    end_process(main(sys.argv[1:]))


def main(arguments: list[str]) -> int:
    """Run a command and return the exit code.

    Args:
        arguments: The command line after the program's name; `SUITE` alone means `run SUITE`.

    Returns:
        0 for success, 1 if a cell or a check failed, 2 for wrong input, 130 if interrupted.
    """
    with legible_output():
        return _main(arguments)


def _main(arguments: list[str]) -> int:
    if arguments and arguments[0] not in (*COMMANDS, "-h", "--help"):
        if near := _mistyped(arguments[0]):
            print(f"got the command {arguments[0]!r}; allowed: {near}", file=sys.stderr)
            return 2
        arguments = ["run", *arguments]
    options = _parser(arguments[:1]).parse_args(arguments)
    try:
        if getattr(options, "suite", None) is not None:
            options.suite = _chosen(options.suite)
        return int(options.command(options))
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader of a pipe has exited, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt as stop:
        advice = str(stop) or "finished cells are kept, run again to continue"
        print(f"stopped; {advice}", file=sys.stderr)
        return 130
    except Exception:  # a bug; printed here so that `legible_output` cleans what it quotes
        print(traceback.format_exc(), end="", file=sys.stderr)
        return 1


def _chosen(suite: str) -> str:
    """Return the file of the suite that a user named; say which file, if it is not the name."""
    found = named_suite(suite)
    if found.remark:
        print(found.remark, file=sys.stderr)
    return str(found.path)


def _mistyped(word: str) -> str:
    """Return the commands, if a word is like one and neither a suite nor an option."""
    if word.startswith("-"):
        return ""
    try:
        named_suite(word)
    except UserError:  # there is no such suite
        near = suggestion(word, (*COMMANDS, *shipped_suites()))
        return f"{', '.join(COMMANDS)}, or a suite{near}" if near else ""
    return ""


def _about() -> str:
    start = f"python {PROGRAM}" if PROGRAM.endswith(".py") else PROGRAM
    width = max(map(len, _EXAMPLES))
    lines = (f"{start} {words:<{width}}  {text}" for words, text in _EXAMPLES.items())
    return "\n".join(
        ["Measure clean and robust accuracy of vision-language models.", "", *lines, "",
         f"suites that are shipped: {', '.join(shipped_suites())}"]
    )  # fmt: skip


def _parser(requested: list[str]) -> argparse.ArgumentParser:
    """Return the parser. It imports only the requested command, since imports take time."""
    parser = argparse.ArgumentParser(
        prog=PROGRAM, description=_about(), formatter_class=argparse.RawTextHelpFormatter
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, text in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text)
        if [name] == requested:
            module = _module(name)
            module.add_arguments(command)
            command.set_defaults(command=module.command)
    return parser


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"bench.commands.{name}")
