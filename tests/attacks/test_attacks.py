"""Native attacks against truth: a linear model with a known optimum."""

import pytest
import torch
from torch import Tensor

from bench.attacks import build_attack
from bench.attacks.apgd import checkpoints
from bench.attacks.balls import draw, length, project, stream_seed, surface
from bench.attacks.losses import dlr, margin, probability_margin, targeted_dlr
from bench.attacks.targets import wrong_classes
from bench.core.errors import CellError
from bench.core.types import Budget, Classifier, Mode, Norm
from bench.suite.specs import (
    AnyAttack,
    ApgdCe,
    ApgdDlr,
    ApgdPm,
    ApgdT,
    Cw,
    Ensemble,
    Fgsm,
    MiFgsm,
    Noise,
    Pgd,
    PyAutoAttack,
)
from tests.conftest import LinearModel, grey_images

EPS = ("0",)  # the budget of a call is given with it
COUNT = 40
CE = {"kind": "apgd-ce", "steps": 20, "restarts": 2}
NATIVE: dict[str, AnyAttack] = {
    "fgsm": Fgsm(kind="fgsm", eps=EPS),
    "pgd": Pgd(kind="pgd", eps=EPS, steps=20),
    "pgd-still": Pgd(kind="pgd", eps=EPS, steps=20, random_start=False),
    "pgd-restarts": Pgd(kind="pgd", eps=EPS, steps=10, restarts=3),
    "pgd-momentum": Pgd(kind="pgd", eps=EPS, steps=20, momentum=0.9),
    "pgd-halving": Pgd(kind="pgd", eps=EPS, steps=20, step=40, halve=(0.3, 0.6), keep="best"),
    "pgd-eot": Pgd(kind="pgd", eps=EPS, steps=10, eot=2),
    "mi-fgsm": MiFgsm(kind="mi-fgsm", eps=EPS),
    "cw": Cw(kind="cw", eps=EPS, steps=20),
    "apgd-ce": ApgdCe(kind="apgd-ce", eps=EPS, steps=20),
    "apgd-ce-restarts": ApgdCe(kind="apgd-ce", eps=EPS, steps=20, restarts=2),
    "apgd-dlr": ApgdDlr(kind="apgd-dlr", eps=EPS, steps=20),
    "apgd-pm": ApgdPm(kind="apgd-pm", eps=EPS, steps=20),
    "apgd-t": ApgdT(kind="apgd-t", eps=EPS, steps=20, targets=3),
    "ensemble": Ensemble.model_validate(
        {"kind": "ensemble", "eps": EPS, "attacks": [CE, {"kind": "apgd-t", "targets": 2}]}
    ),
}
LIBRARIES: dict[str, AnyAttack] = {  # their Square searches at random and is left to luck
    f"official-{name}": PyAutoAttack(
        kind="pyautoattack", eps=EPS, attack=(name,), steps=20, targets=3
    )
    for name in ("apgd-ce", "apgd-dlr", "apgd-t", "fab", "fab-t")
}
NOISE = Noise(kind="noise", eps=EPS, draws=3)
ALL = {**NATIVE, "noise": NOISE}
BOTH_MODES = pytest.mark.parametrize("mode", ["success", "full"])
BOTH_NORMS = pytest.mark.parametrize("norm", ["linf", "l2"])


@pytest.fixture
def four() -> LinearModel:
    """Four classes, of which the last two are never near."""
    return LinearModel(classes=4)


def attacked(
    spec: AnyAttack,
    model: Classifier,
    images: Tensor,
    labels: Tensor,
    budget: Budget,
    mode: Mode = "success",
    batch: int = 16,
    seeds: Tensor | None = None,
) -> Tensor:
    own = range(len(images)) if seeds is None else seeds.tolist()
    attack = build_attack(spec, batch=batch)
    return attack(model, images, labels, budget, mode=mode, seeds=own)


def median_eps(model: LinearModel, norm: Norm) -> float:
    return float(model.smallest_eps(grey_images(COUNT), norm).median())


