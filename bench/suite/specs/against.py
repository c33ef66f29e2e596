"""Which published numbers a suite is meant to reproduce."""

from bench.suite.specs.base import Spec, UserPath


class Against(Spec):
    """A table of published numbers, for `check`.

    `file` has the columns of those in results/published, `table` is one of its tables. Models
    of the suite are compared with those of the same name.
    """

    file: UserPath
    table: str | None = None
