"""What the options of a run gain for an attack's step: compiled towers, and `channels_last`."""

import copy
from collections.abc import Iterable, Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn

from bench.attacks.losses import cross_entropy
from bench.core.types import Classifier
from tests.perf.pairs import in_turn, ratio
from tests.perf.subjects import DEVICE, TRUE_SIZE, Subject, embedded, true_size

ROUNDS = {"embedded": 20, "sized": 7}
BATCH = 4 if DEVICE.type == "cpu" else 128  # of towers of true size
CONVOLUTIONAL = "RN50"


def options() -> Iterator[dict[str, object]]:
    """Ratios of the plain step's time to the other's: above 1, the option pays."""
    for name in ("CLIP", "R-Adapt_CLIP"):
        yield from _gains(embedded(name, 128), ROUNDS["embedded"], WAYS)
    yield from _gains(true_size(BATCH, TRUE_SIZE), ROUNDS["sized"], WAYS)
    yield from _gains(true_size(BATCH, CONVOLUTIONAL), ROUNDS["sized"], ("channels_last",))


def _gains(subject: Subject, rounds: int, ways: Iterable[str]) -> Iterator[dict[str, object]]:
    for way in ways:
        other = replace(subject, model=WAYS[way](subject.model))
        plain, faster = in_turn(rounds, lambda: step(subject), lambda: step(other))  # noqa: B023
        yield {
            "model": subject.name,
            "option": way,
            "batch": len(subject.images),
            "rounds": rounds,
            "s without": round(min(plain), 4),
            "s with": round(min(faster), 4),
            "without / with": ratio(plain, faster).text(".3f"),
        }


def _compiled(model: Classifier) -> Classifier:
    compiled: Classifier = torch.compile(model, dynamic=False)
    return compiled


def _laid_out(model: Classifier) -> Classifier:
    assert isinstance(model, nn.Module)
    return copy.deepcopy(model).to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


WAYS = {"compile": _compiled, "channels_last": _laid_out}


def step(subject: Subject) -> Tensor:
    """Return the gradient of an attack's loss."""
    points = subject.images.clone().requires_grad_(True)
    loss = cross_entropy(subject.model(points), subject.labels, subject.labels).sum()
    return torch.autograd.grad(loss, points)[0]
