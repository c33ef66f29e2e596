"""V-Attack's loss: value features of a CLIP's last blocks, on random crops, towards a decoy."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from bench.attacks import build_attack
from bench.attacks.crops import cropped
from bench.core.errors import CellError
from bench.core.types import Budget
from bench.evaluate.cell import Evaluator
from bench.models import ClipModel, build_model
from bench.plan.cells import expand
from bench.plan.resolve import resolve
from bench.store.results_folder import Store
from bench.suite.load import load_suite
from bench.suite.specs import HuggingFaceModel, NanoModel, ValueFeatures
from bench.tasks.prompted_models import Seeing
from radapt.tower import normalise
from tests.evaluate.test_answer_attacks import OWN, WHAT
from tests.support.small_hugging_face import small_clip

CPU = torch.device("cpu")
NAMED = [("cat", "truck"), ("airplane", "frog"), ("dog", ""), ("ship", "bird")]


def refused(name: str) -> ClipModel:
    raise AssertionError(name)


def nano() -> ClipModel:
    built = build_model(NanoModel(kind="nano", weights="clip"), CPU, refused)
    assert isinstance(built, ClipModel)
    return built


def inputs(tower: torch.nn.Module, norm: str, pixels: Tensor) -> Tensor:
    seen: list[Tensor] = []
    hook = tower.get_submodule(norm).register_forward_hook(lambda _, __, out: seen.append(out))
    tower(pixels)
    hook.remove()
    return seen[0]


def test_a_value_is_what_attention_gives_a_token_that_sees_itself_alone() -> None:
    model, images = nano(), torch.rand(2, 3, 32, 32)
    how, tower = model.preprocessing, model.tower
    found = model.value_features(images, 2)
    for place, block in enumerate(list(tower.transformer.resblocks)[-2:]):  # type: ignore
        at = len(tower.transformer.resblocks) - 2 + place  # type: ignore
        tokens = inputs(
            tower, f"transformer.resblocks.{at}.ln_1", normalise(images, how.mean, how.std)
        )
        count = tokens.shape[1]
        alone = torch.full((count, count), -torch.inf).fill_diagonal_(0)
        out, _ = block.attn(tokens, tokens, tokens, attn_mask=alone, need_weights=False)
        expected = F.normalize(tower.ln_post(out) @ tower.proj, dim=-1)[:, 1:]  # type: ignore
        assert torch.allclose(found[:, place], expected, atol=1e-5)


def test_a_value_of_transformers_is_the_same(tmp_path: Path) -> None:
    small_clip(tmp_path)
    built = build_model(HuggingFaceModel(kind="hugging_face", name=str(tmp_path)), CPU, refused)
    assert isinstance(built, ClipModel)
    size = built.preprocessing.size
    images = torch.rand(2, 3, *size)
    how, tower = built.preprocessing, built.tower
    vision: Any = tower.get_submodule("vision_model")
    at = len(vision.encoder.layers) - 1
    tokens = inputs(
        tower, f"vision_model.encoder.layers.{at}.layer_norm1",
        normalise(images, how.mean, how.std),
    )  # fmt: skip
    count = tokens.shape[1]
    alone = torch.full((1, 1, count, count), torch.finfo().min)
    alone[..., range(count), range(count)] = 0
    out, _ = vision.encoder.layers[at].self_attn(tokens, attention_mask=alone)
    projected = tower.get_submodule("visual_projection")(vision.post_layernorm(out))
    expected = F.normalize(projected, dim=-1)[:, 1:]
    assert torch.allclose(built.value_features(images, 1)[:, 0], expected, atol=1e-5)


def test_a_tower_without_values_is_refused() -> None:
    model = nano().with_tower(torch.nn.Conv2d(3, 8, 4))
    with pytest.raises(CellError, match="no value features"):
        model.value_features(torch.rand(1, 3, 32, 32), 1)
    with pytest.raises(CellError, match="of 99 blocks: the tower has 6"):
        nano().value_features(torch.rand(1, 3, 32, 32), 99)


def test_crops_are_torch_s_interpolation_of_a_box() -> None:
    image = torch.rand(1, 3, 20, 24)
    found = cropped(image, torch.tensor([7]), torch.tensor([3]), 0.5)
    share_h, share_w, place_h, place_w = np.random.default_rng((7, 3)).random(4)
    height, width = int(20 * (0.5 + share_h / 2)), int(24 * (0.5 + share_w / 2))
    top, left = int(place_h * (20 - height + 1)), int(place_w * (24 - width + 1))
    box = image[..., top : top + height, left : left + width]
    expected = F.interpolate(box, (20, 24), mode="bilinear", align_corners=False)
    assert torch.allclose(found, expected, atol=1e-6)
    assert torch.allclose(cropped(image, torch.tensor([7]), torch.tensor([3]), 1.0), image)
    assert not torch.equal(found, cropped(image, torch.tensor([7]), torch.tensor([4]), 0.5))


def test_images_lean_to_their_decoys_whoever_is_beside_them() -> None:
    model, images = nano(), torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    seeing, rows = Seeing(model, dict(enumerate(NAMED))), torch.arange(4)
    spec = ValueFeatures(kind="value-features", eps="16/255", steps=20, step=5, blocks=2)
    given = (seeing, images, rows, Budget(16 / 255))
    found = build_attack(spec, batch=4, answers=True)(*given, mode="full", seeds=range(4))
    assert float((found - images).abs().max()) <= 16 / 255 + 1e-6
    gain = seeing.decoy_margin(found, rows, 2) - seeing.decoy_margin(images, rows, 2)
    assert bool((gain > 0).all())
    alone = build_attack(spec, batch=2, answers=True)(*given, mode="full", seeds=range(4))
    assert float((alone - found).abs().max()) < 1e-5


def test_a_craft_of_value_features_is_scored_on_those_that_answer(
    suite_file: Callable[..., Path], tmp_path: Path
) -> None:
    attack = {"kind": "value-features", "eps": "16/255", "steps": 2, "blocks": 2}
    models = {
        "A": OWN,
        "B": {**OWN, "args": {"seed": 1}},
        "CLIP": {"kind": "nano", "weights": "clip"},
        "FARE": {"kind": "nano", "weights": "fare"},
    }
    suite = load_suite(
        suite_file(
            protocol={"preset": "lvlm", "pixels": "native"}, models=models, datasets=[WHAT],
            attacks=[attack, {**attack, "name": "lowered", "precision": "bf16"}], samples=4,
            threats=["white-box", {"transfer": "CLIP"}, {"transfer": ["CLIP", "FARE"]}],
        )
    )  # fmt: skip
    lock, _ = resolve(suite)
    evaluate = Evaluator(suite, lock, {}, Store(tmp_path, suite.suite), CPU, trust=True)
    for cell in expand(suite, lock):
        result = evaluate(cell)
        skipped = cell.threat is not None and cell.threat.kind == "white-box"
        assert result.status == ("skip" if skipped else "ok"), result.reason
        if skipped:
            assert "needs a CLIP" in (result.reason or "")
    assert len(list((tmp_path / "crafts").glob("*.safetensors"))) == 2 * 2
