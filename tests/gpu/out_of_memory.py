"""Batches that do not fit into memory: they are halved, and outcomes stay the same."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor

from bench.attacks.apgd import Apgd
from bench.attacks.engine import NativeAttack
from bench.attacks.losses import cross_entropy
from bench.core.types import Budget, Classifier
from bench.models.batch_size import Batch, batch_for
from tests.gpu.memory import peak_of
from tests.gpu.scale import Row, Scale, classifier
from tests.perf.subjects import DEVICE, Subject

_SHARE = 0.6  # of the memory that the whole batch needs


def out_of_memory(scale: Scale) -> Iterator[Row]:
    """An attack that starts with too large a batch, and the search for a batch that fits."""
    subject = scale.subject(scale.batch)
    needed = peak_of(lambda: _attacked(subject, Batch(scale.batch)), ())
    free = _attacked(subject, Batch(scale.batch))
    with _little_memory(subject, needed) as limited:
        batch = Batch(scale.batch)
        points = _attacked(limited, batch)
        yield {
            "what": "an attack",
            "batch at first": scale.batch,
            "batch at last": batch.size,
            "images": len(points),
            "other pixels": int((points != free).any(dim=1).sum()),
            "largest difference": float((points - free).abs().max()),
        }
        height, width = subject.images.shape[-2:]

        def both_ways(part: slice) -> None:
            shape = (part.stop - part.start, 3, height, width)
            given = torch.rand(shape, device=DEVICE, requires_grad=True)
            torch.autograd.grad(limited.model(given).sum(), given)

        found = batch_for(DEVICE, height, width, both_ways).size
        yield {"what": "the search for a batch", "batch at last": found}


def _attacked(subject: Subject, batch: Batch) -> Tensor:
    attack = NativeAttack(Apgd(2, 0.75), cross_entropy, batch)
    return attack(
        subject.model, subject.images, subject.labels, Budget(4 / 255), mode="full",
        seeds=subject.seeds,
    )  # fmt: skip


@contextmanager
def _little_memory(subject: Subject, needed: int) -> Iterator[Subject]:
    """Leave a part of the needed memory; without a GPU, an error of the model stands for it."""
    if DEVICE.type != "cuda":
        yield replace(subject, model=_Limited(classifier(subject), len(subject.images) // 2))
        return
    torch.cuda.empty_cache()
    whole = torch.cuda.mem_get_info()[1]
    left = torch.cuda.memory_reserved() + _SHARE * needed
    torch.cuda.set_per_process_memory_fraction(left / whole)
    try:
        yield subject
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


class _Limited:
    """A classifier for which memory runs out above a number of images."""

    def __init__(self, model: Classifier, most: int) -> None:
        self._model = model
        self._most = most

    def __call__(self, images: Tensor) -> Tensor:
        if len(images) > self._most:
            raise torch.OutOfMemoryError("out of memory")
        return self._model(images)
