"""No test asserts how long something takes, which a busy machine would break.

What takes time is tested by events and their order, or on the clock of `tests.support.clock`.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent
CLOCKS = {
    *("monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "process_time"),
    *("process_time_ns", "ru_stime", "ru_utime", "thread_time"),
}


def clocks_asserted(source: str) -> Iterator[int]:
    """Yield the lines of assertions that read a clock of the machine."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Assert):
            names = {part.attr for part in ast.walk(node) if isinstance(part, ast.Attribute)}
            if CLOCKS & names or "time.time()" in ast.unparse(node):
                yield node.lineno


def test_no_assertion_reads_a_clock() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in sorted(ROOT.rglob("*.py"))
        for line in clocks_asserted(path.read_text("utf-8"))
    ]
    assert found == []


@pytest.mark.parametrize(
    "line",
    [
        "assert time.monotonic() - told < 5",
        "assert clock.now == 3 and time.time() < end",
        "assert after.ru_utime + after.ru_stime < 2",
    ],
)
def test_assertions_that_read_a_clock_are_found(line: str) -> None:
    assert list(clocks_asserted(f"told = 0\nif told:\n    {line}\n")) == [3]
    assert list(clocks_asserted("assert clock.now == 3\n")) == []
