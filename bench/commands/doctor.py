"""`doctor`: finds what this machine lacks for a run, and says what to do."""

import argparse
from pathlib import Path

from bench.commands.arguments import add_suite


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_suite(parser, optional=True)


def command(options: argparse.Namespace) -> int:
    """Print the findings, and how many of them prevent a run."""
    from bench.commands.machine import examine
    from bench.suite.load import load_suite

    suite = load_suite(options.suite) if options.suite else None
    problems, advice = 0, ""
    for finding in examine(suite, Path(options.results)):
        if advice and finding.advice != advice:
            print(f"      -> {advice}")
        problems, advice = problems + (finding.level == "bad"), finding.advice
        print(f"{finding.level:<5} {finding.what}", flush=True)
    if advice:
        print(f"      -> {advice}")
    print(f"{problems} problems to solve before a run" if problems else "ready")
    return 1 if problems else 0
