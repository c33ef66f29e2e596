"""Arguments that several commands share, and parsers of their values."""

import argparse


def add_suite(parser: argparse.ArgumentParser, *, optional: bool = False) -> None:
    """Add the arguments for the suite and the results folder."""
    parser.add_argument(
        "suite", help="a suite file, or the name of a shipped suite, e.g. quickstart",
        nargs="?" if optional else None,
    )  # fmt: skip
    parser.add_argument(
        "--results", default="results", help="folder of the results of all suites; default: results"
    )


def add_device(parser: argparse.ArgumentParser) -> None:
    """Add the arguments for the device, and for trust in code that the suite names."""
    parser.add_argument("--device", help="e.g. cpu, cuda:1; default: the GPU if there is one")
    parser.add_argument(
        "--trust", action="store_true", help="allow the suite to run the Python code that it names"
    )


def positive(text: str) -> int:
    """Return a positive integer.

    Raises:
        argparse.ArgumentTypeError: The text is none.
    """
    if not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"got {text!r}; a positive integer is needed")
    return int(text)


def seconds(text: str) -> float:
    """Return a duration in seconds.

    Args:
        text: An integer and a unit: `90s`, `30m`, `2h`.

    Raises:
        argparse.ArgumentTypeError: The text has another form.
    """
    units = {"s": 1.0, "m": 60.0, "h": 3600.0}
    number, unit = text[:-1], text[-1:]
    if unit not in units or not number.isdigit() or int(number) == 0:
        raise argparse.ArgumentTypeError(f"got {text!r}; a duration is needed, e.g. 90s, 30m, 2h")
    return int(number) * units[unit]
