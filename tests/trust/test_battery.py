"""Each check on a linear model, whose robustness is known."""

from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from bench.core.types import Budget, Classifier, Norm
from bench.models.batch_size import Batch, ImageTooLarge
from bench.suite.specs import Storage
from bench.trust import black_box, chance, forward_pass
from bench.trust.battery import CHECKS, examine
from bench.trust.defence_parts import DefenceParts
from bench.trust.findings import Finding
from bench.trust.reported_number import Reported
from bench.trust.subject import Effort, Subject
from tests.conftest import LinearModel, grey_images
from tests.trust.gallery import subject as gallery

N = 30
FAST = Effort(images=N, steps=5, restarts=2, draws=5, queries=20, directions=5)
SEEKING = replace(FAST, draws=10, queries=100, directions=10)


def honest(norm: Norm = "linf") -> Subject:
    """Return a linear model at the radius where half of the images truly stand."""
    linear, images = LinearModel(), grey_images(N)
    smallest = linear.smallest_eps(images, norm)
    eps = float(smallest.median()) + 1e-6
    robust = (smallest > 1.01 * eps).numpy()
    return Subject(
        linear, images, linear(images).argmax(dim=1), Budget(eps, norm), tuple(range(N)),
        Reported(robust, "pgd", steps=10, distance=eps), Batch(16), (("itself", linear),),
        (grey_images(N, seed=2), linear(grey_images(N, seed=2)).argmax(dim=1)),
    )  # fmt: skip


def with_model(model: Classifier) -> Subject:
    return replace(honest(), model=model)


def verdicts(subject: Subject) -> dict[str, Finding]:
    return {found.check: found for found in examine(subject, FAST)}


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_a_linear_model_with_its_true_number_passes(norm: Norm) -> None:
    found = verdicts(honest(norm))
    assert list(found) == list(CHECKS)
    warned = [one.check for one in found.values() if one.verdict in ("fail", "warn")]
    assert warned == ["shifted"]  # its pixels have no neighbours
    assert found["shifted"].verdict == "warn"
    skipped = {one.check for one in found.values() if one.verdict == "skip"}
    assert skipped == {"transferred", *OF_DEFENCES}


def test_a_number_that_is_too_good_fails_whatever_attacks_better() -> None:
    true = honest()
    found = verdicts(too_good())
    failed = {name for name, one in found.items() if one.verdict == "fail"}
    assert {"other-loss", "transfer", "more-steps", "more-restarts"} <= failed
    assert not failed & {"gradients", "box", "batch", "stochastic", "held-out", "shifted"}
    assert "after a weak attack" in found["more-steps"].evidence
    fallen = found["more-steps"].numbers["stood"] - found["more-steps"].numbers["stand"]
    assert fallen >= (~true.reported.robust).sum() - 1  # the one at the very edge aside


def test_a_transferred_number_that_a_white_box_attack_leaves_passes() -> None:
    true = honest()
    kept = replace(true.reported, transferred=True)
    assert black_box.transferred(replace(true, reported=kept), FAST).verdict == "pass"


def sharpened(change: Callable[[Tensor, Tensor], Tensor]) -> Classifier:
    """Return a linear model with a wrong answer where a change of its images says so.

    `change` gets distances `[b]` from the nearest of the images, and the images `[b,3,h,w]`.
    """
    linear, known = LinearModel(), grey_images(N)

    def model(x: Tensor) -> Tensor:
        far = torch.cdist(x.flatten(1), known.flatten(1), p=torch.inf)
        distance, nearest = far.min(dim=1)
        answer = linear(known)[nearest].argmax(dim=1) ^ change(distance, x).long()
        logits = linear(x)  # the gradient is its own
        return 10 * torch.eye(2)[answer] + logits - logits.detach()

    return model


def annulus() -> Subject:
    """Return a model that is wrong at the very radius alone, as a detector of attacks may be."""
    radius = honest().budget.eps
    wrong = sharpened(lambda far, _: (far > 0.9 * radius) & (far < 1.01 * radius))
    return with_model(wrong)


def rotating() -> Subject:
    """Return two models that take turns with each pass, one of which is always wrong."""
    passes, linear = count(), LinearModel()
    turns = with_model(lambda x: (-1) ** next(passes) * linear(x))
    return replace(turns, batch=Batch(N))


def cancelling() -> Subject:
    """Return a linear model of large numbers that cancel, in float32."""
    linear = LinearModel()
    row = linear.weight.flatten()[None]
    far = 256.0

    def model(x: Tensor) -> Tensor:
        score = F.linear(x.flatten(1) + far, row)[:, 0] - far * row.sum() + linear.bias
        return torch.stack([score, -score], dim=1).float()

    return with_model(model)