@BOTH_MODES
@BOTH_NORMS
@pytest.mark.parametrize("name", NATIVE)
def test_breaks_exactly_what_can_be_broken(
    four: LinearModel, name: str, norm: Norm, mode: Mode
) -> None:
    """An image falls at 1% over its distance to the hyperplane, and none falls below it."""
    images = grey_images(COUNT)
    labels = four(images).argmax(dim=1)
    distance, eps = four.smallest_eps(images, norm), median_eps(four, norm)
    decided = (distance - eps).abs() > 0.01 * eps
    found = attacked(NATIVE[name], four, images, labels, Budget(eps, norm), mode)
    broken = four(found).argmax(dim=1) != labels
    assert torch.equal(broken[decided], (distance < eps)[decided])


@BOTH_NORMS
@pytest.mark.parametrize("name", [*NATIVE, *LIBRARIES])
def test_each_image_falls_within_one_percent_of_its_smallest_budget(
    four: LinearModel, name: str, norm: Norm
) -> None:
    """The stated tolerance: at 0.99 of the distance to the hyperplane none falls, at 1.01 all."""
    spec = {**NATIVE, **LIBRARIES}[name].model_copy(update={"norm": norm})
    images = grey_images(6)
    labels = four(images).argmax(dim=1)
    for image, label, distance in zip(
        images.split(1), labels.split(1), four.smallest_eps(images, norm).tolist(), strict=True
    ):
        for share, falls in ((0.99, False), (1.01, True)):
            found = attacked(spec, four, image, label, Budget(share * distance, norm))
            assert bool(four(found).argmax(dim=1) != label) == falls


@BOTH_MODES
@BOTH_NORMS
@pytest.mark.parametrize("name", ALL)
def test_stays_in_the_ball_and_the_box(
    four: LinearModel, name: str, norm: Norm, mode: Mode
) -> None:
    eps = 0.2 if norm == "linf" else 2.0
    images = grey_images(COUNT)
    dark = torch.cat([images[:20] - 0.45, images[20:] + 0.45]).clamp(0, 1)
    labels = four(dark).argmax(dim=1)
    found = attacked(ALL[name], four, dark, labels, Budget(eps, norm), mode)
    assert float(length(found - dark, norm).max()) <= eps + 1e-6
    assert float(found.min()) >= 0
    assert float(found.max()) <= 1


@BOTH_MODES
@BOTH_NORMS
@pytest.mark.parametrize("name", ALL)
def test_an_image_depends_neither_on_its_neighbours_nor_on_its_place(
    four: LinearModel, name: str, norm: Norm, mode: Mode
) -> None:
    images = grey_images(COUNT)
    labels, budget = four(images).argmax(dim=1), Budget(median_eps(four, norm), norm)
    at_once = attacked(ALL[name], four, images, labels, budget, mode, batch=COUNT)
    in_sevens = attacked(ALL[name], four, images, labels, budget, mode, batch=7)
    assert torch.allclose(at_once, in_sevens, atol=1e-6)
    order = torch.randperm(COUNT, generator=torch.Generator().manual_seed(0))
    shuffled = attacked(
        ALL[name], four, images[order], labels[order], budget, mode, batch=9, seeds=order
    )
    assert torch.allclose(at_once[order], shuffled, atol=1e-6)


@BOTH_NORMS
@pytest.mark.parametrize("name", ALL)
def test_success_leaves_wrong_images_alone_and_full_does_not(
    four: LinearModel, name: str, norm: Norm
) -> None:
    images = grey_images(10)
    wrong = 1 - four(images).argmax(dim=1)
    budget = Budget(0.01, norm)
    kept = attacked(ALL[name], four, images, wrong, budget, "success", batch=4)
    assert torch.equal(kept, images)
    if name != "cw":  # a margin capped at 0 has no gradient where the image is wrong already
        moved = attacked(ALL[name], four, images, wrong, budget, "full", batch=4)
        reach = length(moved - images, norm)
        edge = 0.9 if name in ("noise", "pgd-halving") else 1.0
        assert bool((reach >= edge * 0.01 - 1e-6).all())


@pytest.mark.parametrize("name", ALL)
def test_same_seeds_same_images_and_the_global_stream_is_left_alone(
    four: LinearModel, name: str
) -> None:
    images = grey_images(COUNT)
    labels = four(images).argmax(dim=1)
    state = torch.random.get_rng_state()
    first, second = (
        attacked(ALL[name], four, images, labels, Budget(0.01), "full") for _ in range(2)
    )
    assert torch.equal(first, second)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_nan_logits_are_an_error() -> None:
    def broken(images: Tensor) -> Tensor:
        return torch.full((len(images), 2), torch.nan)

    images = grey_images(3)
    with pytest.raises(CellError, match="NaN or infinite for 3 of 3"):
        attacked(NATIVE["pgd"], broken, images, torch.zeros(3).long(), Budget(0.1), "full", 4)


