"""VQA accuracy as the official evaluation computes it (Antol et al. 2015; VQA v2).

For each of the ten annotators in turn, the score of an answer is min(1, m / 3), where m of the
other nine annotators gave the same answer; the accuracy is the mean of the ten scores. In
normalised answers case, articles, punctuation and the spelling of numbers do not count. Two rules
say when answers are normalised:

official  only if the annotators disagree. If all ten gave exactly the same answer, `Yes.` differs
          from `yes` (`vqaEval.py` of the VQA dataset's authors).
always    always, as LLaVA's TextVQA score and RobustVLM do. RobustVLM also cuts an answer at its
          first `, `; LLaVA deletes commas and separates `'s` first. Given as answers, the 1,200
          answers of 120 questions of VQA v2 have the same scores with all three.
"""

import re
from collections.abc import Sequence

from bench.suite.specs import VqaRule

_MARKS = (
    *(";", "/", "[", "]", '"', "{", "}", "(", ")", "=", "+", "\\", "_", "-"),
    *(">", "<", "@", "`", ",", "?", "!"),
)
_COMMA_IN_NUMBER = re.compile(r"\d,\d")
_PERIOD = re.compile(r"\.(?!\d)")
# the official code passes a flag (`re.UNICODE`, 32) to `re.sub` as the number of replacements
_PERIODS = 32
_NUMBERS = dict(
    zip(
        ("none", "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
        "00123456789",
        strict=True,
    ),
    ten="10",
)
_ARTICLES = ("a", "an", "the")
_CONTRACTIONS = """
    ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't
    haven't he'd he'd've he's how'd how'll how's isn't it'd it'd've it'll ma'am mightn't
    mightn't've might've mustn't must've needn't not've o'clock oughtn't 'ow's'at shan't she'd've
    should've shouldn't shouldn't've somebody'd've somebody'll somebody's someone'd someone'd've
    someone'll someone's something'd something'd've something'll that's there'd there'd've
    there're there's they'd they'd've they'll they're they've 'twas wasn't we'd've we've weren't
    what'll what're what's what've when's where'd where's where've who'd who'd've who'll who's
    who've why'll why're why's won't would've wouldn't wouldn't've y'all y'all'll y'all'd've you'd
    you'd've you'll you're you've
"""
# contractions with one apostrophe missing, as in the official code
_RESTORED = {
    word[:index] + word[index + 1 :]: word
    for word in _CONTRACTIONS.split()
    for index, character in enumerate(word)
    if character == "'"
} | {"somebody'd": "somebodyd"}


def vqa_accuracy(text: str, answers: Sequence[str], rule: VqaRule) -> float:
    """Return the accuracy of an answer, 0 to 1, given the answers of all annotators."""
    answer_text, known = _plain(text), [_plain(answer) for answer in answers]
    if rule == "always" or len(set(known)) > 1:
        answer_text, known = normalised(answer_text), [normalised(answer) for answer in known]
    matches = sum(answer == answer_text for answer in known)
    # leaving out an annotator lowers the matches by one if their answer is among them
    shares = [min(1.0, (matches - (answer == answer_text)) / 3) for answer in known]
    return sum(shares) / len(shares)


def normalised(text: str) -> str:
    """Return an answer in lower case, without articles and punctuation, numbers as digits."""
    result = text
    has_number_comma = _COMMA_IN_NUMBER.search(text) is not None
    for mark in _MARKS:
        beside_a_space = f"{mark} " in text or f" {mark}" in text
        result = result.replace(mark, "" if beside_a_space or has_number_comma else " ")
    result = _PERIOD.sub("", result, count=_PERIODS)
    known = (_NUMBERS.get(word, word) for word in result.lower().split())
    return " ".join(_RESTORED.get(word, word) for word in known if word not in _ARTICLES)


def _plain(text: str) -> str:
    return text.replace("\n", " ").replace("\t", " ").strip()
