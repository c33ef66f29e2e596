"""Adapters against direct calls of their libraries: equal to the last bit."""

import inspect
import logging
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.attacks import build_attack
from bench.attacks.balls import length, project
from bench.attacks.pyautoattack_adapter import library_warnings
from bench.catalogue.torchattacks_list import TORCHATTACKS
from bench.core.types import Budget, Mode, Norm
from bench.suite.specs import PyAutoAttack, TorchAttacks
from tests.conftest import LinearModel, grey_images

EPS = ("0",)
COUNT = 20
NORMS: dict[Norm, str] = {"linf": "Linf", "l2": "L2"}
BOTH_NORMS = pytest.mark.parametrize("norm", ["linf", "l2"])
# many steps cost time and prove nothing more
FEW = {"PGDRS": {"noise_batch_size": 1}, "PGDRSL2": {"noise_batch_size": 1}} | {
    "Square": {"n_queries": 50},
    "FAB": {"n_classes": 4},
    "APGDT": {"n_classes": 4},
}


class Module(torch.nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, images: Tensor) -> Tensor:
        return self.function(images)


@pytest.fixture
def four() -> LinearModel:
    return LinearModel(classes=4)


def official(attack: Any = "apgd-ce", **settings: Any) -> PyAutoAttack:
    fields = {"steps": 20, "targets": 3, "queries": 50, **settings}
    return PyAutoAttack(kind="pyautoattack", eps=EPS, attack=attack, **fields)


def setting(model: LinearModel, norm: Norm = "linf") -> tuple[Tensor, Tensor, Budget]:
    images = grey_images(COUNT)
    eps = float(model.smallest_eps(images, norm).median())
    return images, model(images).argmax(dim=1), Budget(eps, norm)


def through(
    spec: PyAutoAttack | TorchAttacks, model: LinearModel, norm: Norm, mode: Mode = "success"
) -> Tensor:
    images, labels, budget = setting(model, norm)
    attack = build_attack(spec, batch=7)
    return attack(model, images, labels, budget, mode=mode, seeds=range(100, 100 + COUNT))


@BOTH_NORMS
@pytest.mark.parametrize("attack", ["apgd-ce", "apgd-dlr", "apgd-t", "fab", "fab-t", "square"])
def test_each_official_attack_equals_a_direct_call(
    four: LinearModel, attack: str, norm: Norm
) -> None:
    """Chunks of 13: two calls, each seeded from its first image."""
    from pyautoattack.autopgd_base import APGDAttack, APGDAttack_targeted
    from pyautoattack.fab_pt import FABAttack_PT
    from pyautoattack.square import SquareAttack

    images, labels, budget = setting(four, norm)
    found = through(official(attack, chunk=13), four, norm)
    parts = []
    with torch.random.fork_rng():
        for seed, part in ((100, slice(0, 13)), (113, slice(13, COUNT))):
            common = {"norm": NORMS[norm], "eps": budget.eps, "seed": seed, "device": "cpu"}
            direct = {
                "apgd-ce": lambda c=common: APGDAttack(Module(four), n_iter=20, loss="ce", **c),
                "apgd-dlr": lambda c=common: APGDAttack(Module(four), n_iter=20, loss="dlr", **c),
                "apgd-t": lambda c=common: APGDAttack_targeted(
                    Module(four), n_iter=20, n_target_classes=3, **c
                ),
                "fab": lambda c=common: FABAttack_PT(Module(four), n_iter=20, **c),
                "fab-t": lambda c=common: FABAttack_PT(
                    Module(four), n_iter=20, targeted=True, n_target_classes=3, **c
                ),
                "square": lambda c=common: SquareAttack(
                    Module(four), n_queries=50, resc_schedule=False, **c
                ),
            }[attack]()
            parts.append(direct.perturb(images[part], labels[part]))
    expected = torch.cat(parts).detach()
    broken = four(expected).argmax(dim=1) != labels
    assert torch.equal(found, torch.where(broken[:, None, None, None], expected, images))
    assert bool(broken.any()) or attack == "square"


@pytest.mark.parametrize(("version", "norm"), [("standard", "linf"), ("rand", "l2")])
def test_versions_equal_a_direct_call(version: str, norm: Norm) -> None:
    from pyautoattack import AutoAttack

    model = LinearModel(classes=11)  # room for nine targets
    images, labels, budget = setting(model, norm)
    spec = PyAutoAttack(kind="pyautoattack", eps=EPS, attack=version)
    with library_warnings():
        found = through(spec.model_copy(update={"queries": 50}), model, norm)
        with torch.random.fork_rng():
            direct = AutoAttack(
                Module(model), version=version, norm=NORMS[norm], eps=budget.eps, seed=100
            )
            direct.square.n_queries = 50
            expected, _ = direct.run_standard_evaluation(images, labels, batch_size=100)
    assert torch.equal(found, expected)


def test_a_list_runs_as_custom_with_the_given_restarts(four: LinearModel) -> None:
    from pyautoattack import AutoAttack

    images, labels, budget = setting(four)
    names = ["apgd-ce", "apgd-t"]
    found = through(official(names, steps=100, restarts=5), four, "linf")
    with torch.random.fork_rng():
        direct = AutoAttack(Module(four), attacks=names, version="custom", eps=budget.eps, seed=100)
        direct.apgd_targeted.n_target_classes = 3  # restarts are 5 of themselves
        expected, _ = direct.run_standard_evaluation(images, labels, batch_size=100)
    assert torch.equal(found, expected)


