"""What stronger attacks add to those of the preset `fare-paper`, at equal numbers of gradients.

    python -m tests.attacks.stronger    # prints the table of docs/attacks.md

Every run of every attack is made on the images that the earlier runs of that attack left. As an
ensemble breaks what its members break alone, the counts of all ensembles follow.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import TypeAdapter
from torch import Tensor

from bench.attacks import build_attack
from bench.attacks.sequence import InSequence
from bench.core.types import Budget, EmbeddingClassifier, ImageTextModel
from bench.data import index_dataset, load_images
from bench.evaluate.craft import sample_seed
from bench.models import build_model
from bench.models.zero_shot import ZeroShotClassifier, zero_shot_head
from bench.suite.specs import (
    AnyAttack,
    ApgdT,
    ModelSpec,
    NanoDataset,
    NanoModel,
    RAdaptModel,
    eps_value,
)
from tests.attacks.parity import CPU, TEMPLATES

STEPS = 20
MODELS: Mapping[str, ModelSpec] = {
    "CLIP": NanoModel(kind="nano", weights="clip"),
    "FARE": NanoModel(kind="nano", weights="fare"),
    "TeCoA": NanoModel(kind="nano", weights="tecoa"),
    "R-Adapt": RAdaptModel.model_validate(
        {"kind": "radapt", "base": "CLIP", "anchor": {"white": "FARE"}, "alpha": 1.0, "cutoff": 40}
    ),
}
RADII = {"CLIP": "2/255", "FARE": "3/255", "TeCoA": "4/255", "R-Adapt": "2/255"}
ATTACKS: Mapping[str, Mapping[str, Any]] = {
    "ce": {"kind": "apgd-ce", "restarts": 5},
    "dlr": {"kind": "apgd-dlr"},
    "pm": {"kind": "apgd-pm", "restarts": 5},
    "t": {"kind": "apgd-t"},
    "malt": {"kind": "apgd-t", "targets_by": "malt"},
    "start": {"kind": "apgd-ce", "restarts": 2, "start": {"transfer": "other"}},
}
# By name, how many runs of each attack. The last four cost at most 14 runs of 20 gradients: a run
# from transferred points costs two runs, and MALT's choice 99 gradients (cifar10: 9).
ENSEMBLES: Mapping[str, Mapping[str, int]] = {
    "apgd-ce": {"ce": 1},
    "apgd-dlr": {"dlr": 1},
    "apgd-pm": {"pm": 1},
    "apgd-ce, 2 runs": {"ce": 2},
    "apgd-ce, 1 run from transferred points": {"start": 1},
    "fare-paper": {"ce": 5, "t": 9},
    "`apgd-pm` for `apgd-ce`": {"pm": 5, "t": 9},
    "`malt`, without `apgd-ce`": {"malt": 9},
    "2 of 5 runs from transferred points": {"ce": 1, "start": 2, "t": 9},
}


def model(name: str) -> ImageTextModel:
    """Return a model by its name in `MODELS`."""
    return build_model(MODELS[name], CPU, model)


def broken_by(
    spec: AnyAttack,
    target: EmbeddingClassifier,
    other: EmbeddingClassifier,
    given: tuple[Tensor, Tensor, Budget],
    seeds: Sequence[int],
) -> list[NDArray[np.bool_]]:
    """Return which images the first n runs of an attack break, for n from 1.

    Runs with targets count as one.
    """
    images, labels, budget = given
    attack = build_attack(spec, batch=128, surrogate=lambda _: other)
    whole = isinstance(spec, ApgdT) or not isinstance(attack, InSequence)
    broken = torch.zeros(len(images), dtype=torch.bool)
    found = []
    for run in (attack,) if whole else attack.attacks:  # type: ignore[union-attr]
        left = (~broken).nonzero().squeeze(1)
        own = [seeds[row] for row in left.tolist()]
        points = run(target, images[left], labels[left], budget, mode="success", seeds=own)
        with torch.no_grad():
            broken[left] = target(points).argmax(dim=1) != labels[left]
        found.append(broken.clone().numpy())
    return found


def rows(samples: int) -> Iterator[tuple[str, str, int, int, dict[str, int]]]:
    """Yield model, dataset, images, right without an attack, and what each ensemble breaks."""
    adapter: TypeAdapter[AnyAttack] = TypeAdapter(AnyAttack)
    for dataset in ("cifar10", "cifar100"):
        spec = NanoDataset(name=dataset)  # type: ignore[arg-type]
        data = load_images(spec, index_dataset(spec, samples, 0).sample_ids, "native")
        images, labels = torch.from_numpy(data.images).float() / 255, torch.from_numpy(data.labels)
        seeds = [sample_seed(0, key) for key in data.sample_ids]

        def classifier(name: str, classes: Sequence[str] = data.classes) -> ZeroShotClassifier:
            built = model(name)
            return ZeroShotClassifier(built, zero_shot_head(built, classes, TEMPLATES))

        for name, radius in RADII.items():
            target, other = classifier(name), classifier("FARE" if name == "CLIP" else "CLIP")
            with torch.no_grad():
                right = (target(images).argmax(dim=1) == labels).nonzero().squeeze(1)
            own = [seeds[row] for row in right.tolist()]
            given = (images[right], labels[right], Budget(eps_value(radius)))
            broken = {}
            for key, settings in ATTACKS.items():
                attack = adapter.validate_python({"eps": radius, "steps": STEPS, **settings})
                broken[key] = broken_by(attack, target, other, given, own)
            counts = {}
            for ensemble, members in ENSEMBLES.items():
                parts = [
                    broken[key][min(runs, len(broken[key])) - 1] for key, runs in members.items()
                ]
                counts[ensemble] = int(np.logical_or.reduce(parts).sum())
            yield name, dataset, len(images), len(right), counts


def main(arguments: Sequence[str]) -> None:
    """Print one row per model and dataset."""
    parser = argparse.ArgumentParser(prog="python -m tests.attacks.stronger")
    parser.add_argument("--samples", type=int, default=100, help="images of each set")
    torch.set_num_threads(1)
    print("|".join(["model", "set", "eps", "images", "right", *ENSEMBLES]))
    for name, dataset, images, right, counts in rows(parser.parse_args(arguments).samples):
        row = [name, dataset, RADII[name], images, right, *counts.values()]
        print("|".join(map(str, row)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
