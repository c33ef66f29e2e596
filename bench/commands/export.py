"""`export`: writes the tables from stored results; also figures, a bundle, other formats."""

import argparse
from pathlib import Path

from bench.commands.arguments import add_suite
from bench.share.foreign_formats import FORMATS, write_format


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_suite(parser)
    parser.add_argument("--parquet", action="store_true", help="also write cells.parquet")
    parser.add_argument(
        "--figures", action="store_true",
        help="also draw figures as PNG, SVG and PDF, and write their data as CSV",
    )  # fmt: skip
    parser.add_argument(
        "--bundle", metavar="FILE", help="also pack all results into a zip file, for `merge`"
    )
    parser.add_argument(
        "--to", action="append", default=[], choices=FORMATS,
        help="also write the numbers in a format of others, to RESULTS/SUITE/to/FORMAT",
    )  # fmt: skip
    parser.add_argument(
        "--benchmark", default="", metavar="OWNER/NAME",
        help="for hub-eval-results: the dataset repository of the benchmark on the hub",
    )  # fmt: skip
    parser.add_argument(
        "--adversarial", metavar="FOLDER",
        help="also write the stored adversarial images, which `kind: images` in a suite reads",
    )  # fmt: skip


def command(options: argparse.Namespace) -> int:
    """Write the tables and print the leaderboard."""
    from bench.commands.open_suite import open_suite
    from bench.report.export import export
    from bench.results.number_format import scale_of_suite
    from bench.run.console.closing_table import print_leaderboard
    from bench.store.snapshot import collector_paused, read_results

    suite, store = open_suite(options)
    if options.bundle:
        from bench.share.bundle import check_bundle_path, write_bundle

        check_bundle_path(Path(options.bundle))
    scale = scale_of_suite(suite)
    with collector_paused():  # throughout: it would look through all results in between
        results = read_results(suite, store)
        export(
            results, parquet=options.parquet, figures=options.figures,
            show=lambda board: print_leaderboard(board, suite.suite, scale),
        )  # fmt: skip
    print(store.folder)
    if options.bundle:
        write_bundle(results, Path(options.bundle))
        print(options.bundle)
    if options.to:
        from bench.share.shared_numbers import shared_results

        shared = shared_results(results, options.benchmark)
        for name in options.to:
            folder = store.folder / "to" / name
            write_format(shared, name, folder)
            print(folder)
    if options.adversarial:
        from bench.report.export.adversarial_files import write_adversarial  # imports torch

        for line in write_adversarial(results, Path(options.adversarial)):
            print(line)
    return 0
