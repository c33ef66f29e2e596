"""Numbers that depend on content that cannot be hashed, so that their identities lack it."""

from collections.abc import Iterator

from bench.core.resolved_names import UNHASHED, Lock, is_unhashed
from bench.plan.cells import Cell
from bench.suite.load import Suite
from bench.suite.metrics import metric_of
from bench.suite.specs import OpenAIJudge


class UnhashedFlags:
    """The flags `unhashed` of a suite's cells; what many cells share is looked up once."""

    def __init__(self, suite: Suite, lock: Lock) -> None:
        """Look up the models with content that could not be hashed."""
        self._judged = isinstance(suite.protocol.judge, OpenAIJudge)
        self._models = {
            name
            for name in suite.models
            for each in (name, *_ancestors(suite, name))
            if is_unhashed(lock.models.get(each, ""))
        }

    def of(self, cell: Cell) -> tuple[str, ...]:
        """Return the flag if a cell depends on content that could not be hashed.

        That is a user's model with content that is not here, as a target, a source or a part of
        another model, or a judge behind an endpoint.
        """
        if self._judged and metric_of(cell.metric).judged:
            return (UNHASHED,)
        if not self._models:
            return ()
        surrogates = cell.attack.surrogates if cell.attack else ()
        found = self._models.intersection((cell.target, *cell.sources, *surrogates))
        return (UNHASHED,) if found else ()


def unhashed_lines(suite: Suite, lock: Lock) -> Iterator[str]:
    """Yield a line for each model and judge with content that could not be hashed."""
    for name, content in lock.models.items():
        if is_unhashed(content):
            yield (
                f"models.{name}: cannot be identified by its content, so its cells are computed "
                f"again in every run ({'; '.join(suite.models[name].unhashed())})"
            )
    judge = suite.protocol.judge
    if isinstance(judge, OpenAIJudge) and suite.uses_judge:
        yield (
            f"protocol.judge: {judge.model} at {judge.url} cannot be identified by its content; "
            "stored replies are used again"
        )


def _ancestors(suite: Suite, name: str) -> Iterator[str]:
    for parent in suite.models[name].parents.values():
        yield parent
        yield from _ancestors(suite, parent)
