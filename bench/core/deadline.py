"""A cell's time limit, looked at before each pass through a model."""

import time

from bench.core.errors import TimeUp


class Deadline:
    """Ends a cell that takes too long; what it kept of its parts stays for another run."""

    def __init__(self, limit: float | None) -> None:
        """Allow so many seconds from now; any number where None."""
        self.limit = limit
        self.started = time.monotonic()

    def check(self) -> None:
        """Do nothing in time.

        Raises:
            TimeUp: It is.
        """
        if self.limit is not None and time.monotonic() - self.started > self.limit:
            raise TimeUp(
                f"took more than the {self.limit:g} seconds of --limit; the parts that it "
                "finished are kept, and a run with a longer limit goes on from there"
            )
