"""Attacks: native ones on one engine, and adapters over pyautoattack and torchattacks."""

from bench.attacks.adapters import OfficialApgd, TorchAttack
from bench.attacks.apgd import Apgd
from bench.attacks.engine import NativeAttack
from bench.attacks.losses import cross_entropy, margin
from bench.attacks.signed import SignedAscent
from bench.specs import AnyAttack, ApgdCe, Cw, Pgd, PyAutoAttack, TorchAttacks
from bench.types import Attack


def build_attack(spec: AnyAttack, *, batch: int) -> Attack:
    """Return the attack that a spec declares; the only lookup there is.

    Args:
        spec: The attack.
        batch: Images in flight at once, for native attacks; their result does not depend
            on it. Adapters run in chunks of the size that their spec names.
    """
    match spec:
        case Pgd():
            ascent = SignedAscent(spec.steps, spec.step, spec.random_start)
            return NativeAttack(ascent, cross_entropy, batch)
        case Cw():
            ascent = SignedAscent(spec.steps, spec.step, spec.random_start)
            return NativeAttack(ascent, margin(spec.kappa), batch)
        case ApgdCe():
            return NativeAttack(Apgd(spec.steps, spec.rho), cross_entropy, batch)
        case PyAutoAttack():
            return OfficialApgd(spec.steps, spec.restarts, spec.chunk)
        case TorchAttacks():
            return TorchAttack(spec.attack, dict(spec.args), spec.chunk)
