"""What a suite may say of attacks: norms, libraries' names, ensembles, presets of papers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.attacks.native_attacks import ascent_of
from bench.commands.list import list_lines
from bench.commands.plan import plan_lines
from bench.core.errors import SuiteError
from bench.core.resolved_names import DatasetLock, Lock
from bench.plan.cells import expand
from bench.plan.identity import attack_identity
from bench.suite.load import Suite, load_suite
from bench.suite.specs import ATTACK_PRESETS, AnyAttack, Cw, Ensemble, Pgd, PyAutoAttack

Write = Callable[..., Path]
LOCK = Lock({"CLIP": "w"}, {"cifar10": DatasetLock("d", ("a",), ("x", "y"), ("a {c}",))})
ONE_MODEL = {"models": {"CLIP": {"kind": "nano", "weights": "clip"}}, "threats": ["white-box"]}
OF_CLASSES = [name for name in ATTACK_PRESETS if not name.startswith("robustvlm")]


def attacks(write: Write, *entries: dict[str, Any]) -> tuple[AnyAttack, ...]:
    return load_suite(write(attacks=list(entries))).attacks


def cell_ids(write: Write, attack: dict[str, Any], **changes: Any) -> set[str]:
    suite = load_suite(write(**{**ONE_MODEL, **changes}, attacks=[attack]))
    return {cell.id for cell in expand(suite, LOCK) if cell.attack}


@pytest.mark.parametrize(
    ("attack", "expected"),
    [
        ({"kind": "pgd", "norm": "l3"}, "attacks.0.norm: got 'l3'; allowed: 'linf' or 'l2'"),
        ({"kind": "pgd", "eps": 1.5}, "attacks.0.eps.0: got 1.5; a radius in [0,1] pixels"),
        (
            {"kind": "pgd", "norm": "l2", "eps": -1},
            "attacks.0.eps.0: got -1; a radius of at least 0 is needed, written like 0.5",
        ),
        (
            {"kind": "pgd", "restarts": 2, "random_start": False},
            "`restarts` above 1 need `random_start: true`",
        ),
        ({"kind": "pgd", "step": 2, "step_size": "1/255"}, "`step_size` replaces `step`"),
        ({"kind": "pgd", "halve": [1.5]}, "attacks.0.halve.0: got 1.5"),
        ({"kind": "noise", "draws": 0}, "attacks.0.draws: got 0"),
        (
            {"kind": "torchattacks", "attack": "MIFSGM"},
            "attacks.0.attack: got 'MIFSGM'; allowed at norm linf: FGSM, BIM, RFGSM, PGD,",
        ),
        (
            {"kind": "torchattacks", "attack": "PGDL2"},
            "attacks.0.attack: got 'PGDL2'; allowed at norm linf: FGSM",
        ),
        (
            {"kind": "torchattacks", "norm": "l2", "attack": "PGD"},
            "attacks.0.attack: got 'PGD'; allowed at norm l2: PGDL2, PGDRSL2, APGD, APGDT, FAB",
        ),
        (
            {"kind": "torchattacks", "attack": "AutoAttack"},
            "use {kind: pyautoattack, attack: standard}",
        ),
        (
            {"kind": "torchattacks", "attack": "MIFGSM", "args": {"eps": 1, "dekay": 1}},
            "attacks.0.args: got {'eps': 1, 'dekay': 1}; MIFGSM has no dekay, eps; allowed: alpha",
        ),
        (
            {"kind": "pyautoattack", "attack": "apgd"},
            "attacks.0.attack: got 'apgd'; allowed: standard, rand, apgd-ce, apgd-dlr, apgd-t",
        ),
        ({"kind": "pyautoattack", "attack": ["square", "square"]}, "or a list of the last 6"),
        (
            {"kind": "pyautoattack", "attack": "standard", "steps": 10},
            "standard fixes steps; to choose them, list the attacks",
        ),
        ({"kind": "ensemble", "attacks": []}, "attacks.0.attacks: is empty"),
        (
            {"kind": "ensemble", "attacks": [{"kind": "pgd"}, {"kind": "cw", "stepz": 3}]},
            "attacks.0.attacks.1.stepz: unknown key",
        ),
        (
            {"kind": "ensemble", "attacks": [{"kind": "ensemble", "attacks": []}]},
            "attacks.0.attacks.0.kind: got 'ensemble'; allowed: 'fgsm', 'pgd'",
        ),
        (
            {"kind": "ensemble", "eot": 2, "attacks": [{"kind": "pgd", "eot": 3}]},
            "set `eot` on the ensemble or on members, not on both",
        ),
        (
            {"kind": "ensemble", "eot": "model", "nested": True, "attacks": [{"kind": "pgd"}]},
            "with `eot`, `nested` and `confirm` are not possible",
        ),
        (
            {"kind": "apgd-ce", "source": "base", "backward": {"without": "defence"}},
            "use one of the keys `backward` and `source`",
        ),
        (
            {"kind": "ensemble", "attacks": [{"kind": "pgd", "eps": "1/255"}]},
            "members take `eps` and `norm` from the ensemble",
        ),
        (
            {"preset": "fare"},
            "attacks.0.preset: got 'fare'; allowed: fare-paper, clipure-paper, leaf-paper, "
            "ttc-paper, tga-paper, r-tpt-paper, radapt-paper, robustvlm-coco, "
            "robustvlm-flickr30k, robustvlm-vqa, robustvlm-textvqa, standard, adaptive",
        ),
        (
            {"preset": "fare-paper", "steps": 3},
            "attacks.0.steps: the preset fixes it; allowed keys: preset, eps, norm",
        ),
        ({"preset": "radapt-paper", "eps": 7}, "attacks.0.eps.0: got 7; a radius"),
    ],
)
def test_fault(suite_file: Write, attack: dict[str, Any], expected: str) -> None:
    path = suite_file(attacks=[{"eps": "2/255", **attack}])
    with pytest.raises(SuiteError) as caught:
        load_suite(path)
    assert expected in str(caught.value)
    assert len(caught.value.faults) == 1


def test_faults_behind_a_preset_name_their_place_in_the_file(suite_file: Write) -> None:
    path = suite_file(
        attacks=[{"preset": "radapt-paper", "eps": "2/255"}, {"kind": "pgd", "eps": 9}]
    )
    with pytest.raises(SuiteError, match=r"1 fault\n  attacks\.1\.eps\.0: got 9"):
        load_suite(path)


def test_l2_radii_may_exceed_one(suite_file: Write) -> None:
    (attack,) = attacks(suite_file, {"kind": "pgd", "norm": "l2", "eps": [0.5, "3", "128/255"]})
    columns = [attack.column(eps) for eps in attack.eps]
    assert columns == ["pgd-l2@0.5", "pgd-l2@3", "pgd-l2@128/255"]


def test_attacks_of_pyautoattack_are_named_by_the_attack(suite_file: Write) -> None:
    """Several need no names, also beside attacks of this project with the same name."""
    given = [{"attack": "square"}, {"attack": ["fab-t"]}, {}, {"attack": "standard"}]
    attacks = [{"kind": "pyautoattack", "eps": "2/255", **each} for each in given]
    path = suite_file(attacks=[{"kind": "apgd-ce", "eps": "2/255"}, *attacks])
    assert [attack.label for attack in load_suite(path).attacks] == [
        "apgd-ce", "square", "fab-t", "pyautoattack-apgd-ce", "pyautoattack",
    ]  # fmt: skip
    with pytest.raises(SuiteError, match="attacks: 'square' appears 2 times"):
        load_suite(suite_file(attacks=[attacks[0], {**attacks[0], "attack": ["square"]}]))


def test_one_attack_in_two_norms_needs_no_names(suite_file: Write) -> None:
    pgd = {"kind": "pgd", "eps": 0.5}
    assert len(attacks(suite_file, pgd, {**pgd, "norm": "l2"})) == 2
    with pytest.raises(SuiteError, match="'pgd-l2' appears 2 times; give each its own `name`"):
        attacks(suite_file, {**pgd, "norm": "l2"}, {**pgd, "norm": "l2", "steps": 3})


def test_presets_are_what_the_papers_did(suite_file: Write) -> None:
    eps = ["2/255", "4/255"]
    found = attacks(suite_file, *({"preset": name, "eps": eps} for name in OF_CLASSES))
    assert [attack.label for attack in found] == [
        "fare-paper", "clipure-paper", "leaf-paper", "TTC-PGD-10", "TTC-C&W-10", "TTC-AutoAttack",
        "PGD-100", "PGD-7", "PGD-10", "C&W-30", "APGD-30", "standard", "adaptive"
    ]  # fmt: skip
    assert all(attack.eps == tuple(eps) for attack in found)
    fare, clipure, leaf, *_ = found
    pgd, cw, apgd, standard, *_ = found[8:]
    assert isinstance(fare, Ensemble)
    assert [member.model_dump(exclude_defaults=True) for member in fare.attacks] == [
        {"kind": "apgd-ce", "eps": tuple(eps), "restarts": 5},
        {"kind": "apgd-t", "eps": tuple(eps)},
    ]
    assert fare.gradients == 5 * 100 + 9 * 100
    assert attack_identity(clipure) == attack_identity(leaf) == attack_identity(fare)
    assert (pgd.gradients, cw.gradients, apgd.gradients) == (10, 30, 30)
    assert isinstance(apgd, Pgd)
    assert apgd.step / apgd.steps == 2  # of eps
    assert isinstance(standard, PyAutoAttack)
    assert standard.members == ("apgd-ce", "apgd-t", "fab-t", "square")
    assert standard.gradients == (1 + 9 + 9) * 100


def test_presets_of_test_time_defences_have_the_steps_of_the_authors_code(
    suite_file: Write,
) -> None:
    of_ttc = {"preset": "ttc-paper", "eps": ["1/255", "4/255"]}
    pgd, cw, auto = attacks(suite_file, of_ttc)
    assert isinstance(pgd, Pgd) and isinstance(cw, Cw) and isinstance(auto, Ensemble)
    assert [ascent_of(attack).length for attack in (pgd, cw)] == [1 / 255, 1 / 255]
    assert (pgd.steps, cw.steps, cw.kappa, pgd.random_start) == (10, 10, 50, True)
    members = [(member.kind, member.gradients) for member in auto.attacks]
    assert members == [("apgd-ce", 100), ("apgd-dlr", 100)]  # one restart each
    tga, r_tpt = attacks(
        suite_file,
        {"preset": "tga-paper", "eps": "1/255"},
        {"preset": "r-tpt-paper", "eps": "1/255"},
    )
    assert isinstance(tga, Pgd) and isinstance(r_tpt, Pgd)
    assert (tga.steps, tga.step_size, r_tpt.steps) == (100, "1/255", 7)
    assert r_tpt.step / r_tpt.steps == 1 / 4  # of eps


def test_the_adaptive_preset_takes_gradients_in_all_ways_and_transfers(suite_file: Write) -> None:
    (found,) = attacks(suite_file, {"preset": "adaptive", "eps": "4/255"})
    assert isinstance(found, Ensemble) and found.eot == "model"
    *gradients, square = found.attacks
    assert [member.model_dump(exclude_defaults=True) for member in gradients] == [
        {"kind": "apgd-ce", "eps": ("4/255",), "name": name, **how}
        for name, how in (
            ("own", {}),
            ("identity", {"backward": {"without": ("unrolling",)}}),
            ("base", {"backward": {"without": ("defence",)}}),
            ("transfer", {"source": "base"}),
        )
    ]
    assert isinstance(square, PyAutoAttack) and square.members == ("square",)


def test_an_ensemble_averages_as_many_passes_as_a_random_model_needs(suite_file: Write) -> None:
    models = {
        "CLIP": {"kind": "nano", "weights": "clip"},
        "pad": {"kind": "resize-pad", "base": "CLIP"},
        "jpeg": {"kind": "jpeg", "base": "pad"},
        "views": {"kind": "agc", "base": "CLIP", "views": 3},
        "stated": {"kind": "ttc", "base": "CLIP", "eot": 5},
    }

    def passes(attack: dict[str, Any]) -> dict[str, list[int]]:
        path = suite_file(models=models, attacks=[attack], threats=["white-box"])
        cells = [cell for cell in expand(load_suite(path), Lock()) if cell.attack]
        return {
            cell.target: [each.eot for each in (cell.attack, *cell.attack.attacks)]  # type: ignore
            for cell in cells
        }

    assert passes({"preset": "adaptive", "eps": "4/255"}) == {
        "CLIP": [1] * 6,
        "pad": [8, 8, 8, 8, 1, 8],  # images of `transfer` are made on CLIP
        "jpeg": [8] * 6,
        "views": [3, 3, 3, 3, 1, 3],  # 3 passes of 3 views
        "stated": [5, 5, 5, 5, 1, 5],
    }
    stated = {"kind": "ensemble", "eps": "4/255", "eot": 4, "attacks": [{"kind": "pgd"}]}
    assert set(map(tuple, passes(stated).values())) == {(4, 4)}


def test_identity_of_attacks(suite_file: Write) -> None:
    pgd = {"kind": "pgd", "eps": 0.5}
    base = cell_ids(suite_file, pgd)
    assert base == cell_ids(suite_file, {**pgd, "norm": "linf", "restarts": 1, "eot": 1})
    for change in ({"norm": "l2"}, {"restarts": 2}, {"eot": 2}, {"momentum": 1}, {"keep": "best"}):
        assert not base & cell_ids(suite_file, {**pgd, **change})
    both: dict[str, Any] = {"kind": "ensemble", "eps": 0.5, "attacks": [{"kind": "apgd-ce"}]}
    named = {**both, "name": "x", "attacks": [{"kind": "apgd-ce", "name": "y"}]}
    assert cell_ids(suite_file, both) == cell_ids(suite_file, named)
    assert cell_ids(suite_file, both) == cell_ids(suite_file, {**both, "eps": "1/2"})
    longer = {**both, "attacks": [{"kind": "apgd-ce", "steps": 7}]}
    assert not cell_ids(suite_file, both) & cell_ids(suite_file, longer)


def test_storage_is_part_of_what_is_attacked_alone(suite_file: Write) -> None:
    def ids(**storage: str) -> dict[bool, set[str]]:
        protocol = {"preset": "radapt-paper", "pixels": "native", **storage}
        suite = load_suite(suite_file(protocol=protocol))
        cells = expand(suite, LOCK)
        return {flag: {c.id for c in cells if bool(c.attack) == flag} for flag in (True, False)}

    base, cut, rounded = ids(), ids(storage="uint8-truncate"), ids(storage="uint8-round")
    assert base == ids(storage="float16")
    assert base[False] == cut[False] == rounded[False]
    assert not base[True] & cut[True] and not cut[True] & rounded[True]


def test_a_suite_survives_a_round_trip(suite_file: Write) -> None:
    entries = [{"preset": name, "eps": 0.5, "norm": "l2"} for name in OF_CLASSES]
    suite = load_suite(suite_file(attacks=entries))
    assert Suite.model_validate(suite.model_dump()) == suite


def test_what_is_offered_is_listed(suite_file: Write) -> None:
    text = "\n".join(list_lines())
    assert "{preset: fare-paper, eps: ...}: ensemble name fare-paper (apgd-ce restarts 5)" in text
    for kind in ("fgsm", "mi-fgsm", "apgd-dlr", "apgd-t", "noise", "ensemble"):
        assert f"\n  {kind}" in text
    plan = "\n".join(
        plan_lines(load_suite(suite_file(attacks=[{"kind": "noise", "eps": 0}])), LOCK)
    )
    assert "attacking 0 images x steps" in plan
