"""Runs a command on a hostile suite, and says what is wrong with how it ends."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from bench.commands.main import main
from bench.suite.load import Suite

# words of libraries, which a user of the harness cannot know
FOREIGN = ("Traceback", "Input should", "valid tuple", "match pattern", "Value error", "pydantic")
_FAULT = re.compile(r"  ([^.:\[]+)[^ ]*: \S.*")


def fault_of(
    suite: dict[str, Any], folder: Path, output: Callable[[], tuple[str, str]]
) -> str | None:
    """Return what is wrong with how `plan` treats a suite; None if nothing is.

    Args:
        suite: The suite, as read from YAML.
        folder: Where to write it.
        output: Returns what was printed since the last call, and what was printed as errors.
    """
    path = folder / "hostile.yaml"
    text = yaml.safe_dump(suite, allow_unicode=True, sort_keys=False)
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    code = main(["plan", str(path), "--results", str(folder / "results")])
    printed, errors = output()
    if code not in (0, 2):
        return f"exit code {code}: {errors[-500:]}"
    if word := next((word for word in FOREIGN if word in printed + errors), None):
        return f"{word!r} in: {errors[:500]}"
    if code == 2:
        first, *faults = errors.splitlines()
        if not first.startswith(f"{path}: "):
            return f"names no file: {errors[:500]}"
        if "is not valid YAML" in errors:
            return None
        known = {*Suite.model_fields, *map(repr_in_message, suite)}
        for line in faults:
            found = _FAULT.fullmatch(line)
            if not found or found[1] not in known:
                return f"names no key: {line[:500]}"
    return None


def repr_in_message(key: object) -> str:
    """Return a top-level key as it is in a message."""
    return str(key).partition(".")[0].partition("[")[0].partition(":")[0]
