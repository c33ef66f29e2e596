"""`merge`: adds results of the same suite from another folder or bundle."""

import argparse
from pathlib import Path

from bench.commands.arguments import add_suite


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_suite(parser)
    parser.add_argument(
        "other", help="a bundle, or a results folder of this suite or of several suites"
    )


def command(options: argparse.Namespace) -> int:
    """Merge, write the tables, and print added and conflicting results."""
    from bench.commands.open_suite import open_suite
    from bench.report.export import export
    from bench.share.merging import merge, merge_lines

    suite, store = open_suite(options)
    merged = merge(suite, store, Path(options.other))
    export(merged.results)
    print("\n".join(merge_lines(merged)))
    print(store.folder)
    return 1 if merged.conflicts else 0
