"""The time limit of a cell, checked before each pass through a model."""

import time

from bench.core.errors import TimeUp


class Deadline:
    """Stops a cell that takes too long; its finished parts stay stored for the next run."""

    def __init__(self, limit: float | None) -> None:
        """Start the clock now.

        Args:
            limit: Seconds that the cell may take; None means no limit.
        """
        self.limit = limit
        self.started = time.monotonic()

    def check(self) -> None:
        """Raise an error if the time limit has passed.

        Raises:
            TimeUp: The time limit has passed.
        """
        if self.limit is not None and time.monotonic() - self.started > self.limit:
            raise TimeUp(
                f"took more than the {self.limit:g} seconds of --limit; its finished parts are "
                "stored, and a run with a longer limit continues from there"
            )
