"""A clock that stands still until a test, or a model of a test, moves it."""


class Clock:
    """Takes the place of the module `time` where code asks how long something has taken."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        """Move the clock on; nobody waits."""
        self.now += seconds


CLOCK = Clock()  # of this process, so that models which a suite names can move it
