"""Read the chosen letter from an answer to a multiple-choice question, as LLaVA does.

LLaVA's `eval_science_qa.py` (Liu et al. 2023, arXiv:2310.03744) scores ScienceQA this way, and
RobustVLM uses it too.
"""

import re

LETTERS = frozenset("ABCDE")  # ScienceQA has at most five choices
_STATED = re.compile(r"(?<=The answer is )[A-Z](?=.)")


def chosen_letter(text: str) -> str:
    """Return the letter that an answer chooses; empty if it does not clearly choose one.

    A letter is chosen if it is the whole answer (`B`), if the answer begins with it (`B. a tooth`),
    or if the answer states it once (`The answer is B.`). A small letter, `B)` or `(B)` is none.
    """
    answer = text.strip()
    if answer in LETTERS:
        return answer
    if answer[:1] in LETTERS and answer[1:3] == ". ":
        return answer[0]
    stated = _STATED.findall(answer)
    return stated[0] if len(stated) == 1 else ""
