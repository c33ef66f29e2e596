"""The suite that a command line names, with the folder of its results."""

import argparse
from pathlib import Path

from bench.store.results_folder import Store
from bench.suite.load import Suite, load_suite


def open_suite(options: argparse.Namespace) -> tuple[Suite, Store]:
    """Read the suite and name the folder of its results; the folder need not exist.

    Args:
        options: With the arguments of `bench.commands.arguments.add_suite`.

    Raises:
        SuiteError: The suite has faults.
    """
    suite = load_suite(options.suite)
    return suite, Store(Path(options.results), suite.suite)
