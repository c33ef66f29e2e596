"""Split captions into words like CIDEr's reference code, without Java.

coco-caption runs Stanford CoreNLP's Penn Treebank tokeniser (3.4.1, lower case) and drops
punctuation. This module has the rules that matter for English captions: contractions, quotation
marks, brackets, abbreviations with their full stop, numbers, compounds. It may split other texts
differently: emoticons, web addresses, telephone numbers, file names, fractions in a single
character, ranges of decimals or times, words joined by a full stop or a question mark (`L.A`,
`sun.The`), and other scripts. CoreNLP drops characters that it cannot read; this module drops
characters beyond 16 bits, which most emoji are.
"""

import re
from collections.abc import Iterator

# coco-caption removes these; it keeps brackets, since lower case turns `-LRB-` into `-lrb-`
_DROPPED = frozenset(("''", "'", "`", '"', "?", "!", ",", ":", "-", ";"))

# abbreviations that keep their full stop: words, states (capitalised), words before a number
_ABBREVIATIONS = """
    adj adm adv al ala alex apr ariz assn assoc asst atty aug ave bhd bldg blvd brig bros calif
    capt cf cie cmdr co col colo conn corp cos cpl ct dak dec dept det dr drs elec ens esq est etc
    ext feb fla fri ft ga gen gov hon inc ind insp intl jan jos jr jul jun kan kans ky lt ltd maj
    mar md mfg mich minn mme mo mon mont mr mrs ms mt mtg natl neb nev nov oct okla penn pfc ph plc
    pres prof profs pte pty pvt rd rep reps rev rt sen sens sep sept seq sfc sgt spc sq sr st ste
    supt sys tel thu thurs treas tue tues univ va vs vt wed wis wm wyo
"""
_STATES = "Ark Az Del Ill La Mass Miss Ore Pa Tex Wash"
_NUMBER_PREFIXES = "art ca fig figs no nos op pp prop"
_ABBREVIATION_SET = frozenset(_ABBREVIATIONS.split())
_STATE_SET = frozenset(_STATES.lower().split())
_NUMBER_PREFIX_SET = frozenset(_NUMBER_PREFIXES.split())

_CONTINUES = frozenset(",;:")  # after a full stop, they show that the sentence continues

_SPLIT = {
    "cannot": "can not", "gonna": "gon na", "gotta": "got ta", "wanna": "wan na",
    "gimme": "gim me", "lemme": "lem me", "'tis": "'t is", "'twas": "'t was",
}  # fmt: skip
_BRACKETS = {
    "(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-",
}  # fmt: skip
_REPLACED = str.maketrans(
    {
        "\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u2013": " -- ",
        "\u2014": " -- ", "\u2026": " ... ", "\u20ac": "$", "\xa3": "#", "\xa0": " ",
    }
)  # fmt: skip
_UNREADABLE = re.compile(r"[\U00010000-\U0010ffff\ufe0e\ufe0f\u200d]")
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
    """Return the words of a caption in lower case, without punctuation."""
    text = " ".join(_UNREADABLE.sub(" ", caption.translate(_REPLACED)).split())
    for entity, character in _ENTITIES.items():
        text = text.replace(entity, character)
    return [token for token in _tokens(text) if token not in _DROPPED and token.strip(".-")]


def _tokens(text: str) -> Iterator[str]:
    position = 0
    while match := _TOKEN.search(text, position):
        token, position = match[0], match.end()
        if text.startswith(".", position) and _is_abbreviation(token, text[position + 1 :]):
            token, position = f"{token}.", position + 1
        yield from _split_token(token)


def _is_abbreviation(token: str, rest: str) -> bool:
    word = token.lower()
    return (
        word in _ABBREVIATION_SET
        or (word in _STATE_SET and token[0].isupper())
        or (word in _NUMBER_PREFIX_SET and re.match(r"\s*\d", rest) is not None)
        or (rest[:1] in _CONTINUES and token[0].isalpha())
    )


def _split_token(token: str) -> Iterator[str]:
    word = token.lower()
    if word in _SPLIT:
        yield from _SPLIT[word].split()
    elif word.endswith("n't") and len(word) > 3:
        yield from (word[:-3], "n't")
    else:
        yield _BRACKETS.get(word, word)
