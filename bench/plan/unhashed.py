"""Numbers that depend on content that cannot be hashed, so that their identities lack it."""

from collections.abc import Iterator

from bench.core.resolved_names import UNHASHED, Lock, is_unhashed
from bench.plan.cells import Cell
from bench.suite.load import Suite
from bench.suite.metrics import metric_of
from bench.suite.specs import OpenAIJudge


def unhashed_flags(suite: Suite, lock: Lock, cell: Cell) -> tuple[str, ...]:
    """Return the flag `unhashed` if a cell depends on content that could not be hashed.

    That is a user's model with content that is not here, as a target, a source or a part of
    another model, or a judge behind an endpoint.
    """
    judged = isinstance(suite.protocol.judge, OpenAIJudge) and metric_of(cell.metric).judged
    surrogates = cell.attack.surrogates if cell.attack else ()
    named = {cell.target, *cell.sources, *surrogates}
    found = judged or any(
        is_unhashed(lock.models.get(each, ""))
        for name in named
        for each in (name, *_ancestors(suite, name))
    )
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
