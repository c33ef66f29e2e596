"""`data`: shows what is read of datasets, on a page and in short; does not import torch."""

import argparse
from collections import Counter
from collections.abc import Iterator

from bench.commands.arguments import add_suite, positive
from bench.commands.open_suite import open_suite
from bench.report.data_overview import Overview, overview
from bench.report.export.data_page import write_data


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_suite(parser)
    parser.add_argument(
        "--count", type=positive, default=12, help="samples shown per dataset; default: 12"
    )


def data_lines(found: Overview) -> Iterator[str]:
    """Yield what is read of a dataset, in a few lines."""
    if found.place:
        classes = f"{len(found.classes)} classes, " if found.classes else ""
        yield f"{found.name}: {classes}{found.samples} {found.unit}, {found.sampled} in the sample"
        if found.classes:
            yield f"  images per class: {_counts(found)}"
            yield f"  first class: {_first(found)}"
    for remark in found.remarks:
        yield f"  remark: {remark}"
    if found.fault:
        yield f"{found.name}: cannot be read: {found.fault}"


def command(options: argparse.Namespace) -> int:
    """Write the page, and print a summary and the page's path; 1 if a dataset cannot be read."""
    suite, store = open_suite(options)
    overviews = [overview(suite, spec, options.count) for spec in suite.datasets]
    for found in overviews:
        for line in data_lines(found):
            print(line)
    print(write_data(suite, store, overviews))
    return 1 if any(found.fault for found in overviews) else 0


def _counts(found: Overview) -> str:
    """Return the smallest and largest number of images per class, and the empty classes."""
    counts = [row.images for row in found.classes]
    empty = Counter(counts)[0]
    spread = str(min(counts)) if min(counts) == max(counts) else f"{min(counts)} to {max(counts)}"
    return f"{spread}; {empty} classes have none" if empty else spread


def _first(found: Overview) -> str:
    first = found.classes[0]
    folder = f"folder {first.folder}, " if first.folder else ""
    return f"{folder}name {first.name!r}, first of {len(found.templates)} prompts {first.prompt!r}"
