"""A cell's images in parts: each is attacked by itself, kept, and may be another worker's.

What a part comes to depends on nothing outside of it, so a cell that is split, or interrupted and
taken up again, ends with the number of one that ran through. The size is fixed: were it fitted
to the machine, numerics would differ where machines do.
"""

from bench.suite.specs import AnyAttack, Ensemble, PyAutoAttack, TorchAttacks

PART = 256  # images: minutes of a long attack on a large tower, and enough to fill batches


def parts_of(attack: AnyAttack, count: int) -> list[range]:
    """Return the rows of each part of `count` images: whole chunks of an attack that has such."""
    chunk = chunk_of(attack)
    size = -(-PART // chunk) * chunk if chunk else PART
    return [range(start, min(start + size, count)) for start in range(0, count, size)]


def part_name(rows: range) -> str:
    """Return what a part is called among those of one cell or craft."""
    return f"{rows.start:07d}"


def part_key(identity: str, rows: range) -> str:
    """Return what a part of a cell or craft is called."""
    return f"{identity}.{part_name(rows)}"


def chunk_of(attack: AnyAttack) -> int | None:
    """Return the images that an attack of another library takes at once; None where any will do."""
    return attack.chunk if isinstance(attack, PyAutoAttack | TorchAttacks) else None


def parts_matter(attack: AnyAttack) -> bool:
    """Return whether the size of parts moves numbers beyond numerics.

    It does where what the first members of an ensemble leave of a part fills the chunks of a
    later one, which draws its random numbers for a whole chunk.
    """
    return isinstance(attack, Ensemble) and any(map(chunk_of, attack.attacks))
