"""R-Adapt over the vision-language models of further families."""

import pytest
import torch

from bench.models import LanguageModel
from bench.models.build_context import BuildContext
from bench.models.derived import build_radapt
from bench.suite.specs import Anchor as AnchorSpec
from bench.suite.specs import RAdaptModel, Resize
from tests.models.test_language_families import build, images
from tests.support.small_families import FAMILIES, without_num2words

QUESTIONS, ANSWERS = ["is the cat a dog?"] * 2, ["yes"] * 2


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_is_adapted_and_stays_differentiable(
    name: str, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path_factory.mktemp(name)
    without_num2words(monkeypatch)
    FAMILIES[name](folder)
    base = build(folder)
    context = BuildContext(torch.device("cpu"), lambda other: base, Resize(), trust=False)

    def adapted(alpha: float, cutoff: float | None) -> LanguageModel:
        white = AnchorSpec(white="base")
        spec = RAdaptModel(kind="radapt", base="base", anchor=white, alpha=alpha, cutoff=cutoff)
        model = build_radapt(spec, context)
        assert isinstance(model, LanguageModel)
        return model

    points = images(2).requires_grad_(True)
    plain = base.log_likelihood(points, QUESTIONS, ANSWERS)
    same = adapted(0.0, None).log_likelihood(points, QUESTIONS, ANSWERS)
    assert torch.equal(same, plain)
    moved = adapted(0.8, 20.0).log_likelihood(points, QUESTIONS, ANSWERS)
    assert not torch.allclose(moved, plain, atol=1e-3)
    (gradient,) = torch.autograd.grad(moved.sum(), points)
    assert bool((gradient.flatten(1).abs().sum(dim=1) > 0).all())
