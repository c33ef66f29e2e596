"""Measure clean and robust accuracy of vision-language models.

python run_bench.py suites/quickstart.yaml          run a suite; go on where it stopped
python run_bench.py plan suites/zero_shot.yaml      what a run would compute
python run_bench.py status suites/quickstart.yaml   what is done
python run_bench.py export suites/quickstart.yaml   write the tables again
python run_bench.py list                            what a suite may name
"""

import argparse
import os
import sys
from pathlib import Path

from bench.errors import UserError

COMMANDS = ("run", "plan", "status", "export", "list")


def main(arguments: list[str]) -> int:
    """Run a command and return the exit code: 0, 1 if a cell failed, 2 if the call is wrong."""
    if arguments and arguments[0] not in (*COMMANDS, "-h", "--help"):
        arguments = ["run", *arguments]
    options = _parser().parse_args(arguments)
    try:
        return int(options.command(options))
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader has left, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("stopped; finished cells are kept, run again to go on", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="run_bench.py", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, function, about in (
        ("run", _run, "compute what is missing and write the tables"),
        ("plan", _plan, "say what a run would compute, without computing"),
        ("status", _status, "say what is done"),
        ("export", _export, "write the tables from what is stored"),
    ):
        command = commands.add_parser(name, help=about)
        command.set_defaults(command=function)
        command.add_argument("suite", help="a suite, e.g. suites/quickstart.yaml")
        command.add_argument("--results", default="results", help="folder of all results")
    run = commands.choices["run"]
    run.add_argument("--device", help="e.g. cpu, cuda:1; default: the accelerator if there is one")
    run.add_argument("--batch", type=_positive, help="images at once; default: found by trial")
    run.add_argument(
        "--compile", action="store_true", help="compile towers for full batches; for long runs"
    )
    run.add_argument("--trust", action="store_true", help="import code that the suite names")
    listing = commands.add_parser("list", help="say what a suite may name")
    listing.set_defaults(command=_list)
    return parser


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"got {text!r}; a positive number is needed")
    return int(text)


def _run(options: argparse.Namespace) -> int:
    from bench.console import Progression, print_leaderboard
    from bench.run import run_suite
    from bench.suite import load_suite

    suite = load_suite(options.suite)
    watcher = Progression()
    try:
        report = run_suite(
            suite, results=options.results, device=options.device, batch=options.batch,
            trust=options.trust, compiled=options.compile, watcher=watcher,
        )  # fmt: skip
    finally:
        watcher.close()
    print_leaderboard(report.board, suite.suite)
    print(f"{report.cells} cells, {report.computed} computed now, {report.failed} failed")
    for name in ("cells.csv", "leaderboard.csv", "leaderboard.html"):
        print(report.folder / name)
    return 1 if report.failed else 0


def _plan(options: argparse.Namespace) -> int:
    from bench.store import Store
    from bench.suite import load_suite
    from bench.summary import plan_lines

    suite = load_suite(options.suite)
    print("\n".join(plan_lines(suite, Store(Path(options.results), suite.suite).lock())))
    return 0


def _status(options: argparse.Namespace) -> int:
    from bench.store import Store
    from bench.suite import load_suite
    from bench.summary import status_lines

    suite = load_suite(options.suite)
    print("\n".join(status_lines(suite, Store(Path(options.results), suite.suite))))
    return 0


def _export(options: argparse.Namespace) -> int:
    from bench.console import print_leaderboard
    from bench.export import export
    from bench.store import Store
    from bench.suite import load_suite

    suite = load_suite(options.suite)
    store = Store(Path(options.results), suite.suite)
    print_leaderboard(export(suite, store), suite.suite)
    print(store.folder)
    return 0


def _list(options: argparse.Namespace) -> int:
    from bench.summary import list_lines

    print("\n".join(list_lines()))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
