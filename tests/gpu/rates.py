"""The share of the chip's matrix rate that a step of an attack reaches."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

import torch
from torch.utils.flop_counter import FlopCounterMode

from bench.attacks.apgd import Apgd
from bench.models.batch_size import Batch
from bench.models.compiled import Compiled
from bench.models.lowered_precision import in_bfloat16, matmul_precision
from bench.models.zero_shot import ZeroShotClassifier
from bench.suite.specs import Precision
from tests.gpu.scale import Row, Scale, classifier
from tests.perf.engine import attack
from tests.perf.subjects import DEVICE, Subject, timed

PRECISIONS: tuple[Precision, ...] = ("bf16", "tf32", "fp32")  # the fastest first


def rates(scale: Scale) -> Iterator[Row]:
    """Steps as they run by default."""
    yield from _rates(scale, "default", nullcontext())


def compiled(scale: Scale) -> Iterator[Row]:
    """Steps with `--compile`."""
    yield from _rates(scale, "--compile", nullcontext())


def graphs(scale: Scale) -> Iterator[Row]:
    """Steps with `--compile`, where the compiler also records CUDA graphs."""
    import torch._inductor.config as settings

    with_graphs = settings.patch({"triton.cudagraphs": True})  # type: ignore[no-untyped-call]
    yield from _rates(scale, "--compile and CUDA graphs", with_graphs)


def _rates(scale: Scale, way: str, settings: AbstractContextManager[object]) -> Iterator[Row]:
    subject, ascent = scale.subject(scale.batch), Apgd(scale.steps, 0.75)
    with FlopCounterMode(display=False) as counter:
        # with a gradient, since attention without one is a kernel that the counter does not know
        subject.model(subject.images.clone().requires_grad_(True))
    # as in `plan`, a backward pass counts as one forward pass; a last pass is without gradient
    operations = (2 * scale.steps + 1) * counter.get_total_flops()
    with settings:
        for precision in PRECISIONS[:1] if scale.small else PRECISIONS:
            chip = matrix_rate(scale, precision)
            with matmul_precision(precision):
                tried = _in(subject, precision, way, scale)
                first = timed(lambda: attack(ascent, tried))  # noqa: B023  compiles
                seconds = min(timed(lambda: attack(ascent, tried)) for _ in range(scale.rounds))  # noqa: B023
            rate = operations / seconds
            yield {
                "model": subject.name,
                "way": way,
                "precision": precision,
                "batch": scale.batch,
                "first s": round(first, 2),
                "ms a step": round(1000 * seconds / scale.steps, 1),
                "matrix TFLOP/s": round(chip / 1e12, 1),
                "attack TFLOP/s": round(rate / 1e12, 1),
                "share": f"{rate / chip:.1%}",
            }


def _in(subject: Subject, precision: Precision, way: str, scale: Scale) -> Subject:
    head = classifier(subject)
    tower = head.model
    if way != "default":
        if not scale.small:
            torch.compiler.reset()  # else the code of another way would be used again
        tower = Compiled(tower, Batch(scale.batch), "eager" if scale.small else "inductor")
    if precision == "bf16":
        tower = in_bfloat16(tower, DEVICE)
    return replace(subject, model=ZeroShotClassifier(tower, head.head))


def matrix_rate(scale: Scale, precision: Precision) -> float:
    """Return the operations per second of a large matrix product in a precision."""
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    left, right = (torch.randn(scale.side, scale.side, device=DEVICE).to(dtype) for _ in "ab")
    with matmul_precision(precision):
        timed(lambda: left @ right)
        return 2 * scale.side**3 / min(timed(lambda: left @ right) for _ in range(5))
