"""The battery on test-time defences: gradients, draws, cost, and knowledge of the defence."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench.attacks.query_counter import QueryCounter
from bench.core.types import Budget, CellResult
from bench.evaluate.model_cache import ModelCache
from bench.models.batch_size import Batch
from bench.plan.cells import expand
from bench.plan.resolve import resolve
from bench.suite.load import load_suite
from bench.trust.battery import CHECKS, examine
from bench.trust.conclusions import explain
from bench.trust.examine import parts_of_defence
from bench.trust.findings import Finding
from bench.trust.reported_number import Reported, reported_numbers
from bench.trust.subject import Subject
from tests.trust.embedded import data
from tests.trust.gallery import LIGHT, subject
from tests.trust.gallery_defences import defended, parts_of, spec_of

Write = Callable[..., Path]
OF_DEFENCES = ("stochastic", "cost", "non-adaptive", "no-effect", "cut-gradient", "draws")
USED = frozenset({"unrolling", "defence"})  # by the preset `adaptive`
FEW = 8


def attacked(surrogates: frozenset[str] = frozenset(), eot: int = 1, **entry: Any) -> Subject:
    """Return a defence over the embedded CLIP, of which the reported attack broke all images."""
    images, labels, _, _ = data()
    spec = spec_of(**entry)
    reported = Reported(np.zeros(FEW, np.bool_), "apgd-ce", 5, eot, surrogates=surrogates)
    return Subject(
        defended(spec), images[:FEW], labels[:FEW], Budget(4 / 255), tuple(range(FEW)), reported,
        Batch(64), defence=parts_of(spec),
    )  # fmt: skip


def found(subject: Subject, *names: str) -> dict[str, Finding]:
    chosen = {name: CHECKS[name] for name in names or OF_DEFENCES}
    return {each.check: each for each in explain(list(examine(subject, LIGHT, chosen)))}


@pytest.mark.parametrize(
    ("entry", "eot", "used"),
    [
        ({"kind": "gaussian-blur"}, 1, frozenset()),
        ({"kind": "csr", "steps": 1}, 1, frozenset()),
        ({"kind": "ttc"}, 8, USED),
    ],
)
def test_a_working_defence_that_is_attacked_well_raises_no_doubt(
    entry: dict[str, Any], eot: int, used: frozenset[str]
) -> None:
    findings = found(attacked(used, eot, **entry))
    assert not [each for each in findings.values() if each.verdict in ("warn", "fail")]
    cost = findings["cost"].numbers["passes"]
    assert findings["cost"].verdict == ("pass" if cost == 1 else "remark")


def test_the_measured_cost_is_the_declared_cost() -> None:
    for entry in (
        *({"kind": kind} for kind in ("median-blur", "bit-depth", "resize-pad", "clipure-cos")),
        *({"kind": "ttc", "steps": 3}, {"kind": "anti-adversary"}, {"kind": "csr", "steps": 1}),
        *({"kind": "tte", "crops": 1}, {"kind": "agc", "views": 3}),
        {"kind": "r-tpt", "views": 4, "selected": 0.5, "neighbours": 2},
    ):
        measured = found(attacked(**entry), "cost")["cost"]
        assert measured.numbers["passes"] == spec_of(**entry).forwards, entry


def test_the_cut_gradient_of_clipure_is_named_with_the_remedy() -> None:
    purified = subject("CLIPure-Cos")
    cut = found(purified, "cut-gradient")["cut-gradient"]
    assert cut.verdict == "fail"
    assert "through clipure-cos (identity)" in cut.evidence
    assert "a thousandth of the norm" in cut.evidence
    used = replace(purified.reported, surrogates=frozenset({"defence"}))
    assert purified.defence is not None
    known = replace(purified.defence, others={"base": purified.defence.others["base"]})
    assert (
        found(replace(purified, reported=used, defence=known), "cut-gradient")[
            "cut-gradient"
        ].verdict
        == "pass"
    )  # the reported attack has used the only other gradient


def test_a_gradient_of_another_model_counts_as_used_if_it_is_the_base() -> None:
    blur = attacked(kind="jpeg", surrogates=frozenset({"clip"}))
    assert "uses every gradient" in found(blur, "cut-gradient")["cut-gradient"].evidence


def test_a_defence_that_changes_nothing_fails_and_one_that_changes_little_warns() -> None:
    nothing = attacked(kind="noise-smoothing", sigma=0.0, draws=1)
    assert found(nothing, "no-effect")["no-effect"].verdict == "fail"
    few = attacked(kind="clipure-cos")  # turned over for the few images far from the prompt
    told = found(few, "no-effect")["no-effect"]
    assert told.verdict == "warn"
    assert FEW / 2 < told.numbers["attacked"] < FEW
    assert "behind clipure-cos" in told.evidence


def test_one_draw_is_enough_if_more_leave_the_number() -> None:
    random = Finding("stochastic", "fail", "two passes differ")
    kept = Finding("draws", "pass", "same", {"stood": 10, "alone": 9, "images": 20})
    assert [each.verdict for each in explain([random, kept])] == ["remark", "pass"]
    lower = replace(kept, numbers={"stood": 10, "alone": 8, "images": 20})
    assert explain([random, lower])[0].verdict == "fail"
    assert explain([random, replace(kept, verdict="skip", numbers={})])[0].verdict == "fail"


def test_a_transfer_number_that_a_white_box_attack_leaves_needs_no_knowledge() -> None:
    unaware = Finding("non-adaptive", "warn", "made without knowledge")
    kept = Finding("transferred", "pass", "same", {"transferred": 0.5, "white_box": 0.47})
    assert [each.verdict for each in explain([unaware, kept])] == ["remark", "pass"]
    lower = replace(kept, numbers={"transferred": 0.5, "white_box": 0.4})
    assert explain([unaware, lower])[0].verdict == "warn"
    for better in ("cut-gradient", "square"):
        other = Finding(better, "warn", "a better attack exists")
        assert explain([unaware, kept, other])[0].verdict == "warn"


def test_the_parts_of_a_suites_defence(suite_file: Write) -> None:
    suite = load_suite(
        suite_file(
            models={
                "CLIP": {"kind": "nano", "weights": "clip"},
                "TTC": {"kind": "ttc", "base": "CLIP", "gradient": "identity"},
                "twice": {"kind": "median-blur", "base": "TTC"},
            },
            attacks=[{"preset": "adaptive", "eps": "4/255"}], samples=4, threats=["white-box"],
        )
    )  # fmt: skip
    lock, _ = resolve(suite)
    cache = ModelCache(suite, lock, {}, torch.device("cpu"), 8, False)
    name = suite.datasets[0].name
    assert parts_of_defence(cache, ("CLIP", name)) is None
    inner = parts_of_defence(cache, ("TTC", name))
    twice = parts_of_defence(cache, ("twice", name))
    assert inner is not None and twice is not None
    assert (inner.base_name, inner.gradient, [*inner.others]) == ("CLIP", "identity", ["base"])
    assert (twice.base_name, twice.random, [*twice.others]) == ("TTC", True, ["identity", "base"])
    assert twice.tower is inner.tower
    images = cache.images(name).floats(torch.arange(2))
    assert isinstance(inner.base, QueryCounter)
    assert torch.equal(inner.base(images), cache.classifier("CLIP", name)(images))


@pytest.mark.parametrize(
    ("attack", "used"),
    [
        ({"preset": "adaptive"}, USED),
        ({"kind": "apgd-ce", "backward": {"model": "FARE"}}, {"FARE"}),
        ({"kind": "pgd", "source": "base"}, {"defence"}),
        ({"kind": "pgd"}, set()),
    ],
)
def test_the_gradients_that_a_number_has_used_are_known(
    suite_file: Write, attack: dict[str, Any], used: set[str]
) -> None:
    suite = load_suite(suite_file(attacks=[{**attack, "eps": "1/255"}], threats=["white-box"]))
    result = CellResult("", "ok", np.ones(4, np.bool_), (), np.zeros(4, np.float32), 1.0, 4, {})
    numbers = reported_numbers((cell, result) for cell in expand(suite, resolve(suite)[0]))
    assert numbers["CLIP", "cifar10"].reported.surrogates == used
