"""Native attacks against the reference implementations, on the embedded models.

    python -m tests.parity            # prints the table that docs/parity.md holds

Equal steps, one restart each. PGD is compared by its last iterate, which is what
torchattacks returns; APGD by whether any iterate was misclassified, which is what
AutoAttack counts.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from bench.attacks import build_attack
from bench.attacks.engine import project
from bench.data import index_dataset, load_images
from bench.evaluate import sample_seed
from bench.models import build_model
from bench.specs import AnyAttack, ApgdCe, NanoDataset, NanoModel, Pgd, PyAutoAttack, TorchAttacks
from bench.text import ZeroShotClassifier, zero_shot_head
from bench.types import Budget, ImageTextModel, Mode

CPU = torch.device("cpu")
TEMPLATES = ("a photo of a {c}",)


@dataclass(frozen=True, slots=True)
class Setting:
    """One comparison; the budget leaves 20 to 80% of the images right."""

    attack: str
    model: str
    dataset: str
    eps: str
    steps: int


SETTINGS = (
    Setting("pgd", "clip", "cifar10", "1/255", 10),
    Setting("pgd", "tecoa", "cifar10", "2/255", 10),
    Setting("pgd", "tecoa", "cifar100", "1/255", 10),
    Setting("pgd", "fare", "fashion-mnist", "4/255", 10),
    Setting("apgd-ce", "clip", "cifar10", "1/255", 30),
    Setting("apgd-ce", "tecoa", "cifar10", "2/255", 30),
    Setting("apgd-ce", "tecoa", "cifar100", "1/255", 30),
    Setting("apgd-ce", "fare", "fashion-mnist", "4/255", 30),
)


def pair(setting: Setting) -> tuple[AnyAttack, AnyAttack, Mode]:
    """Return the native attack, its reference with equal steps, and the mode to compare in."""
    eps, steps = (setting.eps,), setting.steps
    if setting.attack == "pgd":
        alpha = 2.5 * Budget(_number(setting.eps)).eps / steps
        reference = TorchAttacks(
            kind="torchattacks", eps=eps, args={"steps": steps, "alpha": alpha}
        )
        return Pgd(kind="pgd", eps=eps, steps=steps), reference, "full"
    official = PyAutoAttack(kind="pyautoattack", eps=eps, steps=steps, restarts=1)
    return ApgdCe(kind="apgd-ce", eps=eps, steps=steps), official, "success"


def classifier(model: str, dataset: str) -> ZeroShotClassifier:
    """Return an embedded model with the head of an embedded set."""
    spec = NanoDataset(name=dataset)  # type: ignore[arg-type]
    classes = index_dataset(spec, 1, 0).classes
    nano = NanoModel(kind="nano", weights=model)  # type: ignore[arg-type]
    built = build_model(nano, CPU, _refers_to_none)
    return ZeroShotClassifier(built, zero_shot_head(built, classes, TEMPLATES))


def survivors(setting: Setting, samples: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return per image whether it withstands the native attack, and the reference."""
    spec = NanoDataset(name=setting.dataset)  # type: ignore[arg-type]
    data = load_images(spec, index_dataset(spec, samples, 0).sample_ids, "native")
    images = torch.from_numpy(data.images).float() / 255
    labels = torch.from_numpy(data.labels)
    model = classifier(setting.model, setting.dataset)
    seeds = [sample_seed(0, key) for key in data.sample_ids]
    budget = Budget(_number(setting.eps))
    native, reference, mode = pair(setting)
    found = []
    for spec_of in (native, reference):
        attack = build_attack(spec_of, batch=128)
        points = attack(model, images, labels, budget, mode=mode, seeds=seeds)
        with torch.no_grad():
            logits = model(project(points, images, budget))
        found.append((logits.argmax(dim=1) == labels).numpy())
    return found[0], found[1]


def _refers_to_none(name: str) -> ImageTextModel:
    raise KeyError(name)


def _number(eps: str) -> float:
    top, _, bottom = eps.partition("/")
    return float(top) / float(bottom)


def main() -> None:
    """Print the table."""
    print("| attack | reference | model | dataset | eps | steps | native | reference |"
          " images apart | per-image agreement |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|---|---|")
    for setting in SETTINGS:
        native, reference = survivors(setting, 500)
        _, by, _ = pair(setting)
        print(
            f"| {setting.attack} | {by.kind} | {setting.model} | {setting.dataset} "
            f"| {setting.eps} | {setting.steps} | {native.mean():.1%} | {reference.mean():.1%} "
            f"| {abs(int(native.sum()) - int(reference.sum()))} of {len(native)} "
            f"| {(native == reference).mean():.1%} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
