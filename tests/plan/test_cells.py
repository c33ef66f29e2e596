import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.core.errors import SuiteError
from bench.core.resolved_names import DatasetLock, Lock
from bench.plan.cells import expand
from bench.plan.identity import spec_digests
from bench.results import manifest
from bench.suite.load import Suite, load_suite

LOCK = Lock(
    models={"CLIP": "w1", "FARE": "w2", "R-Adapt_CLIP": "white"},
    datasets={"cifar10": DatasetLock("d1", ("a", "b"), ("x", "y"), ("a {c}",))},
)


def ids(suite: Suite, lock: Lock = LOCK) -> list[str]:
    return [cell.id for cell in expand(suite, lock)]


def test_cells_and_crafts(small: Suite) -> None:
    cells = expand(small, LOCK)
    assert len(cells) == 3 * (1 + 3 * 2)
    assert len({cell.id for cell in cells}) == len(cells)
    transfer = [cell for cell in cells if cell.threat and cell.threat.source]
    assert len({cell.craft_id for cell in transfer}) == 3  # one per budget, whatever the target
    assert {cell.mode for cell in transfer} == {"full"}
    white = [cell for cell in cells if cell.threat and not cell.threat.source]
    assert {cell.mode for cell in white} == {"success"}
    # the same source, attack and budget, but an early-stopped craft: never shared
    assert not {cell.craft_id for cell in white} & {cell.craft_id for cell in transfer}


def test_sources_run_before_their_targets(suite_file: Callable[..., Path]) -> None:
    suite = load_suite(suite_file(threats=[{"transfer": "FARE"}]))
    assert expand(suite, LOCK)[0].target == "FARE"


def test_identity_ignores_what_changes_no_answer(small: Suite) -> None:
    raw = small.model_dump()
    models = copy.deepcopy(raw["models"])
    renamed = {("CLIP 2" if name == "CLIP" else name): spec for name, spec in models.items()}
    renamed["R-Adapt_CLIP"]["base"] = renamed["R-Adapt_CLIP"]["anchor"]["white"] = "CLIP 2"
    threats = ["white-box", {"transfer": "CLIP 2"}]
    other = Suite.model_validate({**raw, "suite": "other", "models": renamed, "threats": threats})
    lock = Lock({**LOCK.models, "CLIP 2": "w1"}, LOCK.datasets)
    assert ids(other, lock) == ids(small)
    attacks = [{**attack, "name": "x" + attack["kind"]} for attack in raw["attacks"]]
    raw["threats"] = ["white-box"]
    assert ids(Suite.model_validate({**raw, "attacks": attacks})) == ids(Suite.model_validate(raw))


def test_the_share_of_an_accelerator_is_in_no_identity(suite_file: Callable[..., Path]) -> None:
    models = {
        "CLIP": {"kind": "nano", "weights": "clip"},
        "B": {"kind": "open_clip", "name": "ViT-B-32", "pretrained": "openai.pt"},
        "H": {"kind": "hugging_face", "name": "openai/clip"},
        "R": {
            **{"kind": "radapt", "base": "B", "anchor": {"white": "B"}},
            **{"alpha": 0.5, "cutoff": 40},
        },
        "G": {"kind": "graft", "base": "B", "donor": "H", "modules": "B1"},
        "Mine": {"kind": "python", "target": "mine:build"},
    }
    shared = {name: {**spec, "gpus": 0.25} for name, spec in models.items()}
    whole, part = load_suite(suite_file(models=models)), load_suite(suite_file(models=shared))
    assert [spec.gpus for spec in whole.models.values()] == [1.0] * 6
    assert [spec.gpus for spec in part.models.values()] == [0.25] * 6
    assert ids(whole) == ids(part)
    assert spec_digests(whole) == spec_digests(part)
    for name in models:
        assert manifest.weights(whole, LOCK, name) == manifest.weights(part, LOCK, name)


@pytest.mark.parametrize("share", [0, -0.5, 1.5, "half"])
def test_a_share_of_an_accelerator_is_above_0_and_at_most_1(
    suite_file: Callable[..., Path], share: object
) -> None:
    models = {"CLIP": {"kind": "nano", "weights": "clip", "gpus": share}}
    with pytest.raises(SuiteError, match=r"models\.CLIP\.gpus: got"):
        load_suite(suite_file(models=models, threats=["white-box"]))


