"""Attacks: native ones on one engine, and adapters over pyautoattack and torchattacks."""

from bench.attacks.losses import ANY_MARGIN, loss_of
from bench.attacks.native_attacks import Surrogate, build_native
from bench.attacks.noise import RandomPoint
from bench.attacks.pyautoattack_adapter import OfficialAttack
from bench.attacks.sequence import InSequence, in_turn
from bench.attacks.torchattacks_adapter import TorchAttack
from bench.core.types import Attack
from bench.models.batch_size import Batch
from bench.suite.specs import AnyAttack, Ensemble, Noise, PyAutoAttack, TorchAttacks


def build_attack(
    spec: AnyAttack,
    *,
    batch: int | Batch,
    surrogate: Surrogate | None = None,
    answers: bool = False,
) -> Attack:
    """Return the attack that a spec declares.

    Args:
        spec: The attack, with settings that the number of classes allows
            (`bench.plan.attack_limits`).
        batch: Images in flight at once, for native attacks; their result does not depend
            on it, and a `Batch` is halved where memory ends. Adapters run in chunks of the
            size that their spec names.
        surrogate: Returns the model that gradients come from, for specs with `backward`.
        answers: Whether the model answers in words: cross-entropy is then that of a text.
    """
    match spec:
        case Noise():
            draws = tuple(RandomPoint(stream) for stream in range(spec.draws))
            return InSequence(draws, loss_of(spec, answers=answers), batch)
        case PyAutoAttack():
            return OfficialAttack(spec)
        case TorchAttacks():
            return TorchAttack(spec.attack, dict(spec.args), spec.chunk)
        case Ensemble():
            members = [
                build_attack(member, batch=batch, surrogate=surrogate) for member in spec.attacks
            ]
            return in_turn(members, ANY_MARGIN, batch)
        case _:
            return build_native(spec, batch, surrogate, answers=answers)
