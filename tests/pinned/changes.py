"""What moved between what is pinned and what is found now, in words that name the cells."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.pinned.identities import flat
from tests.pinned.values import CLOSE, differ

FILE = Path(__file__).parent / "pinned.json"
_SHOWN = 20


def pinned() -> dict[str, Any]:
    """Return what is pinned: `identities` and `values` by suite, and `defaults` by kind."""
    found: dict[str, Any] = json.loads(FILE.read_text("utf-8"))
    return found


def moved_identities(then: Mapping[str, Any] | None, now: Mapping[str, Any]) -> list[str]:
    """Return a line for each id that is another, gone, or new; none where all are the same."""
    if then is None:
        return ["this suite is new"]
    lines = list(_between(flat(dict(then)), flat(dict(now))))
    if not lines and then["digest"] != now["digest"]:
        lines = ["ids differ in the digits that are not kept, or cells in their order"]
    return lines


def moved_defaults(
    then: Mapping[str, Mapping[str, str]], now: Mapping[str, Mapping[str, str]]
) -> list[str]:
    """Return a line for each default that is another, gone, or new; none where all are the same."""

    def flat_of(some: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
        return {f"{spec}.{key}": value for spec in some for key, value in some[spec].items()}

    return list(_between(flat_of(then), flat_of(now)))


def moved_values(
    then: Mapping[str, Any] | None, now: Mapping[str, Any], close: float = CLOSE
) -> list[str]:
    """Return a line for each value that is another, gone, or new; none where all are the same."""
    if then is None:
        return ["this suite is new"]
    lines = []
    for cell in {**then, **now}:
        old, new = then.get(cell), now.get(cell)
        if old is None or new is None:
            lines.append(f"{cell}: {'is new' if old is None else 'is gone'}")
            continue
        for key in {**old, **new}:
            if differ(key, old.get(key), new.get(key), close):
                lines.append(f"{cell}: {key}: was {old.get(key)!r}, is {new.get(key)!r}")
    return lines


def shown(suite: str, lines: list[str]) -> str:
    """Return the first of some lines under the name of their suite."""
    more = [f"and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []
    return "\n  ".join([f"{suite}:", *lines[:_SHOWN], *more])


def _between(then: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    for key in {**then, **now}:
        old, new = then.get(key, "absent"), now.get(key, "absent")
        if old != new:
            yield f"{key}: was {old}, is {new}"
