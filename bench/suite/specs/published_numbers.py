"""The published numbers that a suite reproduces."""

from bench.suite.specs.base import Spec, UserPath


class Against(Spec):
    """A table of published numbers, with which `check` compares the suite.

    Attributes:
        file: A CSV file with the columns of the files in results/published. Its models are
            compared with the suite's models of the same name.
        table: One table of the file; all of them by default.
    """

    file: UserPath
    table: str | None = None
