"""Attacks in turn: who sees what, and which point is kept; averages over passes; momentum."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor

from bench.attacks import build_attack
from bench.attacks.losses import cross_entropy, margin
from bench.attacks.pgd import PgdAscent
from bench.attacks.sequence import InSequence
from bench.attacks.targets import wrong_classes
from bench.core.types import Budget, Classifier, Mode
from bench.suite.specs import ApgdCe, ApgdT, Cw, Ensemble, Noise, Pgd
from tests.conftest import LinearModel, grey_images

EPS = ("0",)
MARGIN = margin(torch.inf)


@dataclass
class Shift:
    """Moves every image by a constant, and notes which it was given."""

    by: float
    seen: list[list[int]] = field(default_factory=list)

    def __call__(
        self,
        model: Classifier,
        images: Tensor,
        labels: Tensor,
        budget: Budget,
        *,
        mode: Mode,
        seeds: Sequence[int],
    ) -> Tensor:
        self.seen.append(list(seeds))
        return images + self.by


def brightness(images: Tensor) -> Tensor:
    """Class 1 from a mean of 0.5 on."""
    mean = images.mean(dim=(1, 2, 3)) - 0.5
    return torch.stack([-mean, mean], dim=1)


def plain(values: Sequence[float]) -> Tensor:
    return torch.tensor(values)[:, None, None, None].expand(-1, 3, 8, 8).clone()


def in_turn(attacks: Sequence[Shift], mode: Mode) -> Tensor:
    images = plain([0.49, 0.45, 0.40, 0.60])  # the last is wrong from the start
    run = InSequence(tuple(attacks), MARGIN, batch=2)
    labels = torch.zeros(4, dtype=torch.long)
    return run(brightness, images, labels, Budget(0.2), mode=mode, seeds=range(4))[:, 0, 0, 0]


def test_success_gives_each_attack_what_the_earlier_ones_left() -> None:
    attacks = [Shift(0.02), Shift(0.07), Shift(0.08)]
    found = in_turn(attacks, "success")
    assert [attack.seen for attack in attacks] == [[[0, 1, 2]], [[1, 2]], [[2]]]
    assert found.tolist() == pytest.approx([0.51, 0.52, 0.48, 0.60])


def test_full_runs_all_on_all_and_keeps_the_highest() -> None:
    attacks = [Shift(0.02), Shift(0.07), Shift(-0.01)]
    found = in_turn(attacks, "full")
    assert [attack.seen for attack in attacks] == [[[0, 1, 2, 3]]] * 3
    assert found.tolist() == pytest.approx([0.56, 0.52, 0.47, 0.67])


def test_what_leaves_the_ball_is_brought_back_before_it_counts() -> None:
    images, labels = plain([0.45]), torch.tensor([0])
    run = InSequence((Shift(0.3),), MARGIN, batch=1)
    found = run(brightness, images, labels, Budget(0.02), mode="success", seeds=[0])
    assert float(found.mean()) == pytest.approx(0.47)


@pytest.fixture
def four() -> LinearModel:
    return LinearModel(classes=4)


def test_an_ensemble_breaks_what_its_members_break_alone(four: LinearModel) -> None:
    images = grey_images(40)
    labels = four(images).argmax(dim=1)
    budget = Budget(float(four.smallest_eps(images).median()))
    short = {"kind": "pgd", "steps": 2, "step": 0.6}
    members = [{**short, "step": 1.5}, {"kind": "noise"}, {**short, "random_start": False}]

    def broken(attack: dict[str, object]) -> Tensor:
        spec = Ensemble.model_validate({"kind": "ensemble", "eps": EPS, "attacks": [attack]})
        alone = build_attack(spec.attacks[0], batch=16)
        points = alone(four, images, labels, budget, mode="success", seeds=range(40))
        return four(points).argmax(dim=1) != labels

    apart = torch.stack([broken(member) for member in members])
    assert 0 < int(apart.any(dim=0).sum()) < 40
    spec = Ensemble.model_validate({"kind": "ensemble", "eps": EPS, "attacks": members})
    together = build_attack(spec, batch=16)
    points = together(four, images, labels, budget, mode="success", seeds=range(40))
    assert torch.equal(four(points).argmax(dim=1) != labels, apart.any(dim=0))


def test_restarts_begin_elsewhere_and_the_first_is_the_single_run(four: LinearModel) -> None:
    images = grey_images(40)
    labels, budget = four(images).argmax(dim=1), Budget(1e-4)

    def run(restarts: int) -> Tensor:
        spec = Pgd(kind="pgd", eps=EPS, steps=1, step=0.1, restarts=restarts)
        attack = build_attack(spec, batch=16)
        return attack(four, images, labels, budget, mode="full", seeds=range(40))

    single, several = run(1), run(4)
    moved = (single != several).flatten(1).any(dim=1)
    assert 20 <= int(moved.sum()) < 40  # of four starts the first is best for a quarter
    loss = [cross_entropy(four(points), labels, labels) for points in (single, several)]
    assert bool((loss[1] >= loss[0]).all())


def test_more_draws_of_noise_break_more() -> None:
    model, images = LinearModel(), grey_images(40)
    labels = model(images).argmax(dim=1)
    budget = Budget(20 * float(model.smallest_eps(images).median()))

    def broken(draws: int) -> int:
        attack = build_attack(Noise(kind="noise", eps=EPS, draws=draws), batch=16)
        points = attack(model, images, labels, budget, mode="success", seeds=range(40))
        return int((model(points).argmax(dim=1) != labels).sum())

    assert 0 < broken(1) < broken(20) < 40


class Counted:
    def __init__(self, model: Classifier) -> None:
        self.model, self.images = model, 0

    def __call__(self, images: Tensor) -> Tensor:
        self.images += len(images)
        return self.model(images)


def test_targets_are_the_likeliest_wrong_classes_of_the_clean_image() -> None:
    """Each class has an image channel of its own, so a target shows in what has grown."""

    def channels(images: Tensor) -> Tensor:
        return torch.cat([images.mean(dim=(2, 3)), torch.zeros(len(images), 1)], dim=1)

    images = torch.tensor([0.9, 0.5, 0.6])[None, :, None, None].expand(1, 3, 8, 8).clone()
    label = torch.tensor([0])
    assert wrong_classes(channels(images), label, 1).tolist() == [[2]]
    for targets, grown in ((1, {2}), (2, {1, 2})):
        spec = ApgdT(kind="apgd-t", eps=EPS, steps=5, targets=targets)
        attack = build_attack(spec, batch=4)
        kept = [attack.attacks[rank] for rank in range(targets)] if targets > 1 else [attack]  # type: ignore[attr-defined]
        found = set()
        for run in kept:
            points = run(channels, images, label, Budget(0.05), mode="full", seeds=[0])
            found.add(int((points - images).mean(dim=(2, 3))[0, 1:].argmax()) + 1)
        assert found == grown


def test_passes_are_averaged() -> None:
    """Every other pass adds a slope that the mean is without."""
    true, false = LinearModel(seed=0), LinearModel(seed=5)

    class Fickle:
        def __init__(self) -> None:
            self.turn = -1.0

        def __call__(self, images: Tensor) -> Tensor:
            self.turn = -self.turn
            return true(images) + 10 * self.turn * false(images)

    images = grey_images(8)
    labels = true(images).argmax(dim=1)
    budget = Budget(0.01)

    def run(eot: int, model: Classifier) -> Tensor:
        spec = Cw(kind="cw", eps=EPS, steps=5, random_start=False, kappa=1e9, eot=eot)
        attack = build_attack(spec, batch=8)
        return attack(model, images, labels, budget, mode="full", seeds=range(8))

    assert torch.allclose(run(2, Fickle()), run(1, true), atol=1e-6)
    assert not torch.allclose(run(1, Fickle()), run(1, true), atol=1e-3)


def test_passes_are_counted(four: LinearModel) -> None:
    images = grey_images(8)
    labels = four(images).argmax(dim=1)
    queries = []
    for eot in (1, 3):
        model = Counted(four)
        attack = build_attack(ApgdCe(kind="apgd-ce", eps=EPS, steps=4, eot=eot), batch=8)
        attack(model, images, labels, Budget(1e-5), mode="full", seeds=range(8))
        queries.append(model.images)
    assert queries == [8 * 5, 8 * 5 * 3]


def test_what_is_known_of_an_image_is_not_asked_again(four: LinearModel) -> None:
    """A clean image is seen once by an ensemble, and a point once after all runs of a member."""
    images = grey_images(8)
    right = four(images).argmax(dim=1)
    labels = torch.where(torch.arange(8) < 6, right, 1 - right)  # the last two are wrong already
    steps, runs = 4, 2 + 3
    members = [
        {"kind": "apgd-ce", "steps": steps, "restarts": 2},
        {"kind": "apgd-t", "steps": steps, "targets": 3},
    ]
    spec = Ensemble.model_validate({"kind": "ensemble", "eps": EPS, "attacks": members})

    def queries(eps: float) -> int:
        model = Counted(four)
        build_attack(spec, batch=8)(
            model, images, labels, Budget(eps), mode="success", seeds=range(8)
        )
        return model.images

    assert queries(1e-6) == 8 + 6 * (runs * (steps + 1) + len(members))  # none falls
    assert queries(0.4) <= 8 + 6 * (2 + 1)  # all fall at the first or second point


def test_an_attack_on_a_random_model_goes_on_after_a_lucky_pass(linear: LinearModel) -> None:
    images = grey_images(60)
    images = images[linear(images).argmax(dim=1) == 0]
    labels = torch.zeros(len(images), dtype=torch.long)
    budget = Budget(1.2 * float(linear.smallest_eps(images).max()))

    def erring(points: Tensor) -> Tensor:
        """Return logits of class 1 for every fourth image, by chance."""
        wrong = torch.tensor([-1.0, 1.0]).expand(len(points), 2)
        return torch.where(torch.rand(len(points), 1) < 1 / 4, wrong, linear(points))

    def right_after(*members: dict[str, object], eot: int) -> int:
        given = {"kind": "ensemble", "eps": EPS, "eot": eot, "attacks": members}
        spec = Ensemble.model_validate(given).with_passes(eot, eot)
        torch.manual_seed(0)
        attack = build_attack(spec, batch=16, surrogate=lambda _: linear)  # type: ignore
        points = attack(erring, images, labels, budget, mode="success", seeds=range(len(images)))
        return int((erring(points).argmax(dim=1) == labels).sum())

    apgd = {"kind": "apgd-ce", "steps": 10}
    assert right_after(apgd, eot=1) > 0.1 * len(images)  # a lucky pass stops it
    assert right_after(apgd, eot=8) == 0
    assert right_after({**apgd, "restarts": 2}, {"kind": "noise"}, eot=8) == 0
    assert right_after({"kind": "noise"}, {**apgd, "source": "base"}, eot=8) == 0


def test_square_averages_the_logits_of_all_passes() -> None:
    seen: list[float] = []
    images, labels = plain([0.45]), torch.tensor([0])

    def alternating(points: Tensor) -> Tensor:
        seen.append(0.0)
        return brightness(points) + torch.tensor([0.0, 1.0 if len(seen) % 2 else -1.0])

    member = {"kind": "pyautoattack", "attack": "square", "queries": 40}
    given = {"kind": "ensemble", "eps": EPS, "eot": 2, "attacks": [member]}
    spec = Ensemble.model_validate(given).with_passes(2, 2)
    run = build_attack(spec, batch=1)
    found = run(alternating, images, labels, Budget(0.1), mode="success", seeds=[0])
    assert float(found.mean()) > 0.5 and len(seen) >= spec.forwards == 80


def test_momentum_carries_on_across_a_flat_place() -> None:
    ascent = PgdAscent(steps=2, step=2.0, random_start=False, momentum=1.0)
    images, budget = plain([0.5]), Budget(0.1)
    state = {**ascent.begin(images, images, budget), "iteration": torch.zeros(1)}
    loss = torch.zeros(1)
    state = ascent.advance(state, loss, torch.full_like(images, 3.0), budget)
    assert float(state["point"].mean()) == pytest.approx(0.6)
    state = ascent.advance(state, loss, torch.zeros_like(images), budget)
    assert float(state["velocity"].mean()) == pytest.approx(1.0)
    still = PgdAscent(steps=2, step=2.0, random_start=False)
    state = {**still.begin(images, images, budget), "iteration": torch.zeros(1)}
    state = still.advance(state, loss, torch.zeros_like(images), budget)
    assert torch.equal(state["point"], images)


def test_an_absolute_step_size_is_the_same_at_every_radius() -> None:
    ascent = PgdAscent(steps=10, step=1.0, random_start=False, length=0.02)
    images = plain([0.5])
    for eps, walked in ((0.01, 0.01), (0.1, 0.02), (0.3, 0.02)):  # the ball holds the first
        state = {**ascent.begin(images, images, Budget(eps)), "iteration": torch.zeros(1)}
        state = ascent.advance(state, torch.zeros(1), torch.ones_like(images), Budget(eps))
        assert float(state["point"].mean()) - 0.5 == pytest.approx(walked, 1e-4)


def test_step_sizes_halve_at_their_shares() -> None:
    ascent = PgdAscent(steps=10, step=1.0, random_start=False, halve=(0.25, 0.5))
    images, budget = plain([0.5]), Budget(0.1)
    state = ascent.begin(images, images, budget)
    walked = []
    for iteration in range(7):
        before = state["point"].mean()
        state = {**state, "iteration": torch.full((1,), iteration)}
        state = ascent.advance(state, torch.zeros(1), torch.ones_like(images), budget)
        walked.append(float(state["point"].mean() - before))
    sizes = [0.01] * 2 + [0.005] * 3 + [0.0025] * 2
    assert walked == pytest.approx(sizes, abs=1e-6)