def fine() -> Subject:
    """Return a model that is wrong between the values of 8 bits, where attacks are."""
    true = honest()
    wide = replace(true, budget=Budget(4.5 / 255), images=true.images.mul(255).round() / 255)
    linear = LinearModel()

    def model(x: Tensor) -> Tensor:
        fine = ((x * 255 - (x * 255).round()).abs() > 1e-2).flatten(1).any(dim=1)
        known = 5 - 10 * torch.eye(2)[1 - linear(wide.images).argmax(dim=1)[: len(x)]]
        logits = linear(x)  # the gradient is its own
        return torch.where(fine[:, None], known + logits - logits.detach(), logits)

    labels = linear(wide.images).argmax(dim=1)
    return replace(wide, model=model, labels=labels, batch=Batch(N))


def too_good(transferred: bool = False) -> Subject:
    """Return a linear model of which a weak attack has left every image."""
    true = honest()
    all_stand = np.ones(N, np.bool_)
    reported = replace(
        true.reported, robust=all_stand, attack="a weak attack", transferred=transferred
    )
    return replace(true, reported=reported)


def behind(model: Classifier, subject: Subject, **parts: Any) -> Subject:
    """Return a subject whose model is a defence over the linear model."""
    base = LinearModel()
    return replace(
        subject, model=model, defence=DefenceParts("a defence", base, "a model", "exact", **parts)
    )


def useless() -> Subject:
    """Return a defence that changes nothing."""
    return behind(LinearModel(), honest())


def cut() -> Subject:
    """Return a defence with almost no gradient."""
    linear = LinearModel()
    return behind(
        lambda x: linear(x.detach() + 1e-6 * (x - x.detach())), honest(), others={"base": linear}
    )


def costly() -> Subject:
    """Return a defence that asks its base three times, once for a gradient."""
    tower = torch.nn.Flatten()
    linear = LinearModel()

    def model(x: Tensor) -> Tensor:
        with torch.enable_grad():
            point = x.detach().requires_grad_()
            torch.autograd.grad(tower(2 * point).sum(), point)
        return linear(tower(x).view(x.shape))

    return behind(model, honest(), tower=tower)


CASES: dict[str, Callable[[], Subject]] = {
    "gradients": lambda: gallery("detached"),
    "stochastic": lambda: gallery("dropout"),
    "batch": lambda: gallery("batches"),
    "chance": lambda: gallery("constant"),
    "saturation": lambda: gallery("scaled"),
    "finite-differences": lambda: gallery("k winners"),
    "random-directions": lambda: gallery("trap"),
    "huge-budget": lambda: gallery("constant"),
    "cost": costly,
    "non-adaptive": lambda: behind(LinearModel(), too_good(transferred=True)),
    "no-effect": useless,
    "cut-gradient": cut,
    "shifted": honest,
    "zero-budget": rotating,
    "noise": lambda: gallery("brittle"),
    "other-loss": too_good,
    "transferred": lambda: too_good(transferred=True),
    "transfer": lambda: gallery("detached"),
    "stand-in": lambda: gallery("detached"),
    "draws": lambda: behind(LinearModel(), too_good(), random=True),
    "box": lambda: gallery("in place"),
    "eight-bit": fine,
    "precision": cancelling,
    "ascent": lambda: gallery("rounding"),
    "held-out": lambda: gallery("memory"),
    "more-steps": lambda: gallery("timid"),
    "monotone": annulus,
    "square": lambda: gallery("detached"),
    "more-restarts": too_good,
}
OF_DEFENCES = ("cost", "non-adaptive", "no-effect", "cut-gradient", "draws")
# at most, on so few images or at all
MOST = {"chance": "warn", "shifted": "warn", "non-adaptive": "warn", "cost": "remark"}


@pytest.mark.parametrize("name", CHECKS)  # a new check wants a case
def test_every_check_fails_what_it_is_there_for(name: str) -> None:
    (found,) = examine(CASES[name](), SEEKING, {name: CHECKS[name]})
    assert found.verdict == MOST.get(name, "fail"), found
    assert found.numbers, found  # by its own reading, and no error


