"""Whether a text names an object, word by word, in singular or plural."""

import re
import unicodedata
from collections.abc import Sequence
from functools import cache

_IRREGULAR = {
    "calf": "calves", "child": "children", "foot": "feet", "goose": "geese", "half": "halves",
    "knife": "knives", "leaf": "leaves", "loaf": "loaves", "man": "men", "mouse": "mice",
    "person": "people", "scarf": "scarves", "shelf": "shelves", "tooth": "teeth",
    "wolf": "wolves", "woman": "women",
}  # fmt: skip
_WHOLE = {"ox": "oxen"}  # words, and no ends of words such as a box
_APOSTROPHES = str.maketrans("", "", "'\u2018\u2019\u02bc")
_ENDINGS = ("s", "x", "z", "ch", "sh", "o")


def names_object(text: str, names: Sequence[str]) -> bool:
    """Return whether a text has one of some names as whole words.

    Case, accents, hyphens and punctuation do not count, and the last word of a name may be in
    singular or plural. That a text denies what it names is not seen.
    """
    found = f" {_plain(text)} "
    return any(f" {form} " in found for name in names for form in _forms(name))


@cache
def _forms(name: str) -> frozenset[str]:
    first, space, last = _plain(name).rpartition(" ")
    if not last:
        return frozenset()
    return frozenset(f"{first}{space}{form}" for form in (last, *_plurals(last), *_singulars(last)))


def _plurals(word: str) -> tuple[str, ...]:
    odd = tuple(
        word.removesuffix(one) + many for one, many in _IRREGULAR.items() if word.endswith(one)
    ) + tuple(many for one, many in _WHOLE.items() if word == one)
    if re.search(r"[^aeiou]y$", word):
        return (*odd, f"{word[:-1]}ies")
    return (*odd, f"{word}s", *([f"{word}es"] if word.endswith(_ENDINGS) else []))


def _singulars(word: str) -> tuple[str, ...]:
    odd = tuple(
        word.removesuffix(many) + one for one, many in _IRREGULAR.items() if word.endswith(many)
    ) + tuple(one for one, many in _WHOLE.items() if word == many)
    if word.endswith("ies"):
        return (*odd, f"{word[:-3]}y", word[:-1])
    if word.endswith("es") and word[:-2].endswith(_ENDINGS):
        return (*odd, word[:-2], word[:-1])
    return (*odd, word[:-1]) if word.endswith("s") and not word.endswith("ss") else odd


def _plain(text: str) -> str:
    signs = unicodedata.normalize("NFKD", text.translate(_APOSTROPHES).lower())
    letters = (sign for sign in signs if not unicodedata.combining(sign))
    return " ".join(re.findall(r"[a-z0-9]+", "".join(letters)))
