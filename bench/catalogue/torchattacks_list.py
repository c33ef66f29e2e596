"""The attacks of torchattacks 3.5.1 that take a radius, with their norms and arguments.

With this table a suite is checked without importing torch; a test compares it with the library.
The harness itself sets the arguments `model`, `eps`, `norm`, `seed` and `verbose`.
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
class TorchattacksEntry:
    """An attack of the library.

    Attributes:
        args: Arguments that a suite may give.
        norms: Norms of its radius; an attack with two takes the argument `norm`.
        attacks_all: Whether every returned image is perturbed. Otherwise the attack returns the
            clean image if it fails.
    """

    args: tuple[str, ...]
    norms: tuple[Norm, ...] = ("linf",)
    attacks_all: bool = True


_BOTH: tuple[Norm, ...] = ("linf", "l2")

TORCHATTACKS: Mapping[str, TorchattacksEntry] = {
    "FGSM": TorchattacksEntry(()),
    "BIM": TorchattacksEntry(_STEPS),
    "RFGSM": TorchattacksEntry(_STEPS),
    "PGD": TorchattacksEntry((*_STEPS, "random_start")),
    "EOTPGD": TorchattacksEntry((*_STEPS, "eot_iter", "random_start")),
    "FFGSM": TorchattacksEntry(("alpha",)),
    "TPGD": TorchattacksEntry(_STEPS),
    "MIFGSM": TorchattacksEntry(_MOMENTUM),
    "UPGD": TorchattacksEntry((*_MOMENTUM, "random_start", "loss", "eot_iter")),
    "DIFGSM": TorchattacksEntry(_VARIED),
    "TIFGSM": TorchattacksEntry((*_VARIED, "kernel_name", "len_kernel", "nsig")),
    "Jitter": TorchattacksEntry((*_STEPS, "scale", "std", "random_start")),
    "NIFGSM": TorchattacksEntry(_MOMENTUM),
    "PGDRS": TorchattacksEntry(_SMOOTHED),
    "SINIFGSM": TorchattacksEntry((*_MOMENTUM, "m")),
    "VMIFGSM": TorchattacksEntry((*_MOMENTUM, "N", "beta")),
    "VNIFGSM": TorchattacksEntry((*_MOMENTUM, "N", "beta")),
    "SPSA": TorchattacksEntry(("delta", "lr", "nb_iter", "nb_sample", "max_batch_size")),
    "PGDL2": TorchattacksEntry((*_STEPS, "random_start", "eps_for_division"), ("l2",)),
    "PGDRSL2": TorchattacksEntry((*_SMOOTHED, "eps_for_division"), ("l2",)),
    "APGD": TorchattacksEntry((*_AUTO, "loss"), _BOTH, attacks_all=False),
    "APGDT": TorchattacksEntry((*_AUTO, "n_classes"), _BOTH, attacks_all=False),
    "FAB": TorchattacksEntry(_FAB, _BOTH, attacks_all=False),
    "Square": TorchattacksEntry(_SQUARE, _BOTH, attacks_all=False),
}
