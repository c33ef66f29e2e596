"""Native attacks built from their specs: an ascent, a loss and the runs."""

from collections.abc import Callable

from bench.attacks.apgd import Apgd
from bench.attacks.ascent import Ascent
from bench.attacks.engine import NativeAttack, Run
from bench.attacks.losses import ANY_MARGIN, loss_of
from bench.attacks.pgd import PgdAscent
from bench.attacks.sequence import in_sequence
from bench.attacks.spectrum import Spectrum
from bench.core.types import Attack, EmbeddingClassifier
from bench.models.batch_size import Batch
from bench.suite.specs.attacks import (
    ApgdSpec,
    Fgsm,
    MiFgsm,
    Pgd,
    PgdSpec,
    SingleNative,
    SteppedSpec,
    ValueFeatures,
)

BuildSurrogate = Callable[[SteppedSpec], EmbeddingClassifier]


def build_native(
    spec: SingleNative,
    batch: int | Batch,
    surrogate: BuildSurrogate | None,
    *,
    answers: bool,
    judges: int,
) -> Attack:
    """Return a native attack with all its runs; for the arguments see `build_attack`."""
    gradient_model = source = None
    if isinstance(spec, SteppedSpec) and spec.of_other_model:
        assert surrogate is not None, "a spec with `backward` or `source` needs its models"
        other = surrogate(spec)
        gradient_model, source = (None, other) if spec.source else (other, None)
    ascent, loss = ascent_of(spec), loss_of(spec, answers=answers)
    runs = [
        NativeAttack(
            *(ascent, loss, batch, (Run(stream, rank),), spec.passes),
            surrogate=gradient_model,
            source=source,
            judges=judges,
        )
        for stream, rank in spec.runs
    ]
    criterion = loss if answers or loss.ranks else ANY_MARGIN
    return in_sequence(runs, criterion, batch, judges)


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
