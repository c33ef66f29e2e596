"""Vision towers inside vision-language models: replaced, adapted, grafted."""

import json
import weakref
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.core.errors import CellError, SuiteError
from bench.core.resolved_names import Lock
from bench.evaluate.model_cache import ModelCache
from bench.models import ClipModel, LanguageModel, build_model
from bench.plan.identity import model_identity
from bench.suite.load import Suite, load_suite
from bench.suite.specs import ModelSpec
from tests.support import small_clip as of_open_clip
from tests.support.small_hugging_face import small_clip, small_siglip
from tests.support.small_language import PIXELS, SMALL, VISION, small_llava
from tests.support.small_qwen import KINDS, PATCH, small_qwen

CPU = torch.device("cpu")
ASKED, SAID = ["is the cat a dog?", "what is it?"], ["yes", "the cat is"]


class Models:
    """Builds models that name one another, each once."""

    def __init__(self, **declared: dict[str, Any]) -> None:
        self.suite = Suite.model_validate(
            {
                "suite": "towers", "protocol": {"preset": "radapt-paper"}, "samples": 1,
                "datasets": [{"kind": "nano", "name": "digits"}], "models": declared,
            }
        )  # fmt: skip
        self.built: dict[str, Any] = {}

    def __call__(self, name: str) -> Any:
        if name not in self.built:
            spec: ModelSpec = self.suite.models[name]
            self.built[name] = build_model(spec, CPU, self)
        return self.built[name]

    def identity(self, name: str) -> dict[str, Any]:
        hashes = {model: f"hash of {model}" for model in self.suite.models}
        return model_identity(self.suite, Lock(models=hashes), name)


def lvlm(folder: Path, **more: Any) -> dict[str, Any]:
    return {"kind": "lvlm", "name": str(folder), "precision": "fp32", **more}


def radapt(base: str, **more: Any) -> dict[str, Any]:
    given = {"anchor": {"white": base}, "alpha": 0.8, "cutoff": None, **more}
    return {"kind": "radapt", "base": base, **given}


def images(height: int = 40, width: int = 56) -> Tensor:
    return torch.rand((2, 3, height, width), generator=torch.Generator().manual_seed(3))


@pytest.fixture(scope="module", params=list(SMALL))
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp(request.param)
    SMALL[request.param](place)
    return place


