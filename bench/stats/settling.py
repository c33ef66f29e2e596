"""Which models of a table are worth more images, because their ranks are not settled."""

from collections.abc import Sequence

import numpy as np

from bench.core.types import Values
from bench.stats.anytime_pairs import chance_of_separation, common_images
from bench.stats.multiplicity import LEVEL
from bench.stats.ranking import EARLY, anytime_order

CHANCE = 0.2  # a pair is given up if all images separate it with less probability


def undecided(models: Sequence[Sequence[Values]], most: int) -> list[int]:
    """Return the models that need more images, those of the pair nearest to a decision first.

    A pair of models is settled if the tests of `anytime_order` separate it, if it has all images,
    or if all images will hardly separate it. This last rule costs power alone: the tests hold
    wherever they stop. Of any other pair the model with fewer images goes on, or both if they have
    equally many.

    Args:
        models: Per model and dataset, whether each image is right; the images are in random order,
            and those of one model are the first of another.
        most: Largest number of images per dataset.
    """
    ahead, images = common_images(models)
    first, second = np.tril_indices(len(models), -1)
    wins, losses = ahead[first, second], ahead[second, first]
    seen = images[first, second] / (most * len(models[0]))
    together = anytime_order(models, most)[first, second] == 0
    left = np.flatnonzero(together & (seen < 1))
    # of the test of all images, for the next pair in Holm's order
    level = LEVEL * (1 - EARLY) / max(1, int(together.sum()))
    chances = chance_of_separation(wins[left], losses[left], seen[left], level)
    sizes = [min(map(len, model)) for model in models]
    found: dict[int, None] = {}
    for place in np.argsort(-chances, kind="stable"):
        if chances[place] >= CHANCE:
            pair = int(first[left[place]]), int(second[left[place]])
            shorter = min(sizes[model] for model in pair)
            found |= {model: None for model in pair if sizes[model] == shorter}
    return list(found)
