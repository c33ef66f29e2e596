"""Attack settings adapted to the number of classes and the mode, or the reason to skip a cell."""

from collections.abc import Collection, Mapping, Sequence
from typing import Literal

from bench.catalogue.torchattacks_list import TORCHATTACKS
from bench.core.errors import CellSkip
from bench.core.types import Mode
from bench.plan.attack_limits_language import fit_language
from bench.plan.cells import Cell
from bench.plan.external_images import require_images
from bench.suite.applicability import answers_in_words
from bench.suite.load import Suite
from bench.suite.specs import (
    AnyAttack,
    ApgdSpec,
    ApgdT,
    Component,
    Ensemble,
    ExternalImages,
    ModelSpec,
    PyAutoAttack,
    TorchAttacks,
    members_of,
)

_OFFICIAL_LEAST = {"apgd-dlr": 3, "apgd-t": 4, "fab-t": 2}  # minimum classes; 1 for others
_TARGETED = ("apgd-t", "fab-t")
_TARGETS = 9  # default target classes of torchattacks' targeted attacks: `n_classes` - 1
_NAMES: Mapping[Component, str] = {
    "filter": "the filter of R-Adapt",
    "anchor": "the anchor of R-Adapt",
    "defence": "the test-time defence",
    "unrolling": "the derivative of a defence's change of the image",
}


_Part = Component | Literal["base"]


def fit_cell(
    suite: Suite, cell: Cell, attack: AnyAttack, classes: int
) -> tuple[AnyAttack, tuple[str, ...]]:
    """Return a cell's attack, adapted to the cell's sources and number of classes; see `fit`."""
    if isinstance(attack, ExternalImages):
        require_images(attack, cell.dataset)
        return attack, ()
    components = _removable([suite.models[name] for name in cell.sources])
    for name in (*cell.sources, *attack.surrogates):
        if suite.models[name].gives_logits:
            _refuse_embedding_loss(attack, name)
    if not cell.task.answers:
        return fit(attack, classes, cell.mode, components)
    for member in members_of(attack):
        _check_surrogate(member, components)
    answering = [answers_in_words(suite.models, name) for name in cell.sources]
    return fit_language(attack, cell.sources, answering, cell.mode)


def _refuse_embedding_loss(attack: AnyAttack, name: str) -> None:
    for member in members_of(attack):
        if member.loss_input == "embedding":
            raise CellSkip(
                f"{member.label} needs embeddings of images, but {name} returns logits only"
            )


def _check_surrogate(spec: AnyAttack, components: Collection[_Part]) -> None:
    if spec.on_base and "base" not in components:
        raise CellSkip(f"{spec.label} attacks the base of a model, which a source does not have")
    without = spec.backward.without if isinstance(spec, ApgdSpec) and spec.backward else ()
    for component in without:
        if component not in components:
            raise CellSkip(
                f"{spec.label} removes {_NAMES[component]}, which a source model does not have"
            )


def _removable(models: Sequence[ModelSpec]) -> frozenset[_Part]:
    """Return the components that every model has, so that a surrogate can leave them out."""
    each = [
        frozenset[_Part](("base", *model.components) if model.architecture_of else model.components)
        for model in models
    ]
    return frozenset.intersection(*each)


def fit(
    spec: AnyAttack, classes: int, mode: Mode, components: Collection[_Part] = ()
) -> tuple[AnyAttack, tuple[str, ...]]:
    """Return the attack with settings that `classes` allows, and flags for the changes.

    The number of targets is at most the number of wrong classes (flag `targets=4`). Members of an
    ensemble that cannot run on this dataset in this mode are left out (flag `without=apgd-t`).

    Args:
        spec: The attack.
        classes: Number of classes of the dataset.
        mode: Mode of the craft: `success` or `full`.
        components: Components that a surrogate can leave out of all source models; `base` if each
            has a base.

    Raises:
        CellSkip: The attack cannot run on this dataset in this mode.
    """
    _check_surrogate(spec, components)
    match spec:
        case PyAutoAttack():
            return _fit_official(spec, classes, mode)
        case TorchAttacks():
            return _fit_torchattacks(spec, classes, mode)
        case Ensemble():
            return _fit_ensemble(spec, classes, mode, components)
    if classes < spec.least_classes:
        raise CellSkip(_too_few(spec.kind, spec.least_classes, classes))
    if isinstance(spec, ApgdT) and spec.targets >= classes:
        return spec.model_copy(update={"targets": classes - 1}), _targets(classes)
    return spec, ()


def _too_few(name: str, least: int, classes: int) -> str:
    return f"{name} needs at least {least} classes; this dataset has {classes}"


def _undefined(name: str, classes: int, mode: Mode) -> str | None:
    least = _OFFICIAL_LEAST.get(name, 1)
    if classes < least:
        return _too_few(name, least, classes)
    if mode == "full" and name.startswith("fab"):
        return (
            f"{name} returns the smallest perturbation it finds, or the clean image if it finds "
            "none, so its images are too weak to score other models on"
        )
    return None


def _targets(classes: int) -> tuple[str, ...]:
    return (f"targets={classes - 1}",)


def _fit_official(
    spec: PyAutoAttack, classes: int, mode: Mode
) -> tuple[PyAutoAttack, tuple[str, ...]]:
    reasons = {name: _undefined(name, classes, mode) for name in spec.members}
    kept = tuple(name for name, reason in reasons.items() if reason is None)
    left_out = [name for name in spec.members if name not in kept]
    if not kept:
        raise CellSkip("; ".join(reason for reason in reasons.values() if reason))
    changes: dict[str, object] = {}
    flags = tuple(f"without={name}" for name in left_out)
    if left_out:
        changes |= {"attack": kept, "eot": spec.passes}
    if spec.targets >= classes and any(name in kept for name in _TARGETED):
        changes |= {"targets": classes - 1}
        flags += _targets(classes)
    return spec.model_copy(update=changes), flags


def _fit_torchattacks(
    spec: TorchAttacks, classes: int, mode: Mode
) -> tuple[TorchAttacks, tuple[str, ...]]:
    if mode == "full" and not TORCHATTACKS[spec.attack].attacks_all:
        raise CellSkip(
            f"torchattacks' {spec.attack} returns the clean image if it fails, so its images "
            "cannot be used to score other models"
        )
    dlr = spec.attack == "APGD" and spec.args.get("loss") == "dlr"
    least = 4 if spec.attack == "APGDT" else 3 if dlr else 1
    if classes < least:
        raise CellSkip(
            f"torchattacks' {spec.attack} needs at least {least} classes; "
            f"this dataset has {classes}"
        )
    asked = spec.args.get("n_classes", _TARGETS + 1)
    if "n_classes" in TORCHATTACKS[spec.attack].args and isinstance(asked, int) and asked > classes:
        args = {**spec.args, "n_classes": classes}
        return spec.model_copy(update={"args": args}), _targets(classes)
    return spec, ()


def _fit_ensemble(
    spec: Ensemble, classes: int, mode: Mode, components: Collection[_Part]
) -> tuple[Ensemble, tuple[str, ...]]:
    kept, reasons = [], []
    flags = [f"eot={spec.eot}"] if spec.eot != 1 else []
    for member in spec.attacks:
        try:
            fitted, own = fit(member, classes, mode, components)
        except CellSkip as skip:
            reasons.append(str(skip))
            flags.append(f"without={member.label}")
            continue
        kept.append(fitted)
        flags += own
    if not kept:
        raise CellSkip("; ".join(reasons))
    return spec.model_copy(update={"attacks": tuple(kept)}), tuple(dict.fromkeys(flags))
