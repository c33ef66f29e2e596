"""Settings of an attack as tables state them: members, steps, restarts, targets."""

from collections.abc import Iterator
from dataclasses import dataclass

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
