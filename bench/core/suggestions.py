"""Suggests the word that a user may have meant."""

from collections.abc import Collection, Iterable
from difflib import get_close_matches


def suggestion(given: object, allowed: Iterable[object]) -> str:
    """Return the end of a message about a wrong word: `; did you mean 'samples'?`, or nothing.

    Upper and lower case count as equal.

    Args:
        given: What the user wrote.
        allowed: The words that are allowed here.
    """
    words = {str(word).lower(): str(word) for word in allowed}
    near = get_close_matches(str(given).lower(), words, n=1)
    return f"; did you mean {words[near[0]]!r}?" if near else ""


def listed(given: object, allowed: Collection[object]) -> str:
    """Return the allowed words and a suggestion: `PGD, APGD; did you mean 'PGD'?`, or `none`."""
    return (", ".join(map(str, allowed)) or "none") + suggestion(given, allowed)