@pytest.fixture(scope="module")
def llava(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("llava")
    small_llava(place)
    return place


def robust(place: Path, **vision: Any) -> dict[str, Any]:
    """Write a CLIP of open_clip whose tower has the shape of LLaVA's small one."""
    shape = {
        "image_size": PIXELS, "patch_size": 8, "width": 32, "head_width": 16, "layers": 3,
        "mlp_ratio": 1.5, **vision,
    }  # fmt: skip
    clip = of_open_clip.small_clip(vision_cfg=shape, quick_gelu=True)
    place.mkdir(exist_ok=True)
    written = {"vision_cfg": shape, "quick_gelu": "TRUE"}
    for name, content in of_open_clip.hub_files(clip, **written).items():
        (place / name).write_bytes(content)
    return {"kind": "open_clip", "name": f"local-dir:{place}"}


def hidden(tower: Any, pixels: Tensor) -> Tensor:
    """Return what LLaVA reads of a tower of transformers: the last block but one."""
    with torch.no_grad():
        found: Tensor = tower(pixels, output_hidden_states=True).hidden_states[-2]
    return found


def open_clip_hidden(visual: Any, pixels: Tensor) -> Tensor:
    found: list[Tensor] = []
    handle = visual.transformer.resblocks[-2].register_forward_hook(
        lambda module, args, output: found.append(output)
    )
    with torch.no_grad():
        visual(pixels)
    handle.remove()
    return found[0]


def test_a_tower_of_open_clip_gives_the_same_outputs(llava: Path, tmp_path: Path) -> None:
    models = Models(FARE=robust(tmp_path), LLaVA=lvlm(llava), Swapped=lvlm(llava, tower="FARE"))
    pixels = torch.randn(2, 3, PIXELS, PIXELS)
    expected = open_clip_hidden(models("FARE").tower, pixels)
    found = hidden(models("Swapped").tower, pixels)
    assert torch.allclose(found, expected, atol=1e-5)
    assert not torch.allclose(hidden(models("LLaVA").tower, pixels), expected, atol=1e-1)
    facts = models("Swapped").facts()
    assert (facts["tower"], facts["positions"]) == ("FARE", "the tower's")
    assert facts["activation"] == "quick_gelu"
    assert "tower" not in models("LLaVA").facts()


def test_an_activation_comes_with_its_tower(llava: Path, tmp_path: Path) -> None:
    small_clip(tmp_path, **VISION, hidden_act="gelu")
    declared = {"kind": "hugging_face", "name": str(tmp_path)}
    models = Models(CLIP=declared, LLaVA=lvlm(llava), Swapped=lvlm(llava, tower="CLIP"))
    assert models("LLaVA").facts()["activation"] == "quick_gelu"
    assert models("Swapped").facts()["activation"] == "gelu"
    assert models("LLaVA").facts()["activation"] == "quick_gelu"
    pixels = torch.randn(2, 3, PIXELS, PIXELS)
    expected = hidden(models("CLIP").tower.vision_model, pixels)
    assert torch.equal(hidden(models("Swapped").tower, pixels), expected)


def test_positions_of_another_grid_are_interpolated_as_open_clip_does(
    llava: Path, tmp_path: Path
) -> None:
    from open_clip.model import resize_pos_embed

    donor = robust(tmp_path, image_size=24)
    models = Models(FARE=donor, Swapped=lvlm(llava, tower="FARE"))
    state = {f"visual.{key}": value for key, value in models("FARE").tower.state_dict().items()}
    shape = {"image_size": PIXELS, "patch_size": 8, "width": 32, "head_width": 16, "layers": 3}
    larger = of_open_clip.small_clip(vision_cfg={**shape, "mlp_ratio": 1.5}, quick_gelu=True)
    resize_pos_embed(state, larger)
    larger.visual.load_state_dict({key.removeprefix("visual."): v for key, v in state.items()})
    pixels = torch.randn(2, 3, PIXELS, PIXELS)
    expected = open_clip_hidden(larger.visual, pixels)
    assert torch.allclose(hidden(models("Swapped").tower, pixels), expected, atol=1e-5)
    assert models("Swapped").facts()["positions"] == "3x3 to 4x4, bicubic"


def test_a_tower_of_transformers_siglip(tmp_path: Path) -> None:
    place, donor = tmp_path / "onevision", tmp_path / "siglip"
    donor.mkdir()
    SMALL["llava_onevision"](place)
    small_siglip(donor, **VISION)
    given = {"kind": "hugging_face", "name": str(donor)}
    models = Models(S=given, OV=lvlm(place), Swapped=lvlm(place, tower="S"))
    pixels = torch.randn(2, 3, PIXELS, PIXELS)
    with torch.no_grad():
        expected = models("S").tower(pixels, output_hidden_states=True).hidden_states[-1]
        found = models("Swapped").tower(pixels, output_hidden_states=True).hidden_states[-1]
        own = models("OV").tower(pixels, output_hidden_states=True).hidden_states[-1]
    assert torch.equal(found, expected)
    assert not torch.allclose(own, expected, atol=1e-2)


def test_a_tower_that_does_not_fit_is_told(llava: Path, tmp_path: Path) -> None:
    short, siglip, rough = (tmp_path / name for name in ("short", "siglip", "rough"))
    for place in (short, siglip, rough):
        place.mkdir()
    small_clip(rough, **VISION, hidden_act="quick_gelu", layer_norm_eps=1e-3)
    small_clip(short)
    small_siglip(siglip, **VISION)
    models = Models(
        Rough={"kind": "hugging_face", "name": str(rough)}, F=lvlm(llava, tower="Rough"),
        Deep=robust(tmp_path / "deep", layers=4), Wide=robust(tmp_path / "wide", mlp_ratio=2.0),
        Short={"kind": "hugging_face", "name": str(short)},
        SigLIP={"kind": "hugging_face", "name": str(siglip)},
        LLaVA=lvlm(llava), Adapted=radapt("LLaVA"), 
        A=lvlm(llava, tower="Deep"), B=lvlm(llava, tower="Wide"), C=lvlm(llava, tower="Short"),
        D=lvlm(llava, tower="SigLIP"), E=lvlm(llava, tower="Adapted"),
    )  # fmt: skip
    for name, message in {
        "A": r"'Deep' does not fit: only one of the two towers has encoder\.layers\.3",
        "B": r"'Wide' does not fit: encoder\.layers\.0\.mlp\.fc1\.weight has the shape \(64, 32\)",
        "C": "'Short' does not fit: only one of the two towers has",
        "D": r"'SigLIP' was trained on pixels with mean \(0\.5, 0\.5, 0\.5\)",
        "F": r"'Rough' does not fit: its LayerNorms have epsilon \[0\.001\], 1e-05 is needed",
        "E": "'Adapted' is adapted; adapt the vision-language model instead",
    }.items():
        with pytest.raises(CellError, match=message):
            models(name)


def test_references_are_checked_when_a_suite_is_read(tmp_path: Path) -> None:
    path = tmp_path / "suite.yaml"
    path.write_text(
        "suite: s\nprotocol: radapt-paper\nsamples: 1\ndatasets: [digits]\nmodels:\n"
        "  A: {kind: lvlm, name: org/a, tower: NOBODY}\n"
        "  B: {kind: lvlm, name: org/b, tower: B}\n"
        "  C: {kind: open_clip, name: 'hf-hub:org/c', tower: a-file.pt}\n"
    )
    with pytest.raises(SuiteError) as caught:
        load_suite(path)
    assert "models.A.tower: got 'NOBODY'; declared models: A, B, C" in str(caught.value)
    assert "models.B: the model is built from itself" in str(caught.value)
    assert "models.C" not in str(caught.value)


def test_identities_hold_the_tower_and_the_resizing(llava: Path, tmp_path: Path) -> None:
    models = Models(
        FARE=robust(tmp_path), L=lvlm(llava), S=lvlm(llava, tower="FARE"),
        R=radapt("L"), Z=radapt("L", anchor={"white": "L", "resize": True}),
    )  # fmt: skip
    assert models.identity("S")["tower"] == models.identity("FARE")
    assert models.identity("S") != models.identity("L")
    assert models.identity("R")["base"] == models.identity("L")
    assert models.identity("Z") == {**models.identity("R"), "anchor_resized": True}


def test_radapt_shares_weights_and_changes_answers(folder: Path) -> None:
    models = Models(
        L=lvlm(folder), Same=radapt("L", alpha=0.0), R=radapt("L"),
        F=radapt("L", alpha=0.0, cutoff=20),
    )  # fmt: skip

    def likelihood(name: str) -> Tensor:
        model = models(name)
        assert isinstance(model, LanguageModel)
        return model.log_likelihood(images(), ASKED, SAID)

    base = likelihood("L")
    assert torch.equal(likelihood("Same"), base)
    assert not torch.allclose(likelihood("R"), base, atol=1e-3)
    assert not torch.allclose(likelihood("F"), base, atol=1e-3)
    assert torch.equal(likelihood("L"), base)  # which stays as it was
    ours, theirs = (dict(models(name).named_parameters()) for name in ("L", "R"))
    assert {name: w.data_ptr() for name, w in ours.items()} == {
        name: w.data_ptr() for name, w in theirs.items()
    }
    tokens = models("L").tower.config.image_size // 8
    prefix = 0 if "onevision" in folder.name else 1
    attention = models("R").tower.get_submodule("encoder.layers.0.self_attn")
    assert attention.radapt_anchor.shape == (1, tokens**2 + prefix, 32)
    assert models("R").facts()["anchor"].startswith("uniform white image, on ")


def test_in_half_precision_a_white_image_stays_as_it_is(llava: Path) -> None:
    """To the last bit: the anchor's pixels are normalised and rounded as the processor's are."""
    models = Models(L=lvlm(llava, precision="bf16"), R=radapt("L", alpha=1.0))
    white = torch.ones(2, 3, PIXELS, PIXELS)
    expected = models("L").visual_tokens(white)
    assert torch.equal(models("R").visual_tokens(white), expected)
    assert not torch.equal(models("R").visual_tokens(0.9 * white), expected)


@pytest.mark.parametrize("kind", ["llava", *KINDS])
def test_anchor_and_filter_are_in_the_units_of_the_processor(kind: str, tmp_path: Path) -> None:
    """White stays white, whose bounds and anchor those of another normalisation would miss."""
    small_llava(tmp_path) if kind == "llava" else small_qwen(kind, tmp_path)
    for name in ("preprocessor_config.json", "processor_config.json"):
        said = json.loads((tmp_path / name).read_text())
        own = said.get("image_processor", said)
        own |= {"image_mean": [0.1, 0.2, 0.3], "image_std": [0.2, 0.3, 0.4]}
        (tmp_path / name).write_text(json.dumps(said))
    models = Models(L=lvlm(tmp_path), R=radapt("L", alpha=1.0), F=radapt("L", alpha=0.0, cutoff=20))
    side = PIXELS if kind == "llava" else 6 * PATCH[kind]
    white = torch.ones(1, 3, side, side)
    expected = models("L").visual_tokens(white)
    for name in ("R", "F"):
        assert torch.allclose(models(name).visual_tokens(white), expected, rtol=1e-3, atol=1e-3)
    assert models("R").facts()["anchor"].startswith("uniform white image")
    assert "anchor" not in models("F").facts()
    assert models("L").facts()["model_pixels"] == ("32x32" if kind == "llava" else "any")


@pytest.mark.parametrize("kind", ["llava", *KINDS])
def test_an_anchors_donor_may_be_let_go_of_before_the_base_comes(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing else keeps it when all that is warm goes; of one that is kept, its tower alone."""
    small_llava(tmp_path) if kind == "llava" else small_qwen(kind, tmp_path)
    suite = Models(
        Base=lvlm(tmp_path), Donor=lvlm(tmp_path, checkpointing=True),
        R=radapt("Base", anchor={"white": "Donor"}),
    ).suite  # fmt: skip
    alive: list[list[bool]] = []
    donors: list[weakref.ref[Any]] = []

    def noted(spec: Any, *given: Any, **more: Any) -> Any:
        if spec.kind == "lvlm" and not spec.checkpointing:
            alive.append([donor() is not None for donor in donors])
        made = build_model(spec, *given, **more)
        if spec.kind == "lvlm" and spec.checkpointing:
            donors.extend(map(weakref.ref, (made, made.network, made.network.lm_head)))
        return made

    monkeypatch.setattr("bench.evaluate.model_cache.build_model", noted)
    # as if the accelerator were half full
    monkeypatch.setattr(ModelCache, "_make_room", ModelCache._clear)
    cache = ModelCache(suite, Lock(), {}, CPU, 1, False)
    assert "white image" in cache.facts("R")["anchor"]
    assert alive == [[False] * 3]


def test_the_anchor_joins_on_every_tile(folder: Path) -> None:
    """With the anchor alone in the first attention, what it gives is the same for all images."""
    models = Models(L=lvlm(folder), R=radapt("L", alpha=1.0))
    seen: list[Tensor] = []
    attention = models("R").tower.get_submodule("encoder.layers.0.self_attn")
    attention.register_forward_hook(lambda module, args, output: seen.append(output[0]))
    models("R").visual_tokens(images(40, 70))
    [response] = seen
    assert response.shape[0] >= 2
    assert torch.equal(response, attention.radapt_anchor.expand_as(response))


def test_a_models_white_guides_another(llava: Path, tmp_path: Path) -> None:
    """Of the same size as it is, of another size as a declared step, or through a swapped tower."""
    same, small = robust(tmp_path / "same"), robust(tmp_path / "small", image_size=24)
    resized = {"white": "Small", "resize": True}
    models = Models(
        Same=same, Small=small, L=lvlm(llava, precision="bf16"),
        Swapped=lvlm(llava, tower="Small"),
        Guided=radapt("L", anchor={"white": "Same"}),
        Other=radapt("L", anchor={"white": "Small"}),
        Resized=radapt("L", anchor=resized),
        Through=radapt("L", anchor={"white": "Swapped"}),
    )  # fmt: skip
    values = {
        name: models(name).log_likelihood(images(), ASKED, SAID)
        for name in ("L", "Guided", "Resized", "Through")
    }
    assert len({tuple(value.tolist()) for value in values.values()}) == 4
    with pytest.raises(CellError, match=r"R-Adapt over 'L'.*does not fit"):
        models("Other")
    assert "resized from 24x24" in models("Resized").facts()["anchor"]
    assert isinstance(models("Same"), ClipModel)


def test_a_graft_between_two_of_them(llava: Path, tmp_path: Path) -> None:
    graft = {"kind": "graft", "base": "L", "donor": "S"}
    models = Models(
        FARE=robust(tmp_path), L=lvlm(llava), S=lvlm(llava, tower="FARE"),
        All={**graft, "modules": ["..Head"]}, Part={**graft, "modules": ["..B1-Attn"]},
    )  # fmt: skip
    given = images(), ASKED, SAID
    assert torch.equal(models("All").log_likelihood(*given), models("S").log_likelihood(*given))
    part = models("Part").log_likelihood(*given)
    assert not torch.allclose(part, models("S").log_likelihood(*given), atol=1e-3)
    assert not torch.allclose(part, models("L").log_likelihood(*given), atol=1e-3)


def test_gradients_go_through_an_adapted_tower_with_recomputation(llava: Path) -> None:
    gradients = []
    for checkpointing in (False, True):
        models = Models(L=lvlm(llava, checkpointing=checkpointing), R=radapt("L", cutoff=20))
        points = images().requires_grad_()
        value = models("R").log_likelihood(points, ASKED, SAID).sum()
        gradients.append(torch.autograd.grad(value, points)[0])
    assert torch.equal(*gradients)
    assert float(gradients[0].abs().sum()) > 0
