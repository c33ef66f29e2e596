"""Words that an option may take."""

from typing import Any, get_args


def check_word(name: str, value: object, words: Any) -> None:
    """Raise ValueError where an option's value is none of the words of a `Literal`."""
    if value not in get_args(words):
        allowed = ", ".join(map(str, get_args(words)))
        raise ValueError(f"{name}: got {value!r}; allowed: {allowed}")
