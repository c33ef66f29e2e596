"""`run`: computes missing cells and writes the tables."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bench.commands.arguments import add_device, add_suite, positive, seconds
from bench.core.errors import UserError

if TYPE_CHECKING:
    from bench.run.suite_run import Report
    from bench.suite.load import Suite


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_suite(parser)
    add_device(parser)
    parser.add_argument(
        "--go-on", action="store_true",
        help="if models or data are missing, compute the cells that need none of them",
    )  # fmt: skip
    parser.add_argument(
        "--no-check", action="store_true", help="do not run the trust checks at the end"
    )
    parser.add_argument(
        "--batch", type=positive, help="images per batch; default: found by trying several sizes"
    )
    parser.add_argument(
        "--compile", action="store_true",
        help="compile towers for full batches with torch.compile; pays off in long runs",
    )  # fmt: skip
    parser.add_argument(
        "--limit", type=seconds, help="time limit per cell, e.g. 90s, 30m, 2h; default: none"
    )
    parser.add_argument(
        "--executor", choices=("inline", "ray"), default="inline",
        help="run cells in this process (inline) or in Ray workers (ray); default: inline",
    )  # fmt: skip
    parser.add_argument(
        "--address", help="address of a Ray cluster, e.g. auto; default: start a cluster here"
    )
    parser.add_argument(
        "--workers", type=positive, help="maximum number of workers; default: one per GPU"
    )
    parser.add_argument(
        "--log-to", action="append", default=[], choices=("trackio", "wandb", "tensorboard"),
        help="also log the run to an experiment tracker; may be given several times",
    )  # fmt: skip


def command(options: argparse.Namespace) -> int:
    """Run the suite and print the leaderboard."""
    from bench.commands.before_run import faults_before_run
    from bench.plan.missing_files import fault_lines, refusal
    from bench.run.console.board import Progression
    from bench.run.suite_run import check_trust, run_suite
    from bench.run.trackers.tracking import track
    from bench.run.watchers import Watchers
    from bench.suite.load import load_suite

    suite = load_suite(options.suite)
    check_trust(suite, options.trust)
    if faults := faults_before_run(suite):
        if not options.go_on:
            raise UserError(refusal(faults))
        for line in fault_lines(faults):
            print(line, file=sys.stderr)
    folder = Path(options.results) / suite.suite
    tracking = track(options.log_to, suite, folder.absolute())
    watcher = Progression(folder / "leaderboard.html")
    try:
        try:
            report = run_suite(
                suite, results=options.results, device=options.device, batch=options.batch,
                trust=options.trust, compiled=options.compile, limit=options.limit,
                executor=options.executor, address=options.address, workers=options.workers,
                check=not options.no_check, go_on=options.go_on,
                watcher=Watchers(watcher, tracking),
            )  # fmt: skip
        finally:
            watcher.close()
        _print_report(suite, report)
        tracking.publish(report.board, report.folder / "leaderboard.html")
    except BaseException:  # a failed print or a full disk leaves no tracker waiting
        tracking.ended("failed")
        raise
    return 1 if report.failed else 0


def _print_report(suite: "Suite", report: "Report") -> None:
    from bench.plan.resolve import remarks
    from bench.plan.unhashed import unhashed_lines
    from bench.results.number_format import scale_of_suite
    from bench.run.console.closing_table import print_leaderboard
    from bench.store.set_aside import FOLDER

    print_leaderboard(report.board, suite.suite, scale_of_suite(suite))
    for line in (*remarks(suite, report.lock), *unhashed_lines(suite, report.lock)):
        print(line)
    print(f"{report.cells} cells, {report.computed} computed now, {report.failed} failed")
    if report.set_aside:
        print(f"damaged files, now in {report.folder / FOLDER}; a run computes them again:")
        for name, reason in report.set_aside:
            print(f"  {name}: {reason}")
    if report.unexamined:
        print(report.unexamined)
    for name in ("cells.csv", "leaderboard.csv", "leaderboard.html"):
        print(report.folder / name)
