"""Captions to words as CIDEr's reference code does it, without Java.

coco-caption runs Stanford CoreNLP's Penn-Treebank tokeniser (3.4.1, lower case) and drops
punctuation. The rules here are those that English captions meet: contractions, quotation marks,
brackets, abbreviations with their full stop, numbers, compounds. What it may split otherwise:
emoticons, web addresses, telephone numbers, file names, fractions in one sign, ranges of decimals
or times, words that a full stop or a question mark joins (`L.A`, `sun.The`), and other scripts.
What it cannot read it drops: here that is what lies beyond 16 bits, as most emoji do.
"""

import re
from collections.abc import Iterator

# removed by coco-caption; brackets are not, since lower case makes `-LRB-` into `-lrb-`
_DROPPED = frozenset(("''", "'", "`", '"', "?", "!", ",", ":", "-", ";"))

# words whose full stop belongs to them; as names of states; before a number
_WORDS = """
    adj adm adv al ala alex apr ariz assn assoc asst atty aug ave bhd bldg blvd brig bros calif
    capt cf cie cmdr co col colo conn corp cos cpl ct dak dec dept det dr drs elec ens esq est etc
    ext feb fla fri ft ga gen gov hon inc ind insp intl jan jos jr jul jun kan kans ky lt ltd maj
    mar md mfg mich minn mme mo mon mont mr mrs ms mt mtg natl neb nev nov oct okla penn pfc ph plc
    pres prof profs pte pty pvt rd rep reps rev rt sen sens sep sept seq sfc sgt spc sq sr st ste
    supt sys tel thu thurs treas tue tues univ va vs vt wed wis wm wyo
"""
_NAMES = "Ark Az Del Ill La Mass Miss Ore Pa Tex Wash"
_NUMBERED = "art ca fig figs no nos op pp prop"
_SHORTENED = frozenset(_WORDS.split())
_SHORTENED_NAMES = frozenset(_NAMES.lower().split())
_BEFORE_NUMBERS = frozenset(_NUMBERED.split())

_GOING_ON = frozenset(",;:")  # after a full stop they say that it ended no sentence

_SPLIT = {
    "cannot": "can not", "gonna": "gon na", "gotta": "got ta", "wanna": "wan na",
    "gimme": "gim me", "lemme": "lem me", "'tis": "'t is", "'twas": "'t was",
}  # fmt: skip
_BRACKETS = {
    "(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-",
}  # fmt: skip
_SIGNS = str.maketrans(
    {
        "\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u2013": " -- ",
        "\u2014": " -- ", "\u2026": " ... ", "\u20ac": "$", "\xa3": "#", "\xa0": " ",
    }
)  # fmt: skip
_UNREAD = re.compile(r"[\U00010000-\U0010ffff\ufe0e\ufe0f\u200d]")
_ENTITIES = {"&amp;": "&", "&quot;": '"', "&lt;": "<", "&gt;": ">", "&apos;": "'"}

_TOKEN = re.compile(
    r"""
    (?:https?://|www\.)[^\s"<>()]*[^\s"<>().,;:!?']     # addresses
    | [\w.+-]+@[\w-]+(?:\.[\w-]+)+
    | [#@][A-Za-z]\w*                                   # tags and names
    | ''
    | '(?:tis|twas)\b | '\d0s\b | rock(?='n'roll\b) | 'n'(?=roll\b|\W|$) | ol'(?!\w)
    | '(?:em|n|til)\b(?!\.\w)
    | '\d\d(?=\s|$)                                     # years
    | (?:Ed|Ph)\.D\b\.?(?!\w)
    | (?:[A-Za-z]\.)+(?!\w)                             # initials
    | \d+(?:[.,]\d+)+(?:-[A-Za-z]\w*)+
    | (?<!\w)[-+](?:\d+(?:[.,:]\d+)*|(?:[.,:]\d+)+)
    | \d*(?:[.,:]\d+)+
    | [^\W\d_]*[^\W\d_n]n't\b | y'(?=all\b)
    | (?-i:[A-Z]+&[A-Z]+)\b
    | \w+(?:[-/]\w+|(?<=[^\W\d])'(?!(?:ll|re|ve|s|d|m)\b)(?=[^\W\d]{2})\w+)*
    | '(?:s|m|d|re|ve|ll)\b
    | \.{2,} | -{2,} | [?!]{2,} | \*+
    | \S
    """,
    re.VERBOSE | re.IGNORECASE,
)


def words(caption: str) -> list[str]:
    """Return the words of a caption, lower case, without punctuation."""
    text = " ".join(_UNREAD.sub(" ", caption.translate(_SIGNS)).split())
    for entity, sign in _ENTITIES.items():
        text = text.replace(entity, sign)
    return [token for token in _tokens(text) if token not in _DROPPED and token.strip(".-")]


def _tokens(text: str) -> Iterator[str]:
    place = 0
    while match := _TOKEN.search(text, place):
        token, place = match[0], match.end()
        if text.startswith(".", place) and _is_shortened(token, text[place + 1 :]):
            token, place = f"{token}.", place + 1
        yield from _parts(token)


def _is_shortened(token: str, rest: str) -> bool:
    word = token.lower()
    return (
        word in _SHORTENED
        or (word in _SHORTENED_NAMES and token[0].isupper())
        or (word in _BEFORE_NUMBERS and re.match(r"\s*\d", rest) is not None)
        or (rest[:1] in _GOING_ON and token[0].isalpha())
    )


def _parts(token: str) -> Iterator[str]:
    word = token.lower()
    if word in _SPLIT:
        yield from _SPLIT[word].split()
    elif word.endswith("n't") and len(word) > 3:
        yield from (word[:-3], "n't")
    else:
        yield _BRACKETS.get(word, word)
