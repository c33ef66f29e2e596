"""API keys for judges: the environment variables that may be sent, and messages to the user.

A suite may come from anyone, and its judge names both an environment variable and the address that
receives its value. So only variables that the user has listed for judges are sent.
"""

import os
from collections.abc import Iterator

from bench.core.errors import UserError
from bench.suite.load import Suite
from bench.suite.specs import OpenAIJudge

LISTED = "BENCH_JUDGE_KEYS"  # environment variable: names of the allowed variables, by commas
DEFAULT = "JUDGE_KEY"  # the allowed variable if `LISTED` is not set


def key_fault(spec: OpenAIJudge) -> tuple[str, str] | None:
    """Return why a judge's key may not be sent without `--trust`, and what to do; else None."""
    allowed = [name.strip() for name in os.environ.get(LISTED, DEFAULT).split(",")]
    if spec.key is None or spec.key in allowed:
        return None
    names = ", ".join(filter(None, allowed)) or f"none, as {LISTED} is empty"
    return (
        f"got {spec.key!r}, an environment variable whose value would be sent "
        f"to {spec.url}; allowed: {names}",
        f"to allow it, run `export {LISTED}={spec.key}`, or run with --trust",
    )


def check_key(suite: Suite, trust: bool) -> None:
    """Refuse a suite that sends its judge an environment variable not listed for judges.

    Raises:
        UserError: The judge's key is not listed, and `trust` is False.
    """
    for judge in _endpoint_judge(suite):
        if not trust and (fault := key_fault(judge)):
            raise UserError(f"protocol.judge.key: {'; '.join(fault)}")


def judge_lines(suite: Suite) -> Iterator[str]:
    """Yield a line with the judge's address and the name of the key that is sent to it."""
    for judge in _endpoint_judge(suite):
        key = f"the key in {judge.key}" if judge.key else "no key"
        yield f"answers are sent to the judge {judge.model} at {judge.url}, with {key}"


def _endpoint_judge(suite: Suite) -> Iterator[OpenAIJudge]:
    """Yield the judge of a suite, if it is an HTTP endpoint and a metric of the suite uses it."""
    judge = suite.protocol.judge
    if isinstance(judge, OpenAIJudge) and suite.uses_judge:
        yield judge
