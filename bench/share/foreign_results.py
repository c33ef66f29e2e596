"""Another's results, of a bundle or a folder, read with the same suspicion.

What is asked of a line of a bundle is asked of a folder's files: ids have their form, and a
result's fields fit each other. A file must also be of the cell that it is called by, and lie in
the folder itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.core.errors import UserError
from bench.core.locks import Lock
from bench.share.bundle import read_bundle
from bench.store.foreign_folder import ResultReader, refuse_link, result_reader
from bench.store.results_folder import read_lock
from bench.suite.load import Suite


@dataclass(frozen=True, slots=True)
class ForeignResults:
    """What another has of a suite.

    Attributes:
        suite: Its suite's name.
        lock: What names stand for there.
        get: Returns the result of a cell, or None where there is none.
        versions: Of the attacks, metrics and tasks that its numbers depend on, 1 where one is
            missing; None for a folder, which does not say.
    """

    suite: str
    lock: Lock
    get: ResultReader
    versions: Mapping[str, int] | None = None


def open_foreign(suite: Suite, other: Path) -> ForeignResults:
    """Open a bundle, a folder of the suite's results, or one of all results.

    Raises:
        UserError: It is none of these, or is damaged.
    """
    if other.is_file():
        bundle = read_bundle(other)
        return ForeignResults(bundle.suite, bundle.lock, bundle.results.get, bundle.versions)
    for folder in (other, other / suite.suite):
        refuse_link(folder / "lock.json")
        if (lock := read_lock(folder)) is not None:
            return ForeignResults(folder.name, lock, result_reader(folder))
    raise UserError(
        f"{other}: no results: needed is a bundle (of `export --bundle`), or a folder with the "
        f"lock.json of a suite, or one with a folder {suite.suite}"
    )
