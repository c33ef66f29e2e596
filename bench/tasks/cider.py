"""CIDEr-D of captions (Vedantam et al. 2015, arXiv:1411.5726), as coco-caption computes it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.core.language_types import Question
from bench.tasks.ptb_tokenizer import words

_MAX_WORDS = 4  # words in the longest n-grams
_SIGMA = 6.0  # standard deviation of the length penalty, in words
_SCALE = 10.0

_Grams = Counter[tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class _Vector:
    """A text as TF-IDF weights of n-grams.

    Attributes:
        weights: Weights of the n-grams, one dictionary for each n from 1 to 4.
        norms: Euclidean norms of the weights for each n.
        length: Number of pairs of adjacent words.
    """

    weights: tuple[dict[tuple[str, ...], float], ...]
    norms: tuple[float, ...]
    length: int


class Cider:
    """Scores captions against references.

    An n-gram has a smaller weight if the references of more images contain it. So the score of a
    caption depends on all images of the cell; with a single image all scores are 0.
    """

    def __init__(self, all_exchanges: Sequence[Question]) -> None:
        """Count for each n-gram the images whose references contain it."""
        self._grams = {
            question.answers: [_grams(text) for text in question.answers]
            for question in all_exchanges
        }
        self._images: Counter[tuple[str, ...]] = Counter()
        for question in all_exchanges:
            self._images.update(
                {gram for reference in self._grams[question.answers] for gram in reference}
            )
        self._log_images = np.log(float(len(all_exchanges)))

    def __call__(self, texts: Sequence[str], questions: Sequence[Question]) -> NDArray[np.float64]:
        """Return the score of each caption, 0 to 10, `[n]`.

        The questions must be among those that the object was created with.
        """
        scores = [
            self._score(text, self._grams[question.answers])
            for text, question in zip(texts, questions, strict=True)
        ]
        return np.array(scores, np.float64)

    def _score(self, text: str, references: Sequence[_Grams]) -> float:
        candidate = self._vector(_grams(text))
        each = [_similarity(candidate, self._vector(reference)) for reference in references]
        return float(np.mean(np.sum(each, axis=0)) / len(references) * _SCALE)

    def _vector(self, grams: _Grams) -> _Vector:
        weights: tuple[dict[tuple[str, ...], float], ...] = tuple({} for _ in range(_MAX_WORDS))
        for gram, count in grams.items():
            rarity = self._log_images - np.log(max(1.0, self._images[gram]))
            weights[len(gram) - 1][gram] = count * rarity
        norms = tuple(float(np.sqrt(sum(w * w for w in each.values()))) for each in weights)
        # coco-caption counts pairs of adjacent words instead of words; differences of lengths are
        # the same, except for captions of less than two words
        return _Vector(weights, norms, sum(n for gram, n in grams.items() if len(gram) == 2))


def _grams(text: str) -> _Grams:
    tokens = words(text)
    return Counter(
        tuple(tokens[start : start + size])
        for size in range(1, _MAX_WORDS + 1)
        for start in range(len(tokens) - size + 1)
    )


def _similarity(candidate: _Vector, reference: _Vector) -> list[float]:
    """Return the clipped cosine for each n, times the penalty for a different length."""
    difference = candidate.length - reference.length
    penalty = float(np.exp(-(difference**2) / (2 * _SIGMA**2)))
    return [
        penalty
        * sum(
            min(weight, other_weights.get(gram, 0.0)) * other_weights.get(gram, 0.0)
            for gram, weight in own_weights.items()
        )
        / (norm * other_norm if norm and other_norm else 1.0)
        for own_weights, other_weights, norm, other_norm in zip(
            candidate.weights, reference.weights, candidate.norms, reference.norms, strict=True
        )
    ]
