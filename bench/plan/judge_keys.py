"""Which environment variables may be sent to a judge, and what a user is told before it is asked.

A suite may come from anyone, and its judge names both a variable and the address that is sent its
value. So only variables count that the user has set aside for judges.
"""

import os
from collections.abc import Iterator

from bench.core.errors import UserError
from bench.plan.resolve import judges
from bench.suite.load import Suite
from bench.suite.specs import OpenAIJudge

LISTED = "BENCH_JUDGE_KEYS"  # the variable that lists them, separated by commas
DEFAULT = "JUDGE_KEY"  # what counts where that one is not set


def key_fault(spec: OpenAIJudge) -> tuple[str, str] | None:
    """Return why no key may be sent to a judge without `--trust`, and what to do, if that is so."""
    allowed = [name.strip() for name in os.environ.get(LISTED, DEFAULT).split(",")]
    if spec.key is None or spec.key in allowed:
        return None
    names = ", ".join(filter(None, allowed)) or f"none, as {LISTED} is empty"
    return (
        f"protocol.judge.key: got {spec.key!r}, an environment variable whose value would be sent "
        f"to {spec.url}; allowed: {names}",
        f"if it may be sent there, list it by `export {LISTED}={spec.key}`, or run with --trust",
    )


def check_key(suite: Suite, trust: bool) -> None:
    """Refuse a suite whose judge would be sent a variable that is not for judges.

    Raises:
        UserError: It would.
    """
    for fault in key_faults(suite):
        if not trust:
            raise UserError(fault)


def judge_lines(suite: Suite) -> Iterator[str]:
    """Say where answers are sent to be judged, and the name of the key that goes with them."""
    for judge in _asked(suite):
        key = f"the key in {judge.key}" if judge.key else "no key"
        yield f"answers are judged by {judge.model} at {judge.url}, which is sent {key}"


def key_faults(suite: Suite) -> Iterator[str]:
    """Yield what a run without `--trust` refuses."""
    for judge in _asked(suite):
        if fault := key_fault(judge):
            yield "; ".join(fault)


def _asked(suite: Suite) -> Iterator[OpenAIJudge]:
    """Yield the judge of a suite, if it is an endpoint on which a number depends."""
    judge = suite.protocol.judge
    if isinstance(judge, OpenAIJudge) and judges(suite):
        yield judge
