"""Open results of other people, in a bundle or a folder; both get the same checks.

Ids must be valid, and the fields of a result must not contradict each other. A file in a folder
must also have the result of the cell in its name, and must not be a link.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.core.errors import UserError
from bench.core.resolved_names import Lock
from bench.share.bundle import read_bundle
from bench.store.foreign_folder import ResultReader, refuse_link, result_reader
from bench.store.results_folder import read_lock
from bench.suite.load import Suite


@dataclass(frozen=True, slots=True)
class ForeignResults:
    """Results of a suite from other people.

    Attributes:
        suite: Name of their suite.
        lock: Their lock.
        get: Returns the result of a cell id; None if there is none.
        versions: Versions of the attacks, metrics and tasks that the numbers depend on; a missing
            version is 1. None for a folder, which does not state versions.
    """

    suite: str
    lock: Lock
    get: ResultReader
    versions: Mapping[str, int] | None = None


def open_foreign(suite: Suite, other: Path) -> ForeignResults:
    """Open a bundle, a folder of the suite's results, or one of all results.

    Raises:
        UserError: `other` is none of these, or is damaged.
    """
    if other.is_file():
        bundle = read_bundle(other)
        return ForeignResults(bundle.suite, bundle.lock, bundle.results.get, bundle.versions)
    for folder in (other, other / suite.suite):
        refuse_link(folder / "lock.json")
        if (lock := read_lock(folder)) is not None:
            return ForeignResults(folder.name, lock, result_reader(folder))
    raise UserError(
        f"{other}: has no results; allowed: a bundle (of `export --bundle`), a folder with the "
        f"lock.json of a suite, or a folder with a subfolder {suite.suite}"
    )
