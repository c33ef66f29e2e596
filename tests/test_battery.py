"""Each check on a linear model, whose robustness is known."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from bench.memory import Batch
from bench.specs import Storage
from bench.trust import blackbox, forward
from bench.trust.battery import CHECKS, examine
from bench.trust.findings import Finding
from bench.trust.reported import Reported
from bench.trust.subject import Effort, Subject
from bench.types import Budget, Classifier, Norm
from tests.conftest import LinearModel, grey_images

N = 30
FAST = Effort(images=N, steps=5, restarts=2, draws=5, queries=20, directions=5)


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
    assert [one.check for one in found.values() if one.verdict == "skip"] == ["transferred"]


def test_a_number_that_is_too_good_fails_whatever_attacks_better() -> None:
    true = honest()
    everything = replace(true.reported, robust=np.ones(N, np.bool_), attack="a weak attack")
    found = verdicts(replace(true, reported=everything))
    failed = {name for name, one in found.items() if one.verdict == "fail"}
    assert {"other-loss", "transfer", "more-steps", "more-restarts"} <= failed
    assert not failed & {"gradients", "box", "batch", "stochastic", "held-out", "shifted"}
    assert "after a weak attack" in found["more-steps"].evidence
    fallen = found["more-steps"].numbers["stood"] - found["more-steps"].numbers["stand"]
    assert fallen >= (~true.reported.robust).sum() - 1  # the one at the very edge aside


def test_a_transferred_number_is_held_against_a_white_box_attack() -> None:
    true = honest()
    claimed = replace(true.reported, robust=np.ones(N, np.bool_), transferred=True)
    assert blackbox.transferred(replace(true, reported=claimed), FAST).verdict == "fail"
    kept = replace(true.reported, transferred=True)
    assert blackbox.transferred(replace(true, reported=kept), FAST).verdict == "pass"


def test_logits_that_are_not_numbers_are_told_once() -> None:
    found = verdicts(with_model(lambda x: LinearModel()(x) * torch.nan))
    first, *others = found.values()
    assert (first.check, first.verdict) == ("gradients", "fail")
    assert "NaN or infinite for 16 of 16" in first.evidence
    assert "ended as `gradients` did" in {one.evidence for one in others}
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
    assert forward.stochastic(random, FAST).verdict == "fail"
    averaged = replace(random, reported=replace(random.reported, eot=20))
    assert forward.stochastic(averaged, FAST).verdict == "warn"


@pytest.mark.parametrize(
    ("storage", "far", "verdict"),
    [("float16", 0.0, "pass"), ("float16", 0.01, "fail"), ("uint8-truncate", 0.01, "warn")],
)
def test_points_beyond_the_radius_are_told(storage: Storage, far: float, verdict: str) -> None:
    true = honest()
    reported = replace(true.reported, distance=true.budget.eps + far)
    told = forward.box(replace(true, storage=storage, reported=reported), FAST)
    assert told.verdict == verdict, told


def test_a_model_that_reads_more_than_eight_bits_is_found_out() -> None:
    """It answers rightly between the values of 8 bits, where attacks are."""
    true = honest()
    wide = replace(true, budget=Budget(4.5 / 255), images=true.images.mul(255).round() / 255)
    linear = LinearModel()

    def model(x: Tensor) -> Tensor:
        fine = ((x * 255 - (x * 255).round()).abs() > 1e-2).flatten(1).any(dim=1)
        known = 5 - 10 * torch.eye(2)[1 - linear(wide.images).argmax(dim=1)[: len(x)]]
        logits = linear(x)  # the gradient is its own
        return torch.where(fine[:, None], known + logits - logits.detach(), logits)

    labelled = replace(wide, model=model, labels=linear(wide.images).argmax(dim=1), batch=Batch(N))
    assert forward.eight_bit(labelled, FAST).verdict == "fail"
