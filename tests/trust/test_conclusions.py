"""What findings mean together: causes, numbers that stand, and multiple testing."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from bench.stats import LEVEL, mcnemar
from bench.trust.battery import CHECKS, examine
from bench.trust.conclusions import OF_GRADIENTS, OF_NUMBERS, conclude, explain
from bench.trust.findings import Examined, Finding, flags_of
from bench.trust.reported_number import Pair, Reported
from bench.trust.significance import binomial_tail, verdict_of
from bench.trust.subject import ONE_CLASS, correct, surviving_images
from tests.trust.embedded import classifier
from tests.trust.gallery import LIGHT, subject
from tests.trust.piece import PGD
from tests.trust.test_battery import FAST, honest


def examined(findings: Sequence[Finding], name: str = "M") -> Examined:
    return Examined(name, "D", "4/255", "pgd", 64, False, 1.0, tuple(findings))


def test_a_number_that_an_attack_without_the_gradient_reaches_stands() -> None:
    purifier = subject("detached")  # it hides its gradient
    clip = replace(purifier, model=classifier("clip"))
    robust = surviving_images(clip, PGD, correct(clip, clip.images))
    true = replace(purifier, reported=Reported(robust, "BPDA", 5))
    checks = {name: CHECKS[name] for name in ("gradients", *OF_NUMBERS)}
    found = {one.check: one for one in explain(list(examine(true, LIGHT, checks)))}
    assert found["gradients"].verdict == "remark"
    assert "0.0% is reported, and an attack that does not need this gradient leaves 0.0%" in (
        found["gradients"].evidence
    )
    assert flags_of(list(found.values())) == ()


def test_a_faked_number_stays_untrusted() -> None:
    checks = {name: CHECKS[name] for name in ("gradients", *OF_NUMBERS)}
    found = explain(list(examine(subject("detached"), LIGHT, checks)))
    assert {"untrusted=gradients", "untrusted=stand-in"} <= set(flags_of(found))


NUMBERS = {"stood": 10, "stand": 10, "alone": 12, "clean": 50, "images": 64}


@pytest.mark.parametrize(
    ("numbers", "square", "stands"),
    [
        ({}, "pass", True),
        ({"alone": 14}, "pass", False),  # alone the attack is weak
        ({"clean": 19}, "pass", False),  # the reported attack broke less than half
        ({}, "warn", False),
        ({}, "skip", False),
    ],
)
def test_when_a_number_stands(numbers: dict[str, float], square: str, stands: bool) -> None:
    findings = [
        Finding("gradients", "fail", "no gradient"),
        Finding("stand-in", "pass", "breaks none", NUMBERS | numbers),
        Finding("square", square, "breaks some"),  # type: ignore[arg-type]
    ]
    assert explain(findings)[0].verdict == ("remark" if stands else "fail")


def test_one_answer_for_all_images_explains_the_rest() -> None:
    findings = [
        Finding("gradients", "fail", "no gradient"),
        Finding("chance", "fail", "low", {"answers": 1}),
        Finding("huge-budget", "warn", "survivors"),
        Finding("box", "pass", "inside"),
    ]
    assert flags_of(explain(findings)) == ("untrusted=chance",)
    several = [replace(findings[0]), replace(findings[1], numbers={"answers": 2})]
    assert flags_of(explain(several)) == ("untrusted=gradients", "untrusted=chance")


def test_among_many_tests_a_small_p_value_is_a_remark() -> None:
    one = Finding("held-out", "warn", "lower", p=0.004)
    others = [Finding("noise", "pass", "none", p=0.3 + i / 1000) for i in range(100)]
    assert conclude({("M", "D"): examined([one])})["M", "D"].findings == (one,)
    found = conclude({("M", "D"): examined([one, *others])})["M", "D"].findings[0]
    assert found.verdict == "remark"
    assert found.evidence == "lower; not significant among the 101 tests of the suite"
    large = replace(one, verdict="fail", p=1e-6)
    without = Finding("box", "fail", "outside")  # no test, so no correction
    kept = conclude({("M", "D"): examined([large, without, *others])})["M", "D"].findings
    assert kept[:2] == (large, without)


def honest_suite(dice: np.random.Generator, pairs: int, images: int) -> dict[Pair, Examined]:
    """Return findings of honest models: counts at the usual rate, and two equal accuracies."""
    suite = {}
    for number in range(pairs):
        findings = []
        for check in range(10):
            count = int(dice.binomial(images, 0.02))
            p = binomial_tail(count, images, 0.02)
            verdict = verdict_of(p, 1.0)
            findings.append(Finding(f"count {check}", verdict, "", p=p))
        for check in range(8):
            before = dice.random(images) < 0.5
            after = np.where(dice.random(images) < 0.2, dice.random(images) < 0.5, before)
            drop = float(before.mean() - after.mean())
            p = mcnemar(before, after) / 2 if drop > 0 else 1.0
            findings.append(Finding(f"pair {check}", verdict_of(p, drop), "", p=p))
        suite["M", str(number)] = examined(findings)
    return suite


def test_suites_of_honest_models_raise_a_doubt_in_at_most_5_of_100() -> None:
    dice = np.random.default_rng(0)
    suites = [honest_suite(dice, 12, 64) for _ in range(100)]
    raw = [any(flags_of(one.findings) for one in suite.values()) for suite in suites]
    told = [any(flags_of(one.findings) for one in conclude(suite).values()) for suite in suites]
    assert np.mean(raw) > 0.5  # uncorrected, most suites would carry a doubt
    assert np.mean(told) <= LEVEL


def test_checks_of_one_kind_are_checks_of_the_battery() -> None:
    assert {*OF_GRADIENTS, *OF_NUMBERS} <= CHECKS.keys()


def test_of_no_images_every_check_says_so() -> None:
    none = honest().first(0)
    found = list(examine(none, FAST))
    assert [one.check for one in found] == list(CHECKS)
    assert {(one.verdict, one.evidence) for one in found} == {("skip", "there are no images")}


def test_of_one_class_no_check_fails() -> None:
    some = honest()
    single = replace(
        some, model=lambda x: x.mean(dim=(1, 2, 3))[:, None], labels=torch.zeros_like(some.labels),
        others=(), held_out=None,
    )  # fmt: skip
    found = {one.check: one for one in examine(single, FAST)}
    assert not [one for one in found.values() if one.verdict in ("fail", "warn")]
    skipped = {name for name, one in found.items() if one.evidence == ONE_CLASS}
    assert {"gradients", "ascent", "huge-budget", "more-steps", "zero-budget"} <= skipped


def test_ascent_of_a_random_model_says_that_it_is_random() -> None:
    (found,) = examine(subject("dropout"), LIGHT, {"ascent": CHECKS["ascent"]})
    assert (found.verdict, found.evidence) == ("skip", "the model is random: see `stochastic`")


def test_where_all_images_have_one_class_chance_cannot_be_judged() -> None:
    some = honest()
    same = replace(some, labels=torch.zeros_like(some.labels))
    (found,) = examine(same, FAST, {"chance": CHECKS["chance"]})
    assert found.verdict == "skip"
    assert found.evidence == f"all {len(some.labels)} images have one class"
