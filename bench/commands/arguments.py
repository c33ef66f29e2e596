"""Arguments that several commands take, and the values that arguments may have."""

import argparse


def add_suite(parser: argparse.ArgumentParser, *, optional: bool = False) -> None:
    """Add the suite, and the folder of all results."""
    parser.add_argument(
        "suite", help="a suite, e.g. suites/quickstart.yaml", nargs="?" if optional else None
    )
    parser.add_argument("--results", default="results", help="folder of all results")


def add_device(parser: argparse.ArgumentParser) -> None:
    """Add the device that models run on, and whether code named by the suite may run."""
    parser.add_argument(
        "--device", help="e.g. cpu, cuda:1; default: the accelerator if there is one"
    )
    parser.add_argument("--trust", action="store_true", help="import code that the suite names")


def positive(text: str) -> int:
    """Return a positive whole number."""
    if not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"got {text!r}; a positive number is needed")
    return int(text)


def seconds(text: str) -> float:
    """Return a time in seconds: `90s`, `30m`, `2h`."""
    units = {"s": 1.0, "m": 60.0, "h": 3600.0}
    number, unit = text[:-1], text[-1:]
    if unit not in units or not number.isdigit() or int(number) == 0:
        raise argparse.ArgumentTypeError(f"got {text!r}; a time is needed, e.g. 90s, 30m, 2h")
    return int(number) * units[unit]
