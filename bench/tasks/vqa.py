"""VQA accuracy as the official evaluation computes it (Antol et al. 2015; VQA v2).

Of ten people's answers each is left out in turn; an answer is right by a third for each of the
other nine that equals it, at most wholly, and the ten are averaged. Articles, punctuation and the
spelling of numbers do not count, with the official code's own habits: where all ten agree to the
letter, neither they nor the answer are normalised, and `Yes.` is not `yes`.
"""

import re
from collections.abc import Sequence

_MARKS = (
    *(";", "/", "[", "]", '"', "{", "}", "(", ")", "=", "+", "\\", "_", "-"),
    *(">", "<", "@", "`", ",", "?", "!"),
)
_COMMA_IN_NUMBER = re.compile(r"\d,\d")
_PERIOD = re.compile(r"\.(?!\d)")
_PERIODS = 32  # the official code gives a flag where `re.sub` takes the number of replacements
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
# each is also understood where one of its apostrophes is missing
_RESTORED = {
    word[:place] + word[place + 1 :]: word
    for word in _CONTRACTIONS.split()
    for place, sign in enumerate(word)
    if sign == "'"
} | {"somebody'd": "somebodyd"}


def vqa_accuracy(text: str, answers: Sequence[str]) -> float:
    """Return the accuracy of an answer given all annotators', 0 to 1."""
    said, known = _plain(text), [_plain(answer) for answer in answers]
    if len(set(known)) > 1:
        said, known = normalised(said), [normalised(answer) for answer in known]
    same = sum(answer == said for answer in known)
    # leaving one out takes it from those that agree, or not
    shares = [min(1.0, (same - (answer == said)) / 3) for answer in known]
    return sum(shares) / len(shares)


def normalised(text: str) -> str:
    """Return an answer without articles and punctuation, lower case, numbers as digits."""
    found = text
    joined = _COMMA_IN_NUMBER.search(text) is not None
    for mark in _MARKS:
        beside_a_space = f"{mark} " in text or f" {mark}" in text
        found = found.replace(mark, "" if beside_a_space or joined else " ")
    found = _PERIOD.sub("", found, count=_PERIODS)
    known = (_NUMBERS.get(word, word) for word in found.lower().split())
    return " ".join(_RESTORED.get(word, word) for word in known if word not in _ARTICLES)


def _plain(text: str) -> str:
    return text.replace("\n", " ").replace("\t", " ").strip()
