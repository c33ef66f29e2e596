"""Read yes or no from an answer as POPE's evaluation does (Li et al. 2023, arXiv:2305.10355)."""

_NO = frozenset(("No", "no", "not"))


def yes_no(text: str) -> str:
    """Return `no` if the first sentence contains "No", "no" or "not", else `yes`.

    As in POPE's code, an answer without these words is a yes, also an empty answer.
    """
    first = text.partition(".")[0].replace(",", "")
    return "no" if _NO & set(first.split(" ")) else "yes"
