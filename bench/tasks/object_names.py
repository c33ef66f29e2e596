"""Check whether a text names an object, as whole words in singular or plural."""

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
_WHOLE_WORDS = {"ox": "oxen"}  # irregular only as a whole word, not as the end of "box"
_APOSTROPHES = str.maketrans("", "", "'\u2018\u2019\u02bc")
_ENDINGS = ("s", "x", "z", "ch", "sh", "o")


def names_object(text: str, names: Sequence[str]) -> bool:
    """Return whether a text contains one of the names as whole words.

    Case, accents, hyphens and punctuation do not count, and the last word of a name may be singular
    or plural. Negation is not detected: "no dog" names a dog.
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
    irregular = tuple(
        word.removesuffix(singular) + plural
        for singular, plural in _IRREGULAR.items()
        if word.endswith(singular)
    ) + tuple(plural for singular, plural in _WHOLE_WORDS.items() if word == singular)
    if re.search(r"[^aeiou]y$", word):
        return (*irregular, f"{word[:-1]}ies")
    return (*irregular, f"{word}s", *([f"{word}es"] if word.endswith(_ENDINGS) else []))


def _singulars(word: str) -> tuple[str, ...]:
    irregular = tuple(
        word.removesuffix(plural) + singular
        for singular, plural in _IRREGULAR.items()
        if word.endswith(plural)
    ) + tuple(singular for singular, plural in _WHOLE_WORDS.items() if word == plural)
    if word.endswith("ies"):
        return (*irregular, f"{word[:-3]}y", word[:-1])
    if word.endswith("es") and word[:-2].endswith(_ENDINGS):
        return (*irregular, word[:-2], word[:-1])
    return (*irregular, word[:-1]) if word.endswith("s") and not word.endswith("ss") else irregular


def _plain(text: str) -> str:
    characters = unicodedata.normalize("NFKD", text.translate(_APOSTROPHES).lower())
    letters = (character for character in characters if not unicodedata.combining(character))
    return " ".join(re.findall(r"[a-z0-9]+", "".join(letters)))
