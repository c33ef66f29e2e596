"""Parts of a cell: fixed ranges of its images, attacked and stored separately by any worker.

The result of a part depends only on its own images. So a cell that is split or interrupted has the
same result as a cell that runs without a break. The size of a part is fixed: if it depended on the
machine, floating-point results would too.
"""

from collections.abc import Sequence
from itertools import pairwise

from bench.suite.specs import AnyAttack, Ensemble, PyAutoAttack, TorchAttacks

PART = 256  # images: a few minutes of a long attack on a large model, and enough to fill batches


def parts_of(attack: AnyAttack, count: int, ends: Sequence[int] | None = None) -> list[range]:
    """Return the rows of each part of `count` images; a part has whole chunks of an attack.

    Args:
        attack: The attack.
        count: Number of images of the dataset.
        ends: Where the parts end, and with the last of them the images; None for all images.
    """
    if ends:
        return [range(a, min(b, count)) for a, b in pairwise((0, *ends)) if a < count]
    chunk = chunk_of(attack)
    size = -(-PART // chunk) * chunk if chunk else PART
    return [range(start, min(start + size, count)) for start in range(0, count, size)]


def part_name(rows: range) -> str:
    """Return the name of a part within its cell or craft."""
    return f"{rows.start:07d}"


def part_key(identity: str, rows: range) -> str:
    """Return the key of a part: the id of its cell or craft, and its name."""
    return f"{identity}.{part_name(rows)}"


def chunk_of(attack: AnyAttack) -> int | None:
    """Return the fixed batch size of another library's attack; None for native attacks."""
    return attack.chunk if isinstance(attack, PyAutoAttack | TorchAttacks) else None


def part_size_matters(attack: AnyAttack) -> bool:
    """Return whether the size of parts changes numbers by more than floating-point error.

    It does for an ensemble with an attack of another library. That attack draws its random numbers
    per chunk, and its chunks hold the images of a part that earlier members did not break.
    """
    return isinstance(attack, Ensemble) and any(map(chunk_of, attack.attacks))
