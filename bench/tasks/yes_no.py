"""Yes or no, as POPE's evaluation reads it (Li et al. 2023, arXiv:2305.10355)."""

_NO = frozenset(("No", "no", "not"))


def yes_no(text: str) -> str:
    """Return `no` where the first sentence has the word no or not, else `yes`.

    As in POPE's own code whatever denies nothing is a yes, an empty answer too.
    """
    first = text.partition(".")[0].replace(",", "")
    return "no" if _NO & set(first.split(" ")) else "yes"
