"""Check options with a fixed set of values."""

from typing import Any, get_args


def check_word(name: str, value: object, words: Any) -> None:
    """Raise ValueError if an option's value is not among the values of a `Literal`."""
    if value not in get_args(words):
        allowed = ", ".join(map(str, get_args(words)))
        raise ValueError(f"{name}: got {value!r}; allowed: {allowed}")