def test_steps_set_the_schedule_too(four: LinearModel) -> None:
    """Checkpoints follow from the steps that the library's object was made with."""
    from bench.attacks.pyautoattack_adapter import _ChunkAttacks

    attacks = _ChunkAttacks(official(steps=30), Module(four), Budget(0.1), 0, torch.device("cpu"))
    assert (attacks._apgd("ce").n_iter_2, attacks._apgd_targeted().n_iter_2) == (6, 6)


@BOTH_NORMS
@pytest.mark.parametrize(
    "attack", ["apgd-ce", "apgd-dlr", "apgd-t", "square", ("apgd-ce", "square")]
)
def test_a_full_official_craft_returns_no_clean_images(
    four: LinearModel, attack: Any, norm: Norm
) -> None:
    images, labels, budget = setting(four, norm)
    small = Budget(budget.eps / 1000, norm)
    attack = build_attack(official(attack), batch=7)
    found = attack(four, images, labels, small, mode="full", seeds=range(COUNT))
    reach = length(project(found, images, small) - images, norm)
    assert bool((reach > 0.5 * small.eps).all())


def test_full_takes_the_librarys_best_loss(four: LinearModel) -> None:
    from pyautoattack.autopgd_base import APGDAttack

    images, labels, budget = setting(four)
    found = through(official(restarts=2), four, "linf", "full")
    with torch.random.fork_rng():
        torch.manual_seed(100)
        direct = APGDAttack(
            Module(four), n_iter=20, n_restarts=2, eps=budget.eps, seed=100, device="cpu"
        )
        assert torch.equal(found, direct.perturb(images, labels, best_loss=True))


def test_square_goes_on_past_the_sources_boundary_when_full(four: LinearModel) -> None:
    images, labels, budget = setting(four)
    wide = Budget(20 * budget.eps)

    def margins(mode: Mode) -> Tensor:
        attack = build_attack(official("square", queries=200), batch=7)
        found = attack(four, images, labels, wide, mode=mode, seeds=range(COUNT))
        logits = four(found)
        return logits.gather(1, 1 - labels[:, None]) - logits.gather(1, labels[:, None])

    stopped, full = margins("success"), margins("full")
    assert bool((stopped > 0).all())
    assert float(full.mean()) > 3 * float(stopped.mean())


@pytest.mark.parametrize("mode", ["success", "full"])
@pytest.mark.parametrize("name", TORCHATTACKS)
def test_each_attack_of_torchattacks_equals_a_direct_call(
    four: LinearModel, name: str, mode: Mode
) -> None:
    import torchattacks

    offer = TORCHATTACKS[name]
    for norm in offer.norms:
        args: dict[str, Any] = {"steps": 3} if "steps" in offer.args else {}
        args |= FEW.get(name, {})
        spec = TorchAttacks(kind="torchattacks", norm=norm, eps=EPS, attack=name, args=args)
        images, labels, budget = setting(four, norm)
        found = through(spec, four, norm, mode)
        with torch.random.fork_rng():
            torch.manual_seed(100)
            own = {"norm": NORMS[norm]} if len(offer.norms) > 1 else {}
            own |= {"seed": 100} if "seed" in signature(name) else {}
            direct = getattr(torchattacks, name)(Module(four).eval(), eps=budget.eps, **own, **args)
            direct.set_device("cpu")
            expected = direct(images, labels)
        assert torch.equal(found, expected)
        moved = (project(found, images, budget) - images).flatten(1).any(dim=1)
        assert not offer.attacks_all or bool(moved.all())


def signature(name: str) -> set[str]:
    import torchattacks

    return set(inspect.signature(getattr(torchattacks, name).__init__).parameters)


def test_the_table_of_torchattacks_is_the_librarys() -> None:
    import torchattacks

    ours_to_give = {"self", "model", "eps", "norm", "seed", "verbose"}
    for name, offer in TORCHATTACKS.items():
        assert set(offer.args) == signature(name) - ours_to_give, name
        assert len(offer.norms) == 1 or "norm" in signature(name), name
    with_eps = {name for name in torchattacks.__all__ if "eps" in signature(name)}
    assert with_eps - {"AutoAttack"} == set(TORCHATTACKS)


def test_nothing_is_printed(four: LinearModel, capsys: pytest.CaptureFixture[str]) -> None:
    spec = TorchAttacks(kind="torchattacks", eps=EPS, args={"steps": 1})
    through(spec, four, "linf")
    with library_warnings():
        through(official(["apgd-ce", "square"]), four, "linf")
    assert capsys.readouterr() == ("", "")


def test_the_global_stream_is_left_alone(four: LinearModel) -> None:
    state = torch.random.get_rng_state()
    through(official(), four, "linf")
    through(TorchAttacks(kind="torchattacks", eps=EPS, args={"steps": 1}), four, "linf")
    assert torch.equal(torch.random.get_rng_state(), state)


def test_doubts_of_the_library_become_flags() -> None:
    class Dice(LinearModel):
        def __call__(self, images: Tensor) -> Tensor:
            return super().__call__(images) + torch.rand(len(images), 1)

    model = Dice(classes=4)
    with library_warnings() as found:
        through(official(steps=2), model, "linf")
    assert found == {"randomized"}
    logger = logging.getLogger("auto-attack")
    assert (logger.handlers, logger.propagate) == ([], True)
