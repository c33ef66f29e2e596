"""`doctor`: finds what this machine lacks for a run, and says what to do."""

import argparse
from datetime import date
from pathlib import Path

from bench.commands.arguments import add_suite
from bench.core.errors import CellError, UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_suite(parser, optional=True)
    parser.add_argument(
        "--model",
        help="download, load and try a model that `list models` prints; print its `verified` line",
    )


def command(options: argparse.Namespace) -> int:
    """Print the findings, and how many of them prevent a run; or confirm a model."""
    if options.model is not None and options.suite is not None:
        raise UserError("--model: got a suite as well; give one of the two")
    if options.model is not None:
        return _confirm(options.model)
    from bench.commands.machine import examine
    from bench.suite.load import load_suite

    suite = load_suite(options.suite) if options.suite else None
    problems = 0
    for finding in examine(suite, Path(options.results)):
        problems += finding.level == "bad"
        print(f"{finding.level:<5} {finding.what}", flush=True)
        if finding.advice:
            print(f"      -> {finding.advice}")
    print(f"{problems} problems to solve before a run" if problems else "ready")
    return 1 if problems else 0


def _confirm(name: str) -> int:
    """Try a model of the catalogue; print its line, or why there is none."""
    from bench.commands.confirm_model import confirm

    try:
        line = confirm(name, date.today())
    except CellError as error:
        print(f"bad   models.{name}: {error}")
        return 1
    print(f"ok    models.{name}: loaded; its line in bench/catalogue/models.yaml:")
    print(f"  {line}")
    return 0
