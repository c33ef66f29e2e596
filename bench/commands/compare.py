"""`compare`: compares results with a baseline model, with other results or published numbers."""

import argparse
from pathlib import Path

from bench.commands.arguments import add_suite


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_suite(parser)
    reference = parser.add_mutually_exclusive_group(required=True)
    reference.add_argument(
        "--baseline", metavar="MODEL", help="compare all models with this model of the suite"
    )
    reference.add_argument(
        "--with", dest="folder", metavar="FOLDER",
        help="compare with the results in this folder, e.g. old/quickstart",
    )  # fmt: skip
    reference.add_argument(
        "--against", metavar="FILE",
        help="compare with published numbers: CSV, RobustBench's or CLIP_benchmark's files, or the "
        "name of a shipped table, e.g. fare",
    )  # fmt: skip
    parser.add_argument(
        "--force", action="store_true",
        help="also compare numbers whose protocols differ, and flag them",
    )  # fmt: skip
    parser.add_argument(
        "--all", action="store_true", help="also print every difference, after the summary"
    )


def command(options: argparse.Namespace) -> int:
    """Compare, write `compare.csv` and print the comparison."""
    from bench.commands.open_suite import open_suite
    from bench.compare.paired import with_baseline, with_published, with_results
    from bench.compare.paired_table import (
        HEAD,
        SUMMARY,
        comparison_lines,
        comparison_rows,
        summary_rows,
        write_comparison,
    )
    from bench.run.console.terminal_table import print_table
    from bench.store.snapshot import read_results

    suite, store = open_suite(options)
    results = read_results(suite, store)
    if options.baseline is not None:
        found = with_baseline(results, options.baseline, options.force)
    elif options.folder is not None:
        found = with_results(results, Path(options.folder), options.force)
    else:
        found = with_published(results, options.against, options.force)
    print_table(SUMMARY, summary_rows(found), numbers=SUMMARY[2:])
    print()
    for line in comparison_lines(found):
        print(line)
    if options.all:
        print()
        print_table(HEAD, comparison_rows(found))
    else:
        print("every difference: --all prints it, compare.csv has it")
    write_comparison(store, found)  # last, so that all is shown if the folder may only be read
    print(store.folder / "compare.csv")
    return 0
