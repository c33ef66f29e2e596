"""`images`: writes a page with clean and adversarial images of a cell."""

import argparse

from bench.commands.arguments import add_device, add_suite, positive


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_suite(parser)
    add_device(parser)
    parser.add_argument(
        "--cell", required=True, metavar="ID",
        help="a cell_id of cells.csv, or the beginning of one",
    )  # fmt: skip
    parser.add_argument(
        "--count", type=positive, default=12, help="maximum number of images; default: 12"
    )


def command(options: argparse.Namespace) -> int:
    """Write the page and print its path."""
    from bench.commands.open_suite import open_suite
    from bench.report.export.images_page import write_images
    from bench.report.image_viewer.select import find_cell
    from bench.store.snapshot import read_results

    suite, store = open_suite(options)
    wanted = options.cell
    results = read_results(
        suite, store, wanted=lambda cell: cell.attack is None or cell.id.startswith(wanted)
    )
    cell, result = find_cell(results, wanted)

    from bench.core.devices import pick_device  # imports torch: a wrong call ends before
    from bench.report.image_viewer.render import show_images

    device = pick_device(options.device)
    shown = show_images(results, cell, result, options.count, device, options.trust)
    print(write_images(suite, store, shown))
    return 0
