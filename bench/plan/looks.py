"""After how many images cells are looked at whose images depend on the ranks of the models."""

from math import lcm

from bench.plan.shards import chunk_of
from bench.suite.load import Suite

_UNIT = 64  # images: enough to separate models that are far apart, and to fill batches
_GROWTH = 4  # a look has a quarter more images than the last


def looks(unit: int, most: int) -> tuple[int, ...]:
    """Return the numbers of images per dataset at which models are compared.

    The last is the first that has all images, so a larger dataset only has further numbers.

    Args:
        unit: The first number, of which the others are multiples.
        most: Number of images of a dataset.
    """
    found = [unit]
    while found[-1] < most:
        found.append(found[-1] + unit * max(1, round(found[-1] / _GROWTH / unit)))
    return tuple(found)


def unit_of(suite: Suite) -> int:
    """Return the fewest images between two looks: whole chunks of the attacks of libraries."""
    chunk = lcm(*(chunk_of(attack) or 1 for attack in suite.attacks))
    return -(-_UNIT // chunk) * chunk
