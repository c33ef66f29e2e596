"""Attacks: native ones on one engine, and adapters over pyautoattack and torchattacks."""

import torch

from bench.attacks.apgd import Apgd
from bench.attacks.ascent import Ascent
from bench.attacks.engine import NativeAttack, Run
from bench.attacks.losses import (
    Drift,
    Loss,
    cross_entropy,
    dlr,
    margin,
    rescaled_cross_entropy,
    targeted_dlr,
)
from bench.attacks.noise import RandomPoint
from bench.attacks.official import OfficialAttack
from bench.attacks.pgd import PgdAscent
from bench.attacks.sequence import InSequence
from bench.attacks.spectrum import Spectrum
from bench.attacks.torch_attacks import TorchAttack
from bench.memory import Batch
from bench.specs import (
    AnyAttack,
    ApgdCe,
    ApgdDlr,
    ApgdEmbedding,
    ApgdT,
    Cw,
    Ensemble,
    Fgsm,
    MiFgsm,
    Noise,
    Pgd,
    PyAutoAttack,
    TorchAttacks,
)
from bench.types import Attack

ANY_MARGIN = margin(torch.inf)  # ranks a point that fools the source above all that do not


def build_attack(spec: AnyAttack, *, batch: int | Batch) -> Attack:
    """Return the attack that a spec declares; the only lookup there is.

    Args:
        spec: The attack, with settings that the number of classes allows
            (`bench.fitting`).
        batch: Images in flight at once, for native attacks; their result does not depend
            on it, and a `Batch` is halved where memory ends. Adapters run in chunks of the
            size that their spec names.
    """

    def runs(ascent: Ascent, loss: Loss | Drift, restarts: int = 1, eot: int = 1) -> Attack:
        return _in_turn(
            [NativeAttack(ascent, loss, batch, (Run(stream),), eot) for stream in range(restarts)],
            ANY_MARGIN if isinstance(loss, Drift) else loss,
            batch,
        )

    match spec:
        case Fgsm():
            return runs(PgdAscent(1, 1.0, random_start=False), cross_entropy)
        case Pgd():
            best = spec.keep == "best"
            ascent = PgdAscent(
                spec.steps, spec.step, spec.random_start, spec.momentum, spec.halve, best
            )
            return runs(ascent, cross_entropy, spec.restarts, spec.eot)
        case MiFgsm():
            ascent = PgdAscent(spec.steps, spec.step, False, spec.momentum)
            return runs(ascent, cross_entropy)
        case Cw():
            ascent = PgdAscent(spec.steps, spec.step, spec.random_start)
            return runs(ascent, margin(spec.kappa), spec.restarts, spec.eot)
        case ApgdCe():
            loss = rescaled_cross_entropy if spec.rescale else cross_entropy
            return runs(_apgd(spec), loss, spec.restarts, spec.eot)
        case ApgdDlr():
            return runs(_apgd(spec), dlr, spec.restarts, spec.eot)
        case ApgdT():
            return _targeted(spec, batch)
        case ApgdEmbedding():
            return runs(_apgd(spec), Drift(), spec.restarts, spec.eot)
        case Noise():
            draws = tuple(RandomPoint(stream) for stream in range(spec.draws))
            return InSequence(draws, cross_entropy, batch)
        case PyAutoAttack():
            return OfficialAttack(spec)
        case TorchAttacks():
            return TorchAttack(spec.attack, dict(spec.args), spec.chunk)
        case Ensemble():
            members = [build_attack(member, batch=batch) for member in spec.attacks]
            return _in_turn(members, ANY_MARGIN, batch)


def _apgd(spec: ApgdCe | ApgdDlr | ApgdT | ApgdEmbedding) -> Apgd:
    given = spec.filter
    return Apgd(spec.steps, spec.rho, Spectrum(given.cutoff, given.inverse) if given else None)


def _targeted(spec: ApgdT, batch: int | Batch) -> Attack:
    ascent = _apgd(spec)
    attacks = [
        NativeAttack(
            ascent, targeted_dlr, batch, (Run(stream, 1 + stream // spec.restarts),), spec.eot
        )
        for stream in range(spec.targets * spec.restarts)
    ]
    return _in_turn(attacks, ANY_MARGIN, batch)


def _in_turn(
    attacks: list[Attack] | list[NativeAttack], criterion: Loss, batch: int | Batch
) -> Attack:
    return attacks[0] if len(attacks) == 1 else InSequence(tuple(attacks), criterion, batch)
