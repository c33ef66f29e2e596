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
    from bench.report.export import export
    from bench.share.merging import merge, merge_lines
    from bench.store.results_folder import Store
    from bench.suite.load import load_suite

    suite = load_suite(options.suite)
    store = Store(Path(options.results), suite.suite)
    merged = merge(suite, store, Path(options.other))
    export(merged.results)
    print("\n".join(merge_lines(merged)))
    print(store.folder)
    return 1 if merged.conflicts else 0