def test_checkpoints_follow_the_paper() -> None:
    # Croce and Hein 2020, section 3.3: p = 0, 0.22, 0.41, 0.57, 0.70, 0.80, 0.87, 0.93, 0.99
    assert list(checkpoints(100)) == [22, 41, 57, 70, 80, 87, 93, 99]


def test_margin_is_capped_and_ignores_the_true_class() -> None:
    logits = torch.tensor([[3.0, 1.0, -2.0], [-5.0, -1.0, -2.0]])
    labels = torch.tensor([0, 0])
    assert margin(0.0)(logits, labels, labels).tolist() == [-2.0, 0.0]
    assert margin(9.0)(logits, labels, labels).tolist() == [-2.0, 4.0]


def test_ratios_of_logits() -> None:
    logits = torch.tensor([[4.0, 3.0, 1.0, 0.0], [1.0, 4.0, 3.0, 0.0]])
    labels, targets = torch.tensor([0, 0]), torch.tensor([2, 2])
    assert dlr(logits, labels, targets).tolist() == pytest.approx([-1 / 3, 1.0])
    assert targeted_dlr(logits, labels, targets).tolist() == pytest.approx([-3 / 3.5, 2 / 3.5])
    assert wrong_classes(logits, labels, 2).tolist() == [[1, 2], [1, 2]]


def test_probability_margin_is_the_authors_and_does_not_saturate() -> None:
    """The numbers are those of the authors' code (OpenTAI/taiadv, `Probability_margin`)."""
    logits = torch.tensor(
        [[3.0, 1.0, -2.0, 0.5], [0.0, 2.0, 1.5, -1.0], [1.0, -0.5, 0.25, 2.0]], requires_grad=True
    )
    labels = torch.tensor([0, 0, 3])
    losses = probability_margin(logits, labels, labels)
    assert (losses - 1).tolist() == pytest.approx([-0.706334, 0.482607, -0.389299], abs=1e-6)
    (gradient,) = torch.autograd.grad(losses.sum(), logits)
    first = [-0.239892, 0.188642, 0.003888, 0.047363]
    assert gradient[0].tolist() == pytest.approx(first, abs=1e-6)
    # the true probability is 1 in float32, and the loss still falls with the distance
    far = torch.tensor([[20.0, 0.0, 0.0], [30.0, 0.0, 0.0]], requires_grad=True)
    near, further = probability_margin(far, labels[:2], labels[:2])
    assert near > further > 0
    (gradient,) = torch.autograd.grad(near + further, far)
    assert bool((gradient[:, 0] < 0).all())


def test_noise_is_uniform_and_seeded() -> None:
    noise = draw((3, 100, 100), 5, "linf")
    assert torch.equal(noise, draw((3, 100, 100), 5, "linf"))
    assert not torch.equal(noise, draw((3, 100, 100), stream_seed(5, 1), "linf"))
    assert float(noise.min()) < -0.99
    assert abs(float(noise.mean())) < 0.02


def test_l2_starts_lie_in_the_ball_and_can_be_brought_to_its_surface() -> None:
    noise = torch.stack([draw((3, 8, 8), seed, "l2") for seed in range(50)])
    radius = length(noise, "l2")
    assert float(radius.max()) <= 1 + 1e-6
    assert 0.3 < float(radius.mean()) < 0.7
    outer = length(surface(noise, Budget(0.5, "l2")), "l2")
    assert torch.allclose(outer, torch.full_like(outer, 0.5))


def test_l2_projection_shortens_what_is_too_long_alone() -> None:
    images = grey_images(2)
    deltas = torch.stack([torch.full((3, 8, 8), 0.001), torch.full((3, 8, 8), 0.1)])
    moved = project(images + deltas, images, Budget(0.5, "l2")) - images
    assert torch.allclose(moved[0], deltas[0], atol=1e-7)
    assert float(length(moved, "l2")[1]) == pytest.approx(0.5)
