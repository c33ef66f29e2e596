"""Adversarial images for some rows of a dataset, proposed by an attack on a cell's source."""

import hashlib
from dataclasses import dataclass

from torch import Tensor

from bench.attacks import build_attack
from bench.attacks.balls import project
from bench.counted import Counted
from bench.deadline import Deadline
from bench.errors import CellError
from bench.memory import ran_out
from bench.parts import chunk_of
from bench.plan import Cell
from bench.precision import arithmetic
from bench.specs import AnyAttack, Precision
from bench.tally import Tally
from bench.warm import Images, Warm


@dataclass(frozen=True, slots=True)
class Case:
    """What a cell is measured with.

    Attributes:
        cell: What is measured.
        warm: Its models, with their heads and batch sizes.
        images: Its dataset.
        deadline: When time is up.
    """

    cell: Cell
    warm: Warm
    images: Images
    deadline: Deadline


def craft(
    case: Case, attack: AnyAttack, rows: Tensor, precision: Precision, tally: Tally
) -> Tensor:
    """Return the points `[b,3,h,w]` that an attack finds on the source, within the budget.

    Raises:
        CellError: Time is up, or the chunks of an adapter do not fit into memory.
    """
    cell, images = case.cell, case.images
    classifier = case.warm.classifier(cell.source, cell.dataset, precision)
    source = Counted(classifier, case.deadline)
    clean, labels = images.floats(rows), images.labels[rows.to(images.labels.device)]
    run = build_attack(attack, batch=case.warm.batch(cell.source, cell.dataset))
    seeds = [sample_seed(cell.seed, images.sample_ids[row]) for row in rows.tolist()]
    try:
        with arithmetic(precision):
            proposal = run(source, clean, labels, cell.budget, mode=cell.mode, seeds=seeds)
    except Exception as error:
        chunk = chunk_of(attack)
        if chunk is None or not ran_out(error) or not case.warm.relieved:
            raise  # another try, on smaller batches and with nothing else in memory, may do
        raise CellError(
            f"{attack.label}: chunks of {chunk} images do not fit into the device's "
            "memory; a smaller `chunk` is another cell, since its random numbers differ"
        ) from error
    tally.add(source)
    return project(proposal.detach(), clean, cell.budget)


def sample_seed(seed: int, sample_id: str) -> int:
    """Return the seed of one image's random stream."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{sample_id}".encode()).digest()[:7], "big")
