"""Native attacks against the reference implementations, on the embedded models.

    python -m tests.parity            # prints the tables that docs/parity.md holds

Equal steps, one restart each. PGD is compared by its last iterate, which is what
torchattacks returns; APGD in mode `success` by whether any iterate was misclassified,
which is what AutoAttack counts, and in mode `full` by the loss it reaches, against
`perturb(x, y, best_loss=True)`.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from bench.attacks import build_attack
from bench.attacks.balls import project
from bench.attacks.losses import cross_entropy
from bench.data import index_dataset, load_images
from bench.evaluate import sample_seed
from bench.models import build_model
from bench.specs import (
    AnyAttack,
    ApgdCe,
    NanoDataset,
    NanoModel,
    Pgd,
    PyAutoAttack,
    TorchAttacks,
    eps_value,
)
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
    mode: Mode


@dataclass(frozen=True, slots=True)
class Reached:
    """Per image, whether it withstands an attack, and the cross-entropy where that ends."""

    correct: NDArray[np.bool_]
    loss: NDArray[np.float32]


SETTINGS = (
    Setting("pgd", "clip", "cifar10", "1/255", 10, "full"),
    Setting("pgd", "tecoa", "cifar10", "2/255", 10, "full"),
    Setting("pgd", "tecoa", "cifar100", "1/255", 10, "full"),
    Setting("pgd", "fare", "fashion-mnist", "4/255", 10, "full"),
    Setting("apgd-ce", "clip", "cifar10", "1/255", 30, "success"),
    Setting("apgd-ce", "tecoa", "cifar10", "2/255", 30, "success"),
    Setting("apgd-ce", "tecoa", "cifar100", "1/255", 30, "success"),
    Setting("apgd-ce", "fare", "fashion-mnist", "4/255", 30, "success"),
)
FULL_SETTINGS = tuple(
    replace(setting, mode="full") for setting in SETTINGS if setting.attack == "apgd-ce"
)


def pair(setting: Setting) -> tuple[AnyAttack, AnyAttack]:
    """Return the native attack, and its reference with equal steps."""
    eps, steps = (setting.eps,), setting.steps
    if setting.attack == "pgd":
        alpha = 2.5 * eps_value(setting.eps) / steps
        reference = TorchAttacks(
            kind="torchattacks", eps=eps, args={"steps": steps, "alpha": alpha}
        )
        return Pgd(kind="pgd", eps=eps, steps=steps), reference
    official = PyAutoAttack(kind="pyautoattack", eps=eps, steps=steps, restarts=1)
    return ApgdCe(kind="apgd-ce", eps=eps, steps=steps), official


def classifier(model: str, dataset: str) -> ZeroShotClassifier:
    """Return an embedded model with the head of an embedded set."""
    spec = NanoDataset(name=dataset)  # type: ignore[arg-type]
    classes = index_dataset(spec, 1, 0).classes
    nano = NanoModel(kind="nano", weights=model)  # type: ignore[arg-type]
    built = build_model(nano, CPU, _refers_to_none)
    return ZeroShotClassifier(built, zero_shot_head(built, classes, TEMPLATES))


def reach(setting: Setting, attack: AnyAttack, samples: int, seed: int = 0) -> Reached:
    """Return what an attack reaches on a setting's model and images."""
    spec = NanoDataset(name=setting.dataset)  # type: ignore[arg-type]
    data = load_images(spec, index_dataset(spec, samples, 0).sample_ids, "native")
    images = torch.from_numpy(data.images).float() / 255
    labels = torch.from_numpy(data.labels)
    model = classifier(setting.model, setting.dataset)
    seeds = [sample_seed(seed, key) for key in data.sample_ids]
    budget = Budget(eps_value(setting.eps))
    run = build_attack(attack, batch=128)
    points = run(model, images, labels, budget, mode=setting.mode, seeds=seeds)
    with torch.no_grad():
        logits = model(project(points, images, budget))
    return Reached(
        (logits.argmax(dim=1) == labels).numpy(), cross_entropy(logits, labels, labels).numpy()
    )


def _refers_to_none(name: str) -> ImageTextModel:
    raise KeyError(name)


def print_survivors() -> None:
    """Print which images withstand each attack."""
    print("| attack | reference | model | dataset | eps | steps | native | reference |"
          " images apart | per-image agreement |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|---|---|")
    for setting in SETTINGS:
        by = pair(setting)
        native, reference = (reach(setting, attack, 500).correct for attack in by)
        print(
            f"| {setting.attack} | {by[1].kind} | {setting.model} | {setting.dataset} "
            f"| {setting.eps} | {setting.steps} | {native.mean():.1%} | {reference.mean():.1%} "
            f"| {abs(int(native.sum()) - int(reference.sum()))} of {len(native)} "
            f"| {(native == reference).mean():.1%} |",
            flush=True,
        )


def print_losses() -> None:
    """Print which losses the attacks reach, and the reference once more with other starts."""
    print("| model | dataset | eps | steps | | mean loss | reference's | at least as high |"
          " misclassified | by the reference |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|---|---|")
    for setting in FULL_SETTINGS:
        native, official = pair(setting)
        reference = reach(setting, official, 500)
        for name, attack, seed in (("native", native, 0), ("reference again", official, 1)):
            found = reach(setting, attack, 500, seed)
            print(
                f"| {setting.model} | {setting.dataset} | {setting.eps} | {setting.steps} | {name} "
                f"| {found.loss.mean():.4f} | {reference.loss.mean():.4f} "
                f"| {(found.loss >= reference.loss).mean():.1%} "
                f"| {(~found.correct).mean():.1%} | {(~reference.correct).mean():.1%} |",
                flush=True,
            )


if __name__ == "__main__":
    print_survivors()
    print()
    print_losses()
