"""The loop: full batches, slots that are used again, and memory that ends."""

from functools import partial

import pytest
import torch
from torch import Tensor

from bench.attacks.apgd import Apgd
from bench.attacks.ascent import Ascent
from bench.attacks.balls import draw
from bench.attacks.engine import NativeAttack
from bench.attacks.losses import cross_entropy
from bench.attacks.pgd import PgdAscent
from bench.attacks.slots import draw_ahead, join, put, take
from bench.core.errors import CellError
from bench.core.types import Budget, Mode
from bench.models.batch_size import MOST, Batch, batch_for, largest
from tests.conftest import LinearModel, grey_images

COUNT = 40


class Watched:
    """A model that notes the sizes of its passes, and has room for so many images."""

    def __init__(self, model: LinearModel, room: int = COUNT) -> None:
        self.model, self.room = model, room
        self.forward: list[int] = []
        self.backward: list[int] = []

    def __call__(self, images: Tensor) -> Tensor:
        if len(images) > self.room:
            raise torch.OutOfMemoryError(f"{len(images)} are too many")
        self.forward.append(len(images))
        logits = self.model(images)
        if logits.requires_grad:
            self.backward.append(len(images))
        return logits


def attack(
    watched: Watched,
    ascent: Ascent,
    mode: Mode = "success",
    batch: int | Batch = 8,
    share: float = 0.5,
) -> Tensor:
    images = grey_images(COUNT)
    labels = watched.model(images).argmax(dim=1)
    eps = float(watched.model.smallest_eps(images).quantile(share))
    run = NativeAttack(ascent, cross_entropy, batch)
    return run(watched, images, labels, Budget(eps), mode=mode, seeds=range(COUNT))


def test_batches_are_full_as_long_as_images_are_waiting(linear: LinearModel) -> None:
    watched = Watched(linear)
    attack(watched, Apgd(10, 0.75))
    sizes = watched.backward
    drained = next(at for at, size in enumerate(sizes) if size < 8)
    assert drained > 10
    assert set(sizes[:drained]) == {8}
    assert sizes[drained:] == sorted(sizes[drained:], reverse=True)  # nothing is left to fill with


def test_the_last_point_is_evaluated_without_gradient(linear: LinearModel) -> None:
    watched = Watched(linear)
    attack(watched, PgdAscent(5, 2.5, True), mode="full")
    assert sum(watched.backward) == 5 * COUNT
    assert sum(watched.forward) == 6 * COUNT


def test_what_starts_at_the_image_needs_no_other_look_at_it(linear: LinearModel) -> None:
    watched = Watched(linear)
    attack(watched, PgdAscent(1, 1.0, False), share=1.0)
    assert (sum(watched.backward), sum(watched.forward)) == (COUNT, 2 * COUNT)
    wrong = 1 - linear(grey_images(COUNT)).argmax(dim=1)
    images = grey_images(COUNT)
    run = NativeAttack(PgdAscent(1, 1.0, False), cross_entropy, 8)
    found = run(watched, images, wrong, Budget(0.1), mode="success", seeds=range(COUNT))
    assert torch.equal(found, images)  # misclassified already


@pytest.mark.parametrize("ascent", [Apgd(10, 0.75), PgdAscent(5, 2.5, True, momentum=0.5)])
@pytest.mark.parametrize("mode", ["success", "full"])
def test_memory_that_ends_halves_the_batch_and_moves_nothing(
    linear: LinearModel, ascent: Ascent, mode: Mode
) -> None:
    ample, tight = Watched(linear), Watched(linear, room=5)
    batch = Batch(16)
    expected, found = attack(ample, ascent, mode), attack(tight, ascent, mode, batch)
    assert torch.allclose(expected, found, atol=1e-6)
    assert batch.size == 4
    assert sum(tight.backward) == sum(ample.backward)


def test_a_single_image_that_does_not_fit_is_told(linear: LinearModel) -> None:
    batch = Batch(16)
    for _ in range(2):  # who comes next shares the batch
        with pytest.raises(CellError, match="a single image does not fit"):
            attack(Watched(linear, room=0), PgdAscent(2, 2.5, True), batch=batch)
    assert batch.size == 1


def test_a_model_without_gradients_is_told() -> None:
    def constant(images: Tensor) -> Tensor:
        return torch.zeros(len(images), 2)

    run = NativeAttack(PgdAscent(2, 2.5, True), cross_entropy, 8)
    with pytest.raises(CellError, match="no gradient"):
        run(
            constant,
            grey_images(3),
            torch.zeros(3).long(),
            Budget(0.1),
            mode="full",
            seeds=range(3),
        )


def test_the_largest_size_is_found_by_trial() -> None:
    def work(room: int, part: slice) -> None:
        if part.stop - part.start > room:
            raise torch.OutOfMemoryError

    def always() -> bool:
        return True

    assert [largest(partial(work, room), always) for room in (0, 1, 3, 8, 100)] == [1, 1, 2, 8, 64]
    assert largest(partial(work, 10**9), always) == MOST
    assert largest(partial(work, 100), lambda: False) == 8


@pytest.mark.parametrize(("side", "expected"), [(32, 128), (224, 16), (336, 8), (2000, 8)])
def test_a_cpu_goes_by_pixels(side: int, expected: int) -> None:
    assert batch_for(torch.device("cpu"), side, side, lambda part: None).size == expected


def test_slots_are_written_in_place_but_never_through_a_second_name() -> None:
    shared = torch.zeros(4)
    state = {"row": torch.arange(4), "point": shared, "previous": shared}
    fresh = {"row": torch.tensor([9]), "point": torch.ones(1), "previous": torch.full((1,), 2.0)}
    written = put(state, torch.tensor([2]), fresh)
    assert written["point"] is shared
    assert written["row"].tolist() == [0, 1, 9, 3]
    assert written["point"].tolist() == [0, 0, 1, 0]
    assert written["previous"].tolist() == [0, 0, 2, 0]
    assert join({}, fresh) is fresh
    assert join(take(written, torch.tensor([3])), fresh)["row"].tolist() == [3, 9]


def test_noise_drawn_ahead_is_the_noise_drawn_in_turn() -> None:
    noise = partial(draw, (3, 4, 4), norm="linf")
    seeds = list(range(300))
    here, elsewhere = (draw_ahead(noise, seeds, torch.device(name)) for name in ("cpu", "cuda"))
    for first, second in zip(here, elsewhere, strict=True):
        assert torch.equal(first, second)
