"""What torchattacks 3.5.1 offers within a budget: its attacks, their norms and arguments.

A table, so that a suite is checked without importing torch; a test holds it against the
library. `model`, `eps`, `norm`, `seed` and `verbose` are the harness's to give.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from bench.core.types import Norm

_STEPS = ("alpha", "steps")
_MOMENTUM = (*_STEPS, "decay")
_VARIED = (*_MOMENTUM, "resize_rate", "diversity_prob", "random_start")
_SMOOTHED = (*_STEPS, "noise_type", "noise_sd", "noise_batch_size", "batch_max")
_AUTO = ("steps", "n_restarts", "eot_iter", "rho")
_FAB = ("steps", "n_restarts", "alpha_max", "eta", "beta", "multi_targeted", "n_classes")
_SQUARE = ("n_queries", "n_restarts", "p_init", "loss", "resc_schedule")


@dataclass(frozen=True, slots=True)
class Offer:
    """One attack of the library.

    Attributes:
        args: Arguments that a suite may give.
        norms: Norms of its budget; it takes the argument `norm` where there are two.
        full: Whether it attacks every image; else it hands back clean ones where it fails.
    """

    args: tuple[str, ...]
    norms: tuple[Norm, ...] = ("linf",)
    full: bool = True


_BOTH: tuple[Norm, ...] = ("linf", "l2")

OFFERS: Mapping[str, Offer] = {
    "FGSM": Offer(()),
    "BIM": Offer(_STEPS),
    "RFGSM": Offer(_STEPS),
    "PGD": Offer((*_STEPS, "random_start")),
    "EOTPGD": Offer((*_STEPS, "eot_iter", "random_start")),
    "FFGSM": Offer(("alpha",)),
    "TPGD": Offer(_STEPS),
    "MIFGSM": Offer(_MOMENTUM),
    "UPGD": Offer((*_MOMENTUM, "random_start", "loss", "eot_iter")),
    "DIFGSM": Offer(_VARIED),
    "TIFGSM": Offer((*_VARIED, "kernel_name", "len_kernel", "nsig")),
    "Jitter": Offer((*_STEPS, "scale", "std", "random_start")),
    "NIFGSM": Offer(_MOMENTUM),
    "PGDRS": Offer(_SMOOTHED),
    "SINIFGSM": Offer((*_MOMENTUM, "m")),
    "VMIFGSM": Offer((*_MOMENTUM, "N", "beta")),
    "VNIFGSM": Offer((*_MOMENTUM, "N", "beta")),
    "SPSA": Offer(("delta", "lr", "nb_iter", "nb_sample", "max_batch_size")),
    "PGDL2": Offer((*_STEPS, "random_start", "eps_for_division"), ("l2",)),
    "PGDRSL2": Offer((*_SMOOTHED, "eps_for_division"), ("l2",)),
    "APGD": Offer((*_AUTO, "loss"), _BOTH, full=False),
    "APGDT": Offer((*_AUTO, "n_classes"), _BOTH, full=False),
    "FAB": Offer(_FAB, _BOTH, full=False),
    "Square": Offer(_SQUARE, _BOTH, full=False),
}
