"""Errors with a message for the user rather than a traceback."""

from collections.abc import Sequence


class UserError(Exception):
    """The call or one of its files is wrong; the message says what is and what is allowed."""


class SuiteError(UserError):
    """A suite has faults; all of them, each with its key path, are in the message."""

    def __init__(self, path: str, faults: Sequence[str]) -> None:
        """Build the message from the suite's path and its faults."""
        self.faults = tuple(faults)
        count = f"{len(faults)} fault{'s' if len(faults) > 1 else ''}"
        super().__init__("\n".join([f"{path}: {count}", *(f"  {fault}" for fault in faults)]))


class StoreError(UserError):
    """Results cannot be read or written any more, so the command cannot go on."""


class DiskFull(StoreError):
    """There is no room for what is to be written."""


class Unreadable(StoreError):
    """A stored file is there, and the system does not let it be read."""


class CellError(Exception):
    """A cell cannot be computed for a reason that a user can act on."""


class TimeUp(CellError):
    """A cell took longer than it may; another run may go on from what it kept."""


class CellSkip(Exception):
    """A cell's number is not defined; the message says why. No fault, and not tried again."""
