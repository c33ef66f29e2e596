"""A clock that stands still until a test, or a model of a test, moves it."""


class Clock:
    """Replaces the module `time` in code that measures time."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        """Move the clock on without waiting."""
        self.now += seconds


CLOCK = Clock()  # one per process, so that a model in a suite's own code can move it
