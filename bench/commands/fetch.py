"""`fetch`: downloads models and data before a run."""

import argparse
import sys
from pathlib import Path

from bench.commands.arguments import add_suite


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_suite(parser)


def command(options: argparse.Namespace) -> int:
    """Download what the suite needs, and write the lock."""
    from bench.commands.download_board import DownloadBoard
    from bench.commands.downloads import fetch
    from bench.plan.missing_files import Fault, fault_lines
    from bench.plan.resolve import remarks
    from bench.store.results_folder import Store
    from bench.suite.load import load_suite

    suite = load_suite(options.suite)
    watcher = DownloadBoard()
    try:
        lock, problems = fetch(suite, watcher)
    finally:
        watcher.close()
    Store(Path(options.results), suite.suite).put_lock(lock)
    for line in remarks(suite, lock):
        print(line)
    for line in fault_lines([Fault(key, reason, "") for key, reason in problems.items()]):
        print(line, file=sys.stderr)
    if problems:
        return 1
    print("all files are here; set HF_HUB_OFFLINE=1 to run without the hub")
    return 0
