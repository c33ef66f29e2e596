"""Auto-PGD with each of its losses, and what an attacker who knows the defence adds to it."""

from collections.abc import Callable, Iterator

import torch

from bench.attacks.apgd import Apgd
from bench.attacks.engine import NativeAttack, Run
from bench.attacks.losses import (
    Drift,
    Spoken,
    cross_entropy,
    dlr,
    margin,
    rescaled_cross_entropy,
    targeted_dlr,
)
from bench.attacks.passes import AnyLoss
from bench.attacks.sequence import in_turn
from bench.attacks.spectrum import Spectrum
from bench.core.types import Attack, EmbeddingClassifier
from bench.models.batch_size import Batch
from bench.suite.specs import (
    ApgdCe,
    ApgdDlr,
    ApgdEmbedding,
    ApgdSpec,
    ApgdT,
    ApgdText,
    ApgdTextTargeted,
    Backward,
)

ANY_MARGIN = margin(torch.inf)  # ranks a point that fools the source above all that do not
Surrogate = Callable[[Backward], EmbeddingClassifier]


def build_apgd(
    spec: ApgdSpec, batch: int | Batch, surrogate: Surrogate | None, *, worded: bool
) -> Attack:
    """Return the runs of an Auto-PGD in turn; arguments are those of `build_attack`."""
    through = None
    if spec.backward:
        assert surrogate is not None, "a spec with `backward` needs its models"
        through = surrogate(spec.backward)
    given = spec.filter
    spectrum = Spectrum(given.cutoff, given.inverse) if given else None
    ascent, loss = Apgd(spec.steps, spec.rho, spectrum), _loss(spec)
    runs = [NativeAttack(ascent, loss, batch, (run,), spec.eot, through) for run in _runs(spec)]
    # losses towards different targets, and those that know no classes, rank nothing among classes
    foreign = isinstance(spec, ApgdT) or (isinstance(loss, Drift) and not worded)
    return in_turn(runs, ANY_MARGIN if foreign else loss, batch)


def _loss(spec: ApgdSpec) -> AnyLoss:
    match spec:
        case ApgdCe():
            return rescaled_cross_entropy if spec.rescale else cross_entropy
        case ApgdDlr():
            return dlr
        case ApgdT():
            return targeted_dlr
        case ApgdEmbedding():
            return Drift()
        case ApgdText():
            return Spoken()
        case ApgdTextTargeted():
            return Spoken(towards=True)
    raise AssertionError(f"no loss for {spec.label}")


def _runs(spec: ApgdSpec) -> Iterator[Run]:
    """Yield all restarts towards the first target, then the second, or all that have none."""
    for rank in range(1, spec.targets + 1) if isinstance(spec, ApgdT) else (0,):
        for again in range(spec.restarts):
            yield Run((max(rank, 1) - 1) * spec.restarts + again, rank)
