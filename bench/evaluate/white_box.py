"""An attack in mode `success`: each of its stages sees what none before has broken."""

import torch
from torch import Tensor

from bench.attacks.pyautoattack_adapter import doubts
from bench.attacks.stored_images import decode, encode
from bench.evaluate.answer_attacks import attack_answers
from bench.evaluate.craft import Case, craft
from bench.evaluate.score import judge
from bench.evaluate.tally import Tally
from bench.plan.precisions import stages
from bench.suite.specs import AnyAttack, Storage


def attack_target(
    case: Case,
    attack: AnyAttack,
    storage: Storage,
    tally: Tally,
    *,
    ended: Tensor | None = None,
) -> None:
    """Attack a cell's target itself, and note what breaks, how far it moved, and what is doubtful.

    Args:
        case: What is attacked.
        attack: The attack, fitted to the dataset.
        storage: The form in which attacked images are judged.
        tally: Says which images are left, and is filled in.
        ended: Images `[n,3,h,w]` that are written over with where each was judged last, for those
            who look at them; those that were not left stay. Nobody looks at those that are
            asked about in words.
    """
    cell, images = case.cell, case.images
    if images.exchanges:
        attack_answers(case, attack, storage, tally)
        return
    with doubts() as found:
        for precision in stages(attack, cell.mode):
            left = torch.from_numpy(tally.correct.nonzero()[0])
            if not len(left):
                break
            points = craft(case, attack, left, precision, tally)
            if storage != "float16":  # full precision is nearer to the attack than halves
                clean = images.floats(left)
                points = decode(encode(points, clean, storage), clean, cell.budget, storage)
            judge(case, left, points, tally)
            if ended is not None:
                ended[left.to(ended.device)] = points
    tally.flags = tuple(sorted(found))
