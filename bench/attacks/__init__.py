"""Attacks: native attacks on one engine, and adapters over pyautoattack and torchattacks."""

from bench.attacks.losses import ANY_MARGIN, loss_of
from bench.attacks.native_attacks import BuildSurrogate, build_native
from bench.attacks.noise import RandomPoint
from bench.attacks.pyautoattack_adapter import OfficialAttack
from bench.attacks.sequence import InSequence, in_sequence
from bench.attacks.torchattacks_adapter import TorchAttack
from bench.core.types import Attack
from bench.models.batch_size import Batch
from bench.suite.specs import AnyAttack, Ensemble, ExternalImages, Noise, PyAutoAttack, TorchAttacks


def build_attack(
    spec: AnyAttack,
    *,
    batch: int | Batch,
    surrogate: BuildSurrogate | None = None,
    answers: bool = False,
    judges: int = 1,
) -> Attack:
    """Return the attack that a spec declares.

    Args:
        spec: The attack. Its settings already respect the limits that the number of classes
            sets (`bench.plan.attack_limits`).
        batch: Number of images attacked at the same time by a native attack. The result does
            not depend on it. A `Batch` is halved when memory runs out. Adapters use chunks of
            the size in their spec instead.
        surrogate: Builds the model that computes the gradients, for specs with `backward`, or on
            which images are made, for specs with `source` or `start`.
        answers: Whether the model answers in words. Attacks on cross-entropy then maximise the
            negative log-likelihood of the reference answer.
        judges: Number of passes that must all misclassify a point before an attack stops there:
            the `eot` of an ensemble, for its members; 1 for all other attacks.
    """
    match spec:
        case Noise():
            draws = tuple(RandomPoint(stream) for stream in range(spec.draws))
            return InSequence(draws, loss_of(spec, answers=answers), batch, judges)
        case PyAutoAttack():
            return OfficialAttack(spec, judges)
        case TorchAttacks():
            return TorchAttack(spec.attack, dict(spec.args), spec.chunk)
        case Ensemble():
            assert spec.eot != "model", "`bench.plan.random_models` sets the number of passes"
            members = [
                build_attack(member, batch=batch, surrogate=surrogate, judges=spec.eot)
                for member in spec.attacks
            ]
            return in_sequence(members, ANY_MARGIN, batch, spec.eot)
        case ExternalImages():
            raise TypeError("images of others are scored as they are; no attack makes them")
        case _:
            return build_native(spec, batch, surrogate, answers=answers, judges=judges)
