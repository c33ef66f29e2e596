"""CIDEr-D of captions (Vedantam et al. 2015, arXiv:1411.5726), as coco-caption computes it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.core.language_types import Question
from bench.tasks.ptb_tokenizer import words

_LONGEST = 4  # words of an n-gram
_SIGMA = 6.0  # of the penalty for a length other than the reference's
_SCALE = 10.0

_Grams = Counter[tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class _Vector:
    """Weights of n-grams by their length, the norms of these, and the number of pairs of words."""

    weights: tuple[dict[tuple[str, ...], float], ...]
    norms: tuple[float, ...]
    length: int


class Cider:
    """Scores captions against references.

    A word counts the less, the more images have it in one of their references; so the score of a
    caption depends on all images that are scored, and with one image all scores are 0.
    """

    def __init__(self, everyone: Sequence[Question]) -> None:
        """Count in how many of all images each n-gram of the references is found."""
        self._grams = {
            question.answers: [_grams(text) for text in question.answers] for question in everyone
        }
        self._images: Counter[tuple[str, ...]] = Counter()
        for question in everyone:
            self._images.update({gram for one in self._grams[question.answers] for gram in one})
        self._largest = np.log(float(len(everyone)))

    def __call__(self, texts: Sequence[str], questions: Sequence[Question]) -> NDArray[np.float64]:
        """Return the score of each caption, 0 to 10, `[n]`; its question is among everyone."""
        scores = [
            self._score(text, self._grams[question.answers])
            for text, question in zip(texts, questions, strict=True)
        ]
        return np.array(scores, np.float64)

    def _score(self, text: str, references: Sequence[_Grams]) -> float:
        said = self._vector(_grams(text))
        each = [_similarity(said, self._vector(reference)) for reference in references]
        return float(np.mean(np.sum(each, axis=0)) / len(references) * _SCALE)

    def _vector(self, grams: _Grams) -> _Vector:
        weights: tuple[dict[tuple[str, ...], float], ...] = tuple({} for _ in range(_LONGEST))
        for gram, count in grams.items():
            rarity = self._largest - np.log(max(1.0, self._images[gram]))
            weights[len(gram) - 1][gram] = count * rarity
        norms = tuple(float(np.sqrt(sum(w * w for w in each.values()))) for each in weights)
        # the reference counts pairs, not words, which changes the difference of two lengths nowhere
        # but between captions of less than two words
        return _Vector(weights, norms, sum(n for gram, n in grams.items() if len(gram) == 2))


def _grams(text: str) -> _Grams:
    found = words(text)
    return Counter(
        tuple(found[start : start + size])
        for size in range(1, _LONGEST + 1)
        for start in range(len(found) - size + 1)
    )


def _similarity(said: _Vector, reference: _Vector) -> list[float]:
    """Return for each length of n-grams the clipped cosine, less a penalty for another length."""
    apart = said.length - reference.length
    penalty = float(np.exp(-(apart**2) / (2 * _SIGMA**2)))
    return [
        penalty
        * sum(
            min(weight, there.get(gram, 0.0)) * there.get(gram, 0.0) for gram, weight in own.items()
        )
        / (norm * other if norm and other else 1.0)
        for own, there, norm, other in zip(
            said.weights, reference.weights, said.norms, reference.norms, strict=True
        )
    ]