@pytest.mark.parametrize(
    ("images", "share", "verdict"),
    [
        (200, 0.1, "warn"),  # as good as guessing
        (200, 0.14, "pass"),  # little, and more than one answer for all
        (200, 0.5, "pass"),
        (12, 0.1, "pass"),  # too few to say
        (64, 0.0, "warn"),
    ],
)
def test_who_does_no_better_than_guessing_has_nothing_to_defend(
    images: int, share: float, verdict: str
) -> None:
    labels = torch.arange(images) % 10
    answers = torch.where(torch.arange(images) < share * images, labels, (labels + 1) % 10)
    logits = torch.eye(10)[answers]
    some = replace(
        honest(), model=lambda x: logits + 0 * x.sum(), images=grey_images(images),
        labels=labels, batch=Batch(images),
    )  # fmt: skip
    found = chance.chance(some, FAST)
    assert found.verdict == verdict, found
    assert found.numbers["answers"] == 10


def test_logits_that_are_not_numbers_are_told_once() -> None:
    found = verdicts(with_model(lambda x: LinearModel()(x) * torch.nan))
    first, *others = found.values()
    assert (first.check, first.verdict) == ("gradients", "fail")
    assert "NaN or infinite for 16 of 16" in first.evidence
    assert "the same error as `gradients`" in {one.evidence for one in others}
    assert sum(one.evidence == first.evidence for one in found.values()) == 1


def test_a_model_that_is_never_right_has_no_gradient_to_check() -> None:
    true = honest()
    wrong = replace(
        true, labels=1 - true.labels, reported=replace(true.reported, robust=np.zeros(N, np.bool_))
    )
    found = verdicts(wrong)
    assert found["gradients"].verdict == "skip"
    assert "gets none of 30 images right" in found["gradients"].evidence
    assert found["more-steps"].verdict == "pass"  # a number of 0 is believed


def test_a_random_model_is_a_warning_where_the_attack_averages() -> None:
    def noisy(x: Tensor) -> Tensor:
        return LinearModel()(x + 0.05 * torch.randn_like(x))

    random = with_model(noisy)
    assert forward_pass.stochastic(random, FAST).verdict == "fail"
    averaged = replace(random, reported=replace(random.reported, eot=20))
    assert forward_pass.stochastic(averaged, FAST).verdict == "warn"


def test_gradients_of_a_random_defence_are_means_over_the_same_draws() -> None:
    def noisy(x: Tensor) -> Tensor:
        return LinearModel()(x + 0.5 * torch.randn_like(x))

    names = ("finite-differences", "random-directions")
    checks = {name: CHECKS[name] for name in names}
    assert {one.verdict for one in examine(with_model(noisy), FAST, checks)} == {"fail"}
    defended = behind(noisy, honest(), random=True)
    assert {one.verdict for one in examine(defended, FAST, checks)} == {"pass"}


@pytest.mark.parametrize(
    ("storage", "far", "verdict"),
    [("float16", 0.0, "pass"), ("float16", 0.01, "fail"), ("uint8-truncate", 0.01, "warn")],
)
def test_points_beyond_the_radius_are_told(storage: Storage, far: float, verdict: str) -> None:
    true = honest()
    reported = replace(true.reported, distance=true.budget.eps + far)
    told = forward_pass.box(replace(true, storage=storage, reported=reported), FAST)
    assert told.verdict == verdict, told


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("no room"),  # halved until a single image is too much
        MemoryError(),
        RuntimeError("CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("[enforce fail] . DefaultCPUAllocator: can't allocate memory: you tried"),
        torch.AcceleratorError("CUDA error: an illegal memory access was encountered"),
        OSError("Input/output error"),
    ],
)
def test_what_a_machine_fails_at_is_no_finding_of_the_model(error: Exception) -> None:
    def model(x: Tensor) -> Tensor:
        raise error

    subject = with_model(model)
    wanted = type(error) if isinstance(error, torch.AcceleratorError | OSError) else ImageTooLarge
    with pytest.raises(wanted):
        list(examine(subject, FAST))
    with pytest.raises(wanted):  # and so once more, with the batch that is left
        list(examine(subject, FAST))


def test_an_error_of_many_lines_is_told_in_one() -> None:
    def check(subject: Subject, effort: Effort) -> Finding:
        raise ValueError("a size differs:\n\tgot 3\n  of 4")

    (found,) = examine(honest(), FAST, {"noise": check})
    assert found == Finding("noise", "fail", "ValueError: a size differs: got 3 of 4")


def test_memory_that_ends_outside_of_a_batch_is_no_finding_either() -> None:
    def check(subject: Subject, effort: Effort) -> Finding:
        raise RuntimeError("CUDNN_STATUS_ALLOC_FAILED")

    with pytest.raises(RuntimeError, match="ALLOC_FAILED"):
        list(examine(honest(), FAST, {"noise": check}))
