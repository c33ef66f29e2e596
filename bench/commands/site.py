"""`site`: writes a static site with the results of many suites."""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "places", nargs="+", metavar="RESULTS",
        help="folders below which results and bundles are looked for, or bundles",
    )  # fmt: skip
    parser.add_argument("--out", default="site", help="folder of the site; default: site")
    parser.add_argument("--title", default="Robustness of vision-language models")


def command(options: argparse.Namespace) -> int:
    """Find the results, write the site, and print what it shows."""
    from bench.site.found_results import find_results
    from bench.site.write_site import write_site

    results = find_results([Path(place) for place in options.places])
    out = Path(options.out)
    files = write_site(results, out, options.title)
    for found in results:
        tested = "" if found.open else "; without results per image, so without paired tests"
        print(f"{found.name}: {found.path}{tested}")
    print(f"{files} files")
    print(out / "index.html")
    return 0
