"""Runs side by side: batches are fuller, and what comes of an image is what would come in turn."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from bench.attacks.active_set import EMPTY_SLOT, ActiveSet, PendingRun
from bench.attacks.apgd import Apgd
from bench.attacks.ascent import Ascent
from bench.attacks.engine import NativeAttack
from bench.attacks.losses import cross_entropy
from bench.attacks.pgd import PgdAscent
from bench.attacks.sequence import InSequence
from bench.attacks.targets import Run
from bench.core.types import Budget
from tests.conftest import LinearModel, grey_images

COUNT, RUNS = 40, 5
WEAK = PgdAscent(12, 0.02, True)  # where it begins decides


def roster(images: int, runs: int, slots: int, steps: int) -> ActiveSet:
    made = ActiveSet(images, runs, slots, steps)
    pairs = [(row, run) for run in range(runs) for row in range(images)]
    made.set_pending((row, run, torch.zeros(1)) for row, run in pairs)
    return made


def step(held: ActiveSet, broken: Sequence[tuple[int, int]] = ()) -> list[tuple[int, int]]:
    """Pass over the slots once, and return which runs of which images begin."""
    if len(held.row):
        held.record_broken([row for row, _ in broken], [run for _, run in broken])
        free, _ = held.advance()
    else:
        free = held.row.bool()
    fresh: list[PendingRun] = held.admit()
    held.assign_slots(free, fresh)
    assert EMPTY_SLOT not in held.row.tolist()
    return [(row, run) for row, run, _ in fresh]


def test_an_image_that_withstands_some_steps_begins_another_run_where_slots_are_empty() -> None:
    held = roster(images=2, runs=3, slots=16, steps=50)
    assert step(held) == [(0, 0), (1, 0)]
    begun = [step(held) for _ in range(10)]
    assert begun == [[], [], [], [], [(0, 1), (1, 1)], [], [], [], [], []]  # a quarter is enough
    assert sorted(zip(held.row.tolist(), held.run.tolist(), strict=True)) == [
        (0, 0), (0, 1), (1, 0), (1, 1)
    ]  # fmt: skip


def test_first_runs_go_before_second_ones() -> None:
    held = roster(images=6, runs=2, slots=4, steps=3)
    assert step(held) == [(0, 0), (1, 0), (2, 0), (3, 0)]
    assert step(held, [(1, 0)]) == [(4, 0)]
    assert step(held) == []
    assert step(held) == [(5, 0), (0, 1), (2, 1)]  # the other three are at their end


def test_a_run_that_breaks_an_image_ends_its_later_runs_and_no_earlier_one() -> None:
    held = roster(images=1, runs=4, slots=64, steps=30)
    for _ in range(12):
        step(held)
    assert held.run.tolist() == [0, 1, 2, 3]
    assert held.record_broken([0, 0], [3, 2]) == [1]  # of two at once the earlier run decides
    step(held)
    assert held.run.tolist() == [0, 1]
    assert held.record_broken([0], [2]) == []
    assert held.record_broken([0], [0]) == [0]
    step(held)
    assert held.run.tolist() == []


class Watched:
    def __init__(self, model: LinearModel) -> None:
        self.model, self.passes, self.images = model, 0, 0

    def __call__(self, images: Tensor) -> Tensor:
        logits = self.model(images)
        self.passes += logits.requires_grad
        self.images += len(images) * logits.requires_grad
        return logits


@pytest.mark.parametrize("batch", [7, 16, 64])
@pytest.mark.parametrize("ascent", [WEAK, replace(WEAK, momentum=0.5, keep_best=True)])
def test_runs_side_by_side_come_to_what_runs_in_turn_come_to(
    linear: LinearModel, ascent: Ascent, batch: int
) -> None:
    """Weak runs, so that some images fall to the first, some to a later one, and some to none."""
    images = grey_images(COUNT)
    labels = linear(images).argmax(dim=1)
    budget = Budget(12 * float(linear.smallest_eps(images).median()))
    alone = NativeAttack(ascent, cross_entropy, batch)
    singles = tuple(replace(alone, runs=(Run(stream),)) for stream in range(RUNS))
    left, expected = torch.arange(COUNT), images.clone()
    passes, falls = 0, []
    for single in singles:
        model, own = Watched(linear), left.tolist()
        points = single(model, images[left], labels[left], budget, mode="success", seeds=own)
        expected[left] = points
        broken = linear(points).argmax(dim=1) != labels[left]
        falls.append(int(broken.sum()))
        passes += model.passes
        left = left[~broken]
    assert falls[0] > 0
    assert sum(falls[1:]) > 0
    assert sum(falls) < COUNT
    together = replace(alone, runs=tuple(Run(stream) for stream in range(RUNS)))
    for attack in (together, InSequence(singles, cross_entropy, batch)):
        model = Watched(linear)
        found = attack(model, images, labels, budget, mode="success", seeds=range(COUNT))
        assert torch.allclose(found, expected, atol=1e-6)
        assert model.passes <= passes


def test_few_survivors_of_many_runs_take_few_passes(linear: LinearModel) -> None:
    images, steps = grey_images(4), 50
    labels = linear(images).argmax(dim=1)
    attack = NativeAttack(Apgd(steps, 0.75), cross_entropy, 64, tuple(map(Run, range(4))))
    model = Watched(linear)
    attack(model, images, labels, Budget(1e-6), mode="success", seeds=range(4))
    assert model.images == 4 * 4 * steps
    assert model.passes == steps + 3 * 5  # each run begins 5 steps after the last
