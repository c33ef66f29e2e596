"""`kind: radapt` and `kind: graft` over CLIPs whose towers are of further families."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from bench.core.errors import CellError
from bench.models.build_context import BuildContext
from bench.models.clip import ClipModel, Preprocessing
from bench.models.derived import build_graft, build_radapt
from bench.suite.specs import Anchor as AnchorSpec
from bench.suite.specs import GraftModel, RAdaptModel, Resize
from radapt import adapt, extract_anchor
from radapt.tower import embedding, normalise
from tests.support.tower_families import build_family, family_images
from tests.support.towers import timm, timm_tower

MEAN, STD = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)  # MobileCLIP's


def unused(texts: Sequence[str]) -> Tensor:
    raise AssertionError("no text is needed")


def context(*towers: nn.Module) -> BuildContext:
    preprocessing = Preprocessing((32, 32), MEAN, STD, Resize())
    models = {
        name: ClipModel(tower, unused, 100.0, preprocessing)
        for name, tower in zip(("CLIP", "Donor"), towers, strict=False)
    }
    return BuildContext(torch.device("cpu"), models.__getitem__, Resize(), trust=False)


def adapted_spec(cutoff: float | None = 40.0) -> RAdaptModel:
    white = AnchorSpec(white="CLIP")
    return RAdaptModel(kind="radapt", base="CLIP", anchor=white, alpha=0.8, cutoff=cutoff)


@pytest.mark.parametrize("name", ["eva-02", "pe-core", "vitamin", "mobileclip-b"])
def test_a_clip_is_adapted_with_the_normalisation_of_its_preprocessing(name: str) -> None:
    tower, images = build_family(name), family_images()
    model = build_radapt(adapted_spec(), context(tower))
    assert isinstance(model, ClipModel)
    anchor = extract_anchor(tower, mean=MEAN, std=STD)
    expected = adapt(tower, anchor, alpha=0.8, cutoff=40, mean=MEAN, std=STD)
    inputs = normalise(images, MEAN, STD)
    assert torch.equal(model.encode_image(images), embedding(expected, inputs))


def test_a_naflex_tower_gets_an_exact_anchor_at_each_size() -> None:
    tower = build_family("siglip2-naflex")
    model = build_radapt(adapted_spec(None), context(tower))
    assert isinstance(model, ClipModel)
    white = torch.ones(1, 3, 16, 24)  # a grid that is not the one of the learned positions
    anchor = extract_anchor(tower, white, mean=MEAN, std=STD)
    expected = adapt(tower, anchor, alpha=0.8, cutoff=None)
    images = normalise(family_images(2, (16, 24)), MEAN, STD)
    found = embedding(model.tower, images)
    assert torch.allclose(found, embedding(expected, images), atol=1e-5)


@pytest.mark.parametrize("name", ["pe-core", "vitamin"])
def test_units_of_a_clip_are_grafted(name: str) -> None:
    towers, images = (build_family(name, 0), build_family(name, 1)), family_images()
    spec = GraftModel(kind="graft", base="CLIP", donor="Donor", modules=["..Head"])
    grafted = build_graft(spec, context(*towers))
    assert isinstance(grafted, ClipModel)
    expected = embedding(towers[1], normalise(images, MEAN, STD))
    assert torch.equal(grafted.encode_image(images), expected)


def test_a_tower_without_a_first_attention_is_refused_with_its_reason() -> None:
    tower = timm_tower()
    tower.trunk = timm.create_model("fastvit_t8")
    reason = "its blocks are convolutions, and attention follows only in its last stages"
    with pytest.raises(
        CellError, match=f"R-Adapt over 'CLIP': .*FastVit is not supported.*{reason}"
    ):
        build_radapt(adapted_spec(), context(tower))
