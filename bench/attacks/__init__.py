"""Attacks: native ones on one engine, and adapters over pyautoattack and torchattacks."""

from bench.attacks.apgd_attacks import ANY_MARGIN, Surrogate, build_apgd
from bench.attacks.ascent import Ascent
from bench.attacks.engine import NativeAttack, Run
from bench.attacks.losses import Lean, Spoken, cross_entropy, margin
from bench.attacks.noise import RandomPoint
from bench.attacks.passes import AnyLoss
from bench.attacks.pgd import PgdAscent
from bench.attacks.pyautoattack_adapter import OfficialAttack
from bench.attacks.sequence import InSequence, in_turn
from bench.attacks.torchattacks_adapter import TorchAttack
from bench.core.types import Attack
from bench.models.batch_size import Batch
from bench.suite.specs import (
    AnyAttack,
    ApgdSpec,
    Cw,
    Ensemble,
    Fgsm,
    MiFgsm,
    Noise,
    Pgd,
    PyAutoAttack,
    TorchAttacks,
    ValueFeatures,
)


def build_attack(
    spec: AnyAttack,
    *,
    batch: int | Batch,
    surrogate: Surrogate | None = None,
    worded: bool = False,
) -> Attack:
    """Return the attack that a spec declares; the only lookup there is.

    Args:
        spec: The attack, with settings that the number of classes allows
            (`bench.plan.attack_limits`).
        batch: Images in flight at once, for native attacks; their result does not depend
            on it, and a `Batch` is halved where memory ends. Adapters run in chunks of the
            size that their spec names.
        surrogate: Returns the model that gradients come from, for specs with `backward`.
        worded: Whether the model answers in words: cross-entropy is then that of a text.
    """
    entropy: AnyLoss = Spoken() if worded else cross_entropy

    def runs(ascent: Ascent, loss: AnyLoss, restarts: int = 1, eot: int = 1) -> Attack:
        return in_turn(
            [NativeAttack(ascent, loss, batch, (Run(stream),), eot) for stream in range(restarts)],
            loss,
            batch,
        )

    match spec:
        case Fgsm():
            return runs(PgdAscent(1, 1.0, random_start=False), entropy)
        case Pgd():
            best = spec.keep == "best"
            ascent = PgdAscent(
                spec.steps, spec.step, spec.random_start, spec.momentum, spec.halve, best
            )
            return runs(ascent, entropy, spec.restarts, spec.eot)
        case MiFgsm():
            ascent = PgdAscent(spec.steps, spec.step, False, spec.momentum)
            return runs(ascent, entropy)
        case Cw():
            ascent = PgdAscent(spec.steps, spec.step, spec.random_start)
            return runs(ascent, margin(spec.kappa), spec.restarts, spec.eot)
        case ApgdSpec():
            return build_apgd(spec, batch, surrogate, worded=worded)
        case ValueFeatures():
            ascent = PgdAscent(spec.steps, spec.step, False)
            return NativeAttack(ascent, Lean(spec.blocks, spec.crop), batch)
        case Noise():
            draws = tuple(RandomPoint(stream) for stream in range(spec.draws))
            return InSequence(draws, entropy, batch)
        case PyAutoAttack():
            return OfficialAttack(spec)
        case TorchAttacks():
            return TorchAttack(spec.attack, dict(spec.args), spec.chunk)
        case Ensemble():
            members = [
                build_attack(member, batch=batch, surrogate=surrogate) for member in spec.attacks
            ]
            return in_turn(members, ANY_MARGIN, batch)
