"""An attack's settings as a table states them: members, steps, restarts, targets."""

from collections.abc import Iterator
from dataclasses import dataclass

from bench.suite.specs import (
    AnyAttack,
    ApgdT,
    ApgdText,
    ApgdTextTargeted,
    Ensemble,
    Noise,
    PyAutoAttack,
    TorchAttacks,
)


@dataclass(frozen=True, slots=True)
class Member:
    """One member of an attack.

    Attributes:
        name: Which attack.
        steps: Iterations of one run; queries where it sees no gradients.
        restarts: Runs in all, per target where there are targets.
        targets: Classes that it is steered to in turn; 0 where it is untargeted.
    """

    name: str
    steps: int
    restarts: int = 1
    targets: int = 0


def settings(attack: AnyAttack) -> dict[str, str]:
    """Return the settings of all members in turn, joined: `apgd-ce+apgd-t`, `100+100`, `5+1`."""
    runs = list(_members(attack))
    return {
        "attacks": "+".join(run.name for run in runs),
        "steps": "+".join(str(run.steps) for run in runs),
        "restarts": "+".join(str(run.restarts) for run in runs),
        "targets": "+".join(str(run.targets) for run in runs),
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
        case _:
            targets = attack.targets if isinstance(attack, ApgdT) else 0
            restarts = getattr(attack, "restarts", 1)  # of those that may begin again
            yield Member(_name(attack), getattr(attack, "steps", 1), restarts, targets)


def _name(attack: AnyAttack) -> str:
    """Return an attack's kind, with what makes it another attack than the one of that name."""
    adapted = [key for key in ("filter", "backward", "rescale") if getattr(attack, key, None)]
    if isinstance(attack, ApgdText) and attack.references > 1:
        adapted.append(f"{attack.references} references")
    if isinstance(attack, ApgdTextTargeted):
        adapted.append(repr(attack.target) if attack.target else "decoy")
    return f"{attack.kind}({' '.join(adapted)})" if adapted else attack.kind
