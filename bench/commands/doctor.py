"""`doctor`: what is missing on this machine for a run, and what to do about it."""

import argparse
from pathlib import Path

from bench.commands.arguments import add_suite


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_suite(parser, optional=True)


def command(options: argparse.Namespace) -> int:
    """Print each finding as it comes, and how many of them prevent a run."""
    from bench.commands.machine import examine
    from bench.suite.load import load_suite

    suite = load_suite(options.suite) if options.suite else None
    bad = 0
    for finding in examine(suite, Path(options.results)):
        bad += finding.level == "bad"
        print(f"{finding.level:<5} {finding.what}", flush=True)
        if finding.advice:
            print(f"      -> {finding.advice}")
    print(f"{bad} things to do" if bad else "ready")
    return 1 if bad else 0
