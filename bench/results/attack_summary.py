"""Settings of an attack as tables state them: members, steps, restarts, targets."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bench.suite.specs import (
    AnyAttack,
    ApgdT,
    ApgdText,
    ApgdTextTargeted,
    Ensemble,
    ExternalImages,
    Noise,
    PyAutoAttack,
    TorchAttacks,
    members_of,
)


@dataclass(frozen=True, slots=True)
class Member:
    """A member of an attack.

    Attributes:
        name: Name of the member attack.
        steps: Iterations per restart; for black-box attacks, queries.
        restarts: Number of restarts, per target class if there are target classes.
        targets: Number of target classes; 0 if untargeted.
    """

    name: str
    steps: int
    restarts: int = 1
    targets: int = 0


def settings(attack: AnyAttack) -> dict[str, str]:
    """Return the settings of all members, joined by `+`: `apgd-ce+apgd-t`, `100+100`, `5+1`."""
    members = list(_members(attack))
    return {
        "attacks": "+".join(member.name for member in members),
        "steps": "+".join(str(member.steps) for member in members),
        "restarts": "+".join(str(member.restarts) for member in members),
        "targets": "+".join(str(member.targets) for member in members),
    }


_NORMS = {"linf": "L∞", "l2": "L2"}
_UNSAID = ("kind", "name", "eps", "norm", "attacks", "path")  # stated elsewhere in the sentence
# how a setting reads; a mapping gives the words of each value, and "" leaves it out
_WORDS: Mapping[str, str | Mapping[object, str]] = {
    "steps": "{} steps",
    "restarts": "{} restarts",
    "targets": "{} target classes",
    "queries": "{} queries",
    "draws": "{} random draws",
    "eot": "gradients averaged over {} passes",
    "step": "step size {} × ε / steps",
    "step_size": "step size {}",
    "momentum": "momentum {}",
    "halve": "step size halved after {} of the steps",
    "rho": "step size halved if fewer than {} of the steps raise the loss",
    "kappa": "margin capped at {}",
    "references": "{} reference answers in turn",
    "threshold": "stops at a score of {}",
    "blocks": "features of the last {} blocks",
    "crop": "random crops of at least {} of the side",
    "target": "target answer {}",
    "chunk": "{} images at a time",
    "random_start": {True: "from a random point", False: "from the clean image"},
    "keep": {"last": "", "best": "transfers the point of the highest loss"},
    "nested": {True: "images that a smaller radius broke count as broken"},
    "precision": {"fp32": "", "bf16": "in bfloat16", "tf32": "in TF32"},
    "confirm": {True: "", False: "survivors are not attacked again in float32"},
    "rescale": {True: "logits divided by their deviation"},
    "source": {"base": "images of the undefended base"},
}


def in_words(attack: AnyAttack) -> str:
    """Return an attack's settings as a phrase: `L∞; pgd: 10 steps, from a random point`.

    Settings that are off are left out.
    """
    of_all = _settings_in_words(attack.model_dump()) if isinstance(attack, Ensemble) else ()
    parts = [_NORMS[attack.norm], *of_all]
    for member in members_of(attack):
        kind = f"{member.kind} {member.attack}" if hasattr(member, "attack") else str(member.kind)
        said = ", ".join(_settings_in_words(member.model_dump(exclude=_unused(member))))
        parts.append(f"{kind}: {said}" if said else kind)
    return "; ".join(parts)


def _unused(member: AnyAttack) -> set[str]:
    """Return the settings that a phrase leaves out: those that no member attack reads."""
    if not isinstance(member, PyAutoAttack):
        return {"attack"}
    unused = {"attack"} if "square" in member.members else {"attack", "queries"}
    unused |= set() if any(name.endswith("-t") for name in member.members) else {"targets"}
    return unused | ({"steps"} if member.members == ("square",) else set())


def _settings_in_words(found: Mapping[str, Any]) -> Iterator[str]:
    for key, value in found.items():
        words = _WORDS.get(key)
        if key == "eot" and value == "model":
            value = "the model's own number of"
        off = value is None or value is False or value in ((), {}, 0) or (
            value == 1 and key in ("restarts", "eot", "references")
        )  # fmt: skip
        if isinstance(words, Mapping):
            said = words.get(value, f"{key.replace('_', ' ')} {value}" if not off else "")
        elif key in _UNSAID or off:
            said = ""
        else:
            said = (words or f"{key.replace('_', ' ')} {{}}").format(_plain(value))
        if said:
            yield said


def _plain(value: object) -> str:
    """Return a value without brackets: `0.5 and 0.75`, `model FARE`."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_plain(inner)}" for key, inner in value.items() if inner)
    if isinstance(value, list | tuple):
        return " and ".join(map(_plain, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _members(attack: AnyAttack) -> Iterator[Member]:
    match attack:
        case Ensemble():
            for member in attack.attacks:
                yield from _members(member)
        case PyAutoAttack():
            for name in attack.members:
                if name == "square":
                    yield Member(name, attack.queries)
                elif name.endswith("-t"):
                    yield Member(name, attack.steps, 1, attack.targets)
                else:
                    yield Member(name, attack.steps, attack.restarts)
        case TorchAttacks():
            yield Member(attack.attack, attack.gradients)
        case Noise():
            yield Member(attack.kind, attack.draws)
        case ExternalImages():
            yield Member(attack.kind, 0, 0)
        case _:
            targets = attack.targets if isinstance(attack, ApgdT) else 0
            restarts = getattr(attack, "restarts", 1)  # 1 for attacks without restarts
            yield Member(_name(attack), getattr(attack, "steps", 1), restarts, targets)


def _name(attack: AnyAttack) -> str:
    """Return the attack's kind, with the options that make it a different attack."""
    options = ("filter", "backward", "source", "start", "rescale")
    adapted = [key for key in options if getattr(attack, key, None)]
    if isinstance(attack, ApgdT) and attack.compared:
        adapted.append(attack.targets_by)
    if isinstance(attack, ApgdText) and attack.references > 1:
        adapted.append(f"{attack.references} references")
    if isinstance(attack, ApgdTextTargeted):
        adapted.append(repr(attack.target) if attack.target else "decoy")
    return f"{attack.kind}({' '.join(adapted)})" if adapted else attack.kind
