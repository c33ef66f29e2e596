"""Native attacks built from their specs: an ascent, a loss and the runs."""

from collections.abc import Callable

from bench.attacks.apgd import Apgd
from bench.attacks.ascent import Ascent
from bench.attacks.engine import NativeAttack
from bench.attacks.losses import ANY_MARGIN, loss_of
from bench.attacks.pgd import PgdAscent
from bench.attacks.sequence import in_sequence
from bench.attacks.spectrum import Spectrum
from bench.attacks.targets import Run
from bench.attacks.transferred_start import FromTransfer
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

BuildSurrogate = Callable[[Backward], EmbeddingClassifier]


def build_native(
    spec: SingleNative, batch: int | Batch, surrogate: BuildSurrogate | None, *, answers: bool
) -> Attack:
    """Return a native attack with all its runs; for the arguments see `build_attack`."""
    gradient_model = None
    if isinstance(spec, ApgdSpec) and spec.backward:
        assert surrogate is not None, "a spec with `backward` needs its models"
        gradient_model = surrogate(spec.backward)
    ascent, loss = ascent_of(spec), loss_of(spec, answers=answers)
    compared = spec.compared if isinstance(spec, ApgdT) else 0
    natives = [
        NativeAttack(
            ascent, loss, batch, (Run(stream, rank),), spec.passes, gradient_model, compared
        )
        for stream, rank in spec.runs
    ]
    runs: list[Attack] = [*natives]
    if isinstance(spec, UntargetedApgdSpec) and spec.start:
        assert surrogate is not None, "a spec with `start` needs its model"
        model = surrogate(Backward(model=spec.start.transfer))
        runs = [FromTransfer(run, model) for run in natives]
    return in_sequence(runs, loss if answers or loss.ranks else ANY_MARGIN, batch)


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
                spec.steps, spec.step, spec.random_start, spec.momentum, spec.halve, best
            )
        case PgdSpec():
            return PgdAscent(spec.steps, spec.step, spec.random_start)
        case Fgsm():
            return PgdAscent(1, 1.0, random_start=False)
        case MiFgsm():
            return PgdAscent(spec.steps, spec.step, False, spec.momentum)
        case ValueFeatures():
            return PgdAscent(spec.steps, spec.step, False)
