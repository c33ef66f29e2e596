"""An attack in mode `full`: every image with all steps, for any target to be scored on."""

import torch

from bench.attacks.pyautoattack_adapter import doubts
from bench.attacks.stored_images import encode
from bench.evaluate.craft import Case, craft
from bench.evaluate.tally import untouched
from bench.plan.precisions import stages
from bench.store.results_folder import Craft
from bench.suite.specs import AnyAttack, Storage


def attack_all(case: Case, attack: AnyAttack, storage: Storage) -> Craft:
    """Attack all images of a case on the cell's source.

    Args:
        case: What is attacked.
        attack: The attack, fitted to the dataset.
        storage: The form in which attacked images are kept.

    Returns:
        The images as they are kept, and what they took.
    """
    tally = untouched(case.images.sample_ids)
    everything = torch.arange(len(case.images.labels))
    (precision,) = stages(attack, case.cell.mode)
    with doubts():
        points = craft(case, attack, everything, precision, tally)
    kept = encode(points, case.images.floats(everything), storage)
    return Craft(kept, tally.forwards, tally.backwards)
