"""Native attacks built from their specs: an ascent, a loss and the runs."""

from collections.abc import Callable
from typing import Literal

from bench.attacks.apgd import Apgd
from bench.attacks.ascent import Ascent
from bench.attacks.engine import NativeAttack
from bench.attacks.losses import ANY_MARGIN, loss_of
from bench.attacks.pgd import PgdAscent
from bench.attacks.sequence import in_sequence
from bench.attacks.spectrum import Spectrum
from bench.attacks.targets import Run
from bench.attacks.transferred import FromTransfer, OnOther
from bench.core.types import Attack, EmbeddingClassifier
from bench.models.batch_size import Batch
from bench.suite.specs.adaptive import ApgdSpec, Backward, UntargetedApgdSpec
from bench.suite.specs.attacks import (
    ApgdT,
    Fgsm,
    MiFgsm,
    Pgd,
    PgdSpec,
    SingleNative,
    ValueFeatures,
)

BuildSurrogate = Callable[[Backward | Literal["base"]], EmbeddingClassifier]


def build_native(
    spec: SingleNative,
    batch: int | Batch,
    surrogate: BuildSurrogate | None,
    *,
    answers: bool,
    judges: int,
) -> Attack:
    """Return a native attack with all its runs; for the arguments see `build_attack`."""
    gradients = None
    if isinstance(spec, ApgdSpec) and spec.backward:
        gradients = _built(surrogate, spec.backward)
    ascent, loss = ascent_of(spec), loss_of(spec, answers=answers)
    compared = spec.compared if isinstance(spec, ApgdT) else 0
    natives = [
        NativeAttack(
            *(ascent, loss, batch, (Run(stream, rank),), spec.passes),
            surrogate=gradients,
            judges=judges,
            compared=compared,
        )
        for stream, rank in spec.runs
    ]
    runs: list[Attack] = [*natives]
    if spec.on_base:
        base = _built(surrogate, "base")
        runs = [OnOther(run, base) for run in natives]
    if isinstance(spec, UntargetedApgdSpec) and spec.start:
        model = _built(surrogate, Backward(model=spec.start.transfer))
        runs = [FromTransfer(run, model) for run in natives]
    criterion = loss if answers or loss.ranks else ANY_MARGIN
    return in_sequence(runs, criterion, batch, judges)


def _built(
    surrogate: BuildSurrogate | None, which: Backward | Literal["base"]
) -> EmbeddingClassifier:
    assert surrogate is not None, "a spec with `backward`, `source` or `start` needs its models"
    return surrogate(which)


def ascent_of(spec: SingleNative) -> Ascent:
    """Return the update rule of a native attack; a new kind uses the rule of its base class."""
    match spec:
        case ApgdSpec():
            given = spec.filter
            spectrum = Spectrum(given.cutoff, given.inverse) if given else None
            return Apgd(spec.steps, spec.rho, spectrum)
        case Pgd():
            best = spec.keep == "best"
            return PgdAscent(
                spec.steps, spec.step, spec.random_start, spec.momentum, spec.halve, best,
                spec.length,
            )  # fmt: skip
        case PgdSpec():
            return PgdAscent(spec.steps, spec.step, spec.random_start, length=spec.length)
        case Fgsm():
            return PgdAscent(1, 1.0, random_start=False)
        case MiFgsm():
            return PgdAscent(spec.steps, spec.step, False, spec.momentum)
        case ValueFeatures():
            return PgdAscent(spec.steps, spec.step, False)
