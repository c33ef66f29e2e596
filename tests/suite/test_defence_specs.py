"""Specs of test-time defences say what their implementations are and cost."""

from collections.abc import Sequence
from dataclasses import MISSING, fields
from importlib import import_module
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from bench.plan.cost.operations import GradientCost, forwards_of, gradient_cost
from bench.suite.specs.defences import DEFENCES
from bench.suite.specs.model_base import DefenceModel
from bench.suite.specs.models import KINDS
from radapt.defences.defence import (
    AnyDefence,
    Base,
    Defended,
    Gradient,
    LogitDefence,
    defended_logits,
)
from tests.pinned.identities import kinds

EVERY = [pytest.param(kind, id=kind.implementation.split(":")[1]) for kind in DEFENCES]
SUITE = kinds()["every kind, defences"]


def implementation(kind: type[DefenceModel]) -> type[AnyDefence]:
    module, _, name = kind.implementation.partition(":")
    found: type[AnyDefence] = getattr(import_module(module), name)
    return found


@pytest.mark.parametrize("kind", EVERY)
def test_parameters_and_declarations_are_those_of_the_implementation(
    kind: type[DefenceModel],
) -> None:
    own: Any = implementation(kind)
    expected = {
        name: field.get_default()
        for name, field in kind.model_fields.items()
        if name not in DefenceModel.model_fields
    }
    found = {each.name: each.default for each in fields(own)}
    required = {name for name, default in found.items() if default is MISSING}
    assert required == {n for n in found if kind.model_fields[n].is_required()}
    assert {n: v for n, v in found.items() if n not in required} == {
        n: v for n, v in expected.items() if n not in required
    }
    assert (own.gradients, own.random) == (kind.gradients, kind.random)


class Counted:
    """A base that counts its forward and backward passes, per image of a batch of 2."""

    def __init__(self) -> None:
        self.cost = 0.0
        count = self

        class Backward(torch.autograd.Function):
            """The identity; its backward pass costs a forward pass."""

            @staticmethod
            def forward(ctx: Any, images: Tensor) -> Tensor:
                return images.clone()

            @staticmethod
            def backward(ctx: Any, *gradients: Tensor) -> Tensor:
                count.cost += len(gradients[0]) / 2
                return gradients[0]

        tokens = torch.nn.Embedding(9, 3)

        def embed(images: Tensor) -> Tensor:
            count.cost += len(images) / 2
            passed: Tensor = Backward.apply(images)  # type: ignore[no-untyped-call]
            return passed.mean(dim=(2, 3)) + torch.tensor([0.1, -0.2, 0.3])

        def embed_texts(texts: Sequence[str]) -> Tensor:
            ids = [[0, 1, 2, 3 + place % 3] for place in range(len(texts))]
            return tokens(torch.tensor(ids)).sum(dim=1)  # type: ignore[no-any-return]

        self.base = Base(embed, embed_texts, torch.eye(3), ("x", "y", "z"), tokens)


@pytest.mark.parametrize("name", SUITE.models)
def test_a_defence_and_its_gradients_cost_what_it_says(name: str) -> None:
    spec = SUITE.models[name]
    if not isinstance(spec, DefenceModel):
        assert spec.forwards == 1
        assert gradient_cost(SUITE.models, name) == GradientCost(passes=2, kept=1)
        return
    over_clip = {**SUITE.models, name: spec.model_copy(update={"base": "CLIP"})}
    own: Any = implementation(type(spec))

    def cost(images: Tensor, way: Gradient) -> float:
        counted = Counted()
        others = {key: counted.base.embed for key in spec.parents if key != "base"}
        defence = own(**{**spec.parameters(), **others})
        if isinstance(defence, LogitDefence):
            outputs = defended_logits(defence, counted.base, images, way)
        else:
            outputs = Defended(defence, counted.base, way)(images)
        if images.requires_grad:
            torch.autograd.grad(outputs.sum(), images)
        return counted.cost

    images = torch.rand(2, 3, 8, 8)
    with torch.no_grad():
        assert cost(images, spec.gradients[0]) == spec.forwards
    for way in spec.gradients:
        over_clip[name] = over_clip[name].model_copy(update={"gradient": way})
        passes = gradient_cost(over_clip, name).passes
        assert cost(images.clone().requires_grad_(), way) == passes, way


def test_nested_defences_cost_their_product() -> None:
    assert forwards_of(SUITE.models, "anti-adversary-all") == (2 + 2 * 1) * (3 + 2 * 2)
    assert forwards_of(SUITE.models, "R-Adapt") == 1
    # 4 forward passes of TTC, the last of them with a gradient through its last pass
    nested = SUITE.models["anti-adversary-all"].model_copy(update={"gradient": "exact"})
    cost = gradient_cost({**SUITE.models, "nested": nested}, "nested")
    assert (cost.passes, cost.kept) == (4 * 7 + 1, 1)


def test_the_gradient_and_every_parameter_are_part_of_the_identity() -> None:
    ttc = SUITE.models["ttc"]

    def identity(**changes: Any) -> dict[str, Any]:
        return ttc.model_copy(update=changes).identity("", lambda base: {"of": base})

    plain = identity()
    assert plain["base"] == {"of": "CLIP"} and plain["parameters"]["steps"] == 2
    assert identity(gpus=0.5) == plain
    assert "gate" not in {*plain, *plain["parameters"]}  # a newer setting, with its default
    assert identity(gate="R-Adapt") == {**plain, "gate": {"of": "R-Adapt"}}
    for change in ({"steps": 3}, {"gradient": "base"}, {"base": "R-Adapt"}):
        assert identity(**change) != plain


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"kind": "jpeg", "gradient": "exact"}, "allowed for this defence: identity, base"),
        ({"kind": "gaussian-blur", "kernel": 4}, "allowed: odd numbers"),
        ({"kind": "resize-pad", "smallest": 2}, "`smallest` must be at most `largest`"),
        ({"kind": "noise-smoothing", "draws": 1}, "sigma"),
        ({"kind": "ttc", "steps": -1}, "steps"),
    ],
)
def test_faults_are_told(entry: dict[str, Any], message: str) -> None:
    kind = KINDS[entry["kind"]]
    with pytest.raises(ValidationError, match=message):
        kind.model_validate({**entry, "base": "CLIP"})
