"""Errors that the user sees as a message, without a traceback."""

from collections.abc import Sequence

# What code of the user may raise: `sys.exit`, also through argparse, fails a cell and ends no run.
# KeyboardInterrupt is missing, so Ctrl-C still stops the run.
FAILURES = (Exception, SystemExit)


class UserError(Exception):
    """The command line or a file is wrong; the message says what was given and what is allowed."""


class SuiteError(UserError):
    """A suite has faults; the message lists all of them with their key paths."""

    def __init__(self, path: str, faults: Sequence[str]) -> None:
        """Build the message from the suite's path and a sentence per fault."""
        self.faults = tuple(faults)
        count = f"{len(faults)} fault{'s' if len(faults) > 1 else ''}"
        super().__init__("\n".join([f"{path}: {count}", *(f"  {fault}" for fault in faults)]))


class StoreError(UserError):
    """The results folder cannot be read or written, so the command must end."""


class DiskFull(StoreError):
    """The disk has no space left for a file."""


class NotWritable(StoreError):
    """The system refuses to write a file, for example in a folder that may only be read."""


class Unreadable(StoreError):
    """A stored file exists, but the system refuses to read it."""


class CellError(Exception):
    """A cell cannot be computed, for a reason that the user can fix."""


# What the content of a stranger's file may raise where it is used: a list in place of a mapping, a
# patch of 0 pixels, a nesting of a million, a number with a thousand digits.
MALFORMED = (
    CellError, ArithmeticError, AttributeError, LookupError, OSError, RecursionError, TypeError,
    ValueError,
)  # fmt: skip


class TimeUp(CellError):
    """A cell exceeded its time limit; another run can continue from its stored parts."""


class CellSkip(Exception):
    """A cell's number is undefined; the message says why. This is no fault: it is not retried."""