def test_identity_sees_what_changes_an_answer(suite_file: Callable[..., Path]) -> None:
    base = set(ids(load_suite(suite_file())))

    def unchanged(lock: Lock = LOCK, **changes: Any) -> int:
        return len(base & set(ids(load_suite(suite_file(**changes)), lock)))

    prompts = {"preset": "radapt-paper", "pixels": "native", "templates": ["a {c}"]}
    assert unchanged(protocol=prompts) == 0
    assert unchanged(Lock(LOCK.models, {"cifar10": DatasetLock("d2", ("a", "b"))})) == 0
    clean = 3  # the clean cells know no attack
    assert unchanged(seed=7) == clean
    steps = [{"kind": "pgd", "eps": ["1/255", "2/255"], "steps": 4}]
    assert unchanged(attacks=steps) == clean
    weights = Lock({**LOCK.models, "FARE": "other"}, LOCK.datasets)
    assert unchanged(weights) == 14  # all of CLIP and of R-Adapt over CLIP
    weights = Lock({**LOCK.models, "CLIP": "other"}, LOCK.datasets)
    assert unchanged(weights) == 4  # FARE: clean and white-box; transfer comes from CLIP


def test_a_graft_is_its_base_its_donor_and_its_modules(suite_file: Callable[..., Path]) -> None:
    def graft_ids(lock: Lock, **changes: Any) -> set[str]:
        graft = {"kind": "graft", "base": "CLIP", "donor": "FARE", "modules": "B1", **changes}
        models = {key: {"kind": "nano", "weights": key.lower()} for key in ("CLIP", "FARE")}
        suite = load_suite(suite_file(models={**models, "G": graft}))
        return {cell.id for cell in expand(suite, lock) if cell.target == "G"}

    base = graft_ids(LOCK)
    assert base == graft_ids(LOCK, modules=["B1"])
    for weights in ({"CLIP": "other", "FARE": "w2"}, {"CLIP": "w1", "FARE": "other"}):
        assert not base & graft_ids(Lock(weights, LOCK.datasets))
    assert not base & graft_ids(LOCK, modules=["B1", "B2"])
    assert not base & graft_ids(LOCK, base="FARE", donor="CLIP")


def test_unresolved_names_stay_apart(suite_file: Callable[..., Path]) -> None:
    suite = load_suite(suite_file(datasets=["cifar10", "digits"]))
    found = ids(suite, Lock())
    assert len(set(found)) == len(found)


def test_one_seed_in_a_list_is_that_seed(suite_file: Callable[..., Path]) -> None:
    alone = ids(load_suite(suite_file(seed=3)))
    assert ids(load_suite(suite_file(seed=3, seeds=[3]))) == alone
    # the subset's seed is not the attacks': images are in a cell's identity, by their ids
    assert ids(load_suite(suite_file(seed=5, seeds=[3]))) == alone


def test_each_attack_runs_with_each_seed(suite_file: Callable[..., Path]) -> None:
    one = {cell.id for cell in expand(load_suite(suite_file(seeds=[0])), LOCK)}
    cells = expand(load_suite(suite_file(seeds=[0, 1, 2])), LOCK)
    assert len({cell.id for cell in cells}) == len(cells) == 3 * (1 + 3 * 3 * 2)
    assert one == {cell.id for cell in cells if cell.attack is None or cell.seed == 0}
    assert {cell.seed for cell in cells} == {0, 1, 2}


def test_nested_budgets_go_with_their_own_seed(suite_file: Callable[..., Path]) -> None:
    attack = {"kind": "pgd", "eps": ["1/255", "2/255"], "nested": True}
    suite = load_suite(suite_file(attacks=[attack], threats=["white-box"], seeds=[4, 5]))
    nested = [cell for cell in expand(suite, LOCK) if cell.eps == "2/255"]
    assert all(cell.below and cell.below.seed == cell.seed for cell in nested)
    assert len(nested) == 6
