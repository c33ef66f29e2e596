"""Models of open_clip and towers over them, in the formats in which they are published."""

import argparse
import json
import resource
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from bench.core.errors import CellError, SuiteError
from bench.core.resolved_names import Lock
from bench.core.torchvision_shim import ensure_torchvision
from bench.core.types import ImageTextModel
from bench.hub.files import HubFile
from bench.hub.open_clip_tags import published_tag
from bench.hub.weights import hub_files as needed_files
from bench.hub.weights import origin, weight_files
from bench.models import ClipModel, build_model
from bench.plan.identity import model_identity
from bench.plan.resolve import fingerprint
from bench.run.suite_run import run_suite
from bench.store.results_folder import Store
from bench.suite.load import load_suite
from bench.suite.specs import OpenClipModel
from radapt.state_dicts import LAYOUTS
from tests.support.checkpoint_layouts import WRAPPED, torchscript
from tests.support.hub_cache import FIRST, SECOND, offline, put
from tests.support.small_clip import (
    CONFIG,
    MEAN,
    STD,
    as_of_numpy_1,
    hub_files,
    pickled,
    small_clip,
    tuned,
)

ensure_torchvision()
import open_clip  # noqa: E402

CPU = torch.device("cpu")
HUB = "hf-hub:chs20/fare2-clip"


def build(**fields: Any) -> ClipModel:
    def nobody(name: str) -> ImageTextModel:
        raise AssertionError(name)

    spec = OpenClipModel(kind="open_clip", **{"name": HUB, **fields})
    model = build_model(spec, CPU, nobody)
    assert isinstance(model, ClipModel)
    return model


def normalised(images: Tensor) -> Tensor:
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
    return (images - mean) / std


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    offline(monkeypatch, tmp_path / "hub")
    return tmp_path / "hub"


@pytest.mark.parametrize(("word", "quick"), [("TRUE", True), ("FALSE", False), (True, True)])
def test_a_repository_of_the_hub(cache: Path, word: object, quick: bool) -> None:
    """RobustVLM's repositories write the activation as a word."""
    clip = small_clip(quick_gelu=quick)
    put(cache, "chs20/fare2-clip", hub_files(clip, quick_gelu=word))
    model = build()
    assert model.facts()["activation"] == ("quick_gelu" if quick else "gelu")
    images = torch.rand(3, 3, 32, 32)
    assert torch.allclose(
        model.encode_image(images), clip.encode_image(normalised(images)), atol=1e-6
    )
    tokens = open_clip.get_tokenizer("ViT-B-32")(["a dog"])
    assert torch.allclose(model.encode_text(["a dog"]), clip.encode_text(tokens), atol=1e-6)
    assert not any(parameter.requires_grad for parameter in model.tower.parameters())


def test_its_own_normalisation(cache: Path) -> None:
    files = hub_files(small_clip())
    config = json.loads(files["open_clip_config.json"])
    config["preprocess_cfg"] = {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.5, 0.5]}
    put(cache, "chs20/fare2-clip", {**files, "open_clip_config.json": json.dumps(config).encode()})
    assert build().preprocessing.mean == (0.5, 0.5, 0.5)
    assert build().preprocessing.std == (0.25, 0.5, 0.5)


def test_a_folder_in_the_same_layout(cache: Path, tmp_path: Path) -> None:
    files = hub_files(small_clip(quick_gelu=True), quick_gelu="TRUE")
    put(cache, "chs20/fare2-clip", files)
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    images = torch.rand(2, 3, 32, 32)
    local = build(name=f"local-dir:{tmp_path}")
    assert torch.equal(local.encode_image(images), build().encode_image(images))
    (tmp_path / "open_clip_pytorch_model.bin").unlink()
    with pytest.raises(CellError, match="or open_clip_pytorch_model"):
        build(name=f"local-dir:{tmp_path}")


def test_a_revision_is_pinned_and_content_is_the_identity(cache: Path, small: Any) -> None:
    first, second = (hub_files(small_clip(seed)) for seed in (1, 2))
    put(cache, "chs20/fare2-clip", first, FIRST, refs=("v1",))
    put(cache, "chs20/fare2-clip", second, SECOND)
    specs = {
        key: OpenClipModel(kind="open_clip", name=HUB, revision=key)
        for key in ("v1", FIRST, "main", None)
    }
    hashes = {key: fingerprint(spec) for key, spec in specs.items()}
    assert hashes["v1"] == hashes[FIRST] != hashes["main"] == hashes[None]
    assert origin(specs["v1"]) == f"chs20/fare2-clip@{FIRST}"
    assert origin(specs[None]) == f"chs20/fare2-clip@{SECOND}"
    images = torch.rand(1, 3, 32, 32)
    pinned, latest = build(revision="v1"), build()
    assert torch.allclose(
        pinned.encode_image(images), small_clip(1).encode_image(normalised(images)), atol=1e-6
    )
    assert not torch.allclose(pinned.encode_image(images), latest.encode_image(images), atol=1e-3)
    # by whatever name, equal files are the same model
    identities = []
    for spec in (specs["v1"], specs[FIRST]):
        suite = small.model_copy(update={"models": {"M": spec}})
        identities.append(model_identity(suite, Lock({"M": fingerprint(spec)}), "M"))
    assert identities[0] == identities[1]


def test_a_tower_on_the_hub_is_the_same_file_on_the_disk(cache: Path, tmp_path: Path) -> None:
    clip = small_clip()
    put(cache, "chs20/fare2-clip", hub_files(clip))
    put(cache, "some/towers", {"a/one.pt": pickled(tuned(clip))})
    (tmp_path / "one.pt").write_bytes(pickled(tuned(clip)))
    images = torch.rand(2, 3, 32, 32)
    here, there = str(tmp_path / "one.pt"), "hf-hub:some/towers/a/one.pt"
    assert torch.equal(
        build(tower=there).encode_image(images), build(tower=here).encode_image(images)
    )
    assert not torch.allclose(build(tower=there).encode_image(images), build().encode_image(images))
    specs = [OpenClipModel(kind="open_clip", name=HUB, tower=tower) for tower in (here, there)]
    assert len({fingerprint(spec) for spec in specs}) == 1
    assert specs[1].description(str) == "chs20/fare2-clip one.pt"
    assert needed_files(specs[1])[-1] == (HubFile("some/towers", "a/one.pt", kind="model"),)
    folder = tmp_path / "folder"
    folder.mkdir()
    for name, content in hub_files(clip).items():
        (folder / name).write_bytes(content)
    local = OpenClipModel(kind="open_clip", name=f"local-dir:{folder}", tower=there)
    assert origin(local) == f"some/towers@{FIRST}"
    with pytest.raises(CellError, match=r"two\.pt is not in the cache"):
        build(tower="hf-hub:some/towers/two.pt")
    for wrong in ("hf-hub:towers", "hf-hub:some/towers", "hf-hub:some/towers/../one.pt"):
        with pytest.raises(ValueError, match="must be hf-hub:OWNER/NAME/FILE"):
            OpenClipModel(kind="open_clip", name=HUB, tower=wrong)


def test_a_hub_models_config_is_part_of_its_identity(cache: Path) -> None:
    spec = OpenClipModel(kind="open_clip", name=HUB)
    found = set()
    for word in ("TRUE", "FALSE"):
        put(cache, "chs20/fare2-clip", hub_files(small_clip(), quick_gelu=word))
        found |= {fingerprint(spec), fingerprint(spec)}
    assert len(found) == 2


def test_what_is_not_in_the_cache_is_told(cache: Path) -> None:
    with pytest.raises(CellError, match="bin is not in the cache"):
        build()
    put(cache, "chs20/fare2-clip", hub_files(small_clip()))
    with pytest.raises(CellError, match="is not in the cache"):
        build(revision="gone")


def test_a_damaged_file_is_not_used(cache: Path) -> None:
    snapshot = put(cache, "chs20/fare2-clip", hub_files(small_clip()))
    weights = (snapshot / "open_clip_pytorch_model.bin").resolve()
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(CellError, match="the damaged copy is removed"):
        build()
    assert not weights.exists()


def test_convnext_takes_its_256_pixels(cache: Path) -> None:
    """As RobustVLM's convnext_base_w does, at a smaller size of the same family."""
    vision = {
        "timm_model_name": "convnext_atto", "timm_model_pretrained": False, "timm_pool": "",
        "timm_proj": "linear", "image_size": 256,
    }  # fmt: skip
    clip = small_clip(vision_cfg=vision)
    put(cache, "chs20/fare2-clip", hub_files(clip, vision_cfg=vision))
    model = build()
    assert model.facts()["model_pixels"] == "256x256"
    assert model.facts()["activation"] == "gelu"
    images = torch.rand(1, 3, 224, 224)
    larger = F.interpolate(images, (256, 256), mode="bicubic", antialias=True).clamp(0, 1)
    expected = clip.encode_image(normalised(larger))
    assert torch.allclose(model.encode_image(images), expected, atol=1e-5)


def test_openai_weights_need_quick_gelu(suite_file: Callable[..., Path]) -> None:
    """open_clip builds GELU under the plain name, and only warns."""
    assert not open_clip.get_model_config("ViT-L-14").get("quick_gelu", False)
    models = {"M": {"kind": "open_clip", "name": "ViT-L-14", "pretrained": "openai"}}
    with pytest.raises(SuiteError, match=r"models\.M: .*allowed: ViT-L-14-quickgelu"):
        load_suite(suite_file(models=models, threats=["white-box"]))
    models["M"]["name"] = "ViT-L-14-quickgelu"
    load_suite(suite_file(models=models, threats=["white-box"]))


def test_other_weights_with_another_activation_are_refused() -> None:
    with pytest.raises(CellError, match=r"QuickGELU, .*allowed: ViT-B-32-quickgelu"):
        published_tag("ViT-B-32", "laion400m_e32")
    for name, tag in (("ViT-L-14-quickgelu", "openai"), ("ViT-B-32", "laion2b_s34b_b79k")):
        assert published_tag(name, tag)


def test_a_tag_is_found_where_open_clip_keeps_it(cache: Path) -> None:
    spec = OpenClipModel(kind="open_clip", name="ViT-B-32-quickgelu", pretrained="openai")
    with pytest.raises(CellError, match=r"timm/vit_base_patch32_clip_224.openai: .*not in the"):
        weight_files(spec)
    files = {"open_clip_model.safetensors": b"weights"}
    snapshot = put(cache, "timm/vit_base_patch32_clip_224.openai", files)
    assert weight_files(spec) == [snapshot / "open_clip_model.safetensors"]
    assert origin(spec) == f"timm/vit_base_patch32_clip_224.openai@{FIRST}"


def test_unknown_names_and_tags() -> None:
    with pytest.raises(CellError, match="open_clip has no model 'ViT-Q'"):
        build(name="ViT-Q", pretrained="x")
    spec = OpenClipModel(kind="open_clip", name="ViT-B-32", pretrained="made-up")
    with pytest.raises(CellError, match="no pretrained tag 'made-up'; allowed: openai"):
        fingerprint(spec)


def test_a_suite_over_a_model_of_the_hub(
    cache: Path, tmp_path: Path, suite_file: Callable[..., Path], dataset: Callable[..., Path]
) -> None:
    put(cache, "chs20/fare2-clip", hub_files(small_clip(quick_gelu=True), quick_gelu="TRUE"))
    adapted = {"kind": "radapt", "base": "M", "anchor": {"white": "M"}, "alpha": 1.0, "cutoff": 40}
    path = suite_file(
        models={"M": {"kind": "open_clip", "name": HUB}, "R": adapted},
        datasets=[{"kind": "webdataset", "name": "set", "path": str(dataset())}],
        attacks=[{"kind": "pgd", "eps": "1/255", "steps": 2}],
        threats=["white-box", {"transfer": "M"}],
    )
    report = run_suite(path, results=tmp_path / "results")
    assert (report.cells, report.failed) == (6, 0)
    store = Store(tmp_path / "results", "small")
    assert store.lock().origins == {"M": f"chs20/fare2-clip@{FIRST}"}
    entries = json.loads((report.folder / "manifest.json").read_text()).values()
    for entry in entries:
        weights = entry["weights"] if entry["model"] == "M" else entry["weights"]["base"]
        assert weights["origin"] == f"chs20/fare2-clip@{FIRST}"
        assert entry["ran_on"]["activation"] == "quick_gelu"


# Towers over a model: the small CLIP's full checkpoint is registered under a name of open_clip's.


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("base")
    clip = small_clip(quick_gelu=True)
    config = json.loads(hub_files(clip, quick_gelu=True)["open_clip_config.json"])["model_cfg"]
    (folder / "tiny-test.json").write_text(json.dumps(config))
    open_clip.add_model_config(folder / "tiny-test.json")
    (folder / "clip.pt").write_bytes(pickled(clip.state_dict()))
    return {"name": "tiny-test", "pretrained": str(folder / "clip.pt")}


def robustvlm(state: dict[str, Tensor]) -> bytes:
    return pickled(state)


def tecoa(state: dict[str, Tensor]) -> bytes:
    """What its `save_checkpoint` writes; a best accuracy comes out of numpy's mean."""
    checkpoint = {
        "epoch": 2,
        "state_dict": {},
        "add_prompter": {"module.prompt": torch.zeros(1, 0, 768)},
        "vision_encoder_state_dict": state,
        "best_acc1": np.mean([38.0, 38.5]),
        "optimizer": {"state": {0: {"momentum_buffer": torch.zeros(3)}}, "param_groups": []},
    }
    return pickled(checkpoint)


def tecoa_of_its_time(state: dict[str, Tensor]) -> bytes:
    return as_of_numpy_1(tecoa(state))


def tga(state: dict[str, Tensor]) -> bytes:
    checkpoint = {
        "epoch": 10,
        "state_dict": {},
        "add_prompter": {"prompt": torch.zeros(1, 0, 768)},
        "best_acc1": 0.0,
        "optimizer": {"state": {}, "param_groups": [{"lr": 1e-4, "params": [0]}]},
        "vision_encoder_state_dict": state,
    }
    return pickled(checkpoint)


def parallel(state: dict[str, Tensor]) -> bytes:
    return pickled({"state_dict": {f"module.{key}": value for key, value in state.items()}})


@pytest.mark.parametrize("layout", [robustvlm, tecoa, tecoa_of_its_time, tga, parallel])
def test_tower_checkpoints(
    base: dict[str, str], tmp_path: Path, layout: Callable[[dict[str, Tensor]], bytes]
) -> None:
    state = tuned(small_clip(quick_gelu=True))
    (tmp_path / "tower.pt").write_bytes(layout(state))
    model = build(**base, tower=str(tmp_path / "tower.pt"))
    loaded = model.tower.state_dict()
    assert all(torch.equal(loaded[key], value) for key, value in state.items())
    assert model.facts()["activation"] == "quick_gelu"
    assert not any(parameter.requires_grad for parameter in model.tower.parameters())


def of_a_whole_clip(state: dict[str, Tensor]) -> bytes:
    whole = small_clip(quick_gelu=True).state_dict()
    return pickled({**whole, **{f"visual.{key}": value for key, value in state.items()}})


def test_a_tower_is_taken_out_of_a_whole_clip(base: dict[str, str], tmp_path: Path) -> None:
    state = tuned(small_clip(quick_gelu=True))
    (tmp_path / "whole.pt").write_bytes(of_a_whole_clip(state))
    loaded = build(**base, tower=str(tmp_path / "whole.pt")).tower.state_dict()
    assert all(torch.equal(loaded[key], value) for key, value in state.items())


@pytest.mark.parametrize("layout", LAYOUTS)
def test_pretrained_reads_the_layouts_that_tower_reads(
    base: dict[str, str], tmp_path: Path, layout: str
) -> None:
    clip = small_clip(seed=8, quick_gelu=True)
    (tmp_path / "whole.pt").write_bytes(pickled(WRAPPED[layout](clip.state_dict())))
    model = build(name=base["name"], pretrained=str(tmp_path / "whole.pt"))
    loaded = model.tower.state_dict()
    assert all(torch.equal(loaded[key], value) for key, value in clip.visual.state_dict().items())
    tokens = open_clip.get_tokenizer("ViT-B-32")(["a dog"])
    assert torch.allclose(model.encode_text(["a dog"]), clip.encode_text(tokens), atol=1e-6)


def as_open_clip_trains(state: dict[str, Tensor]) -> bytes:
    parallel = {f"module.{key}": value for key, value in state.items()}
    rate = {"param_groups": [{"lr": np.float64(1e-3)}]}
    return pickled({"epoch": 1, "name": "x", "state_dict": parallel, "optimizer": rate})


def in_halves(state: dict[str, Tensor]) -> bytes:
    return pickled({key: value.half() for key, value in state.items()})


@pytest.mark.parametrize("layout", [pickled, as_open_clip_trains, in_halves])
def test_a_file_is_read_as_open_clip_reads_it(
    base: dict[str, str], tmp_path: Path, layout: Callable[[dict[str, Tensor]], bytes]
) -> None:
    path = tmp_path / "whole.pt"
    path.write_bytes(layout(small_clip(seed=8, quick_gelu=True).state_dict()))
    reference = small_clip(seed=9, quick_gelu=True)
    open_clip.load_checkpoint(reference, str(path), weights_only=False)
    loaded = build(name=base["name"], pretrained=str(path)).tower.state_dict()
    expected = reference.visual.state_dict()
    assert all(torch.equal(loaded[key], value) for key, value in expected.items())


@pytest.mark.parametrize("key", ["pretrained", "tower"])
def test_torchscript_as_openai_publishes_it(base: dict[str, str], tmp_path: Path, key: str) -> None:
    clip = small_clip(quick_gelu=True)
    state = tuned(clip)
    clip.visual.load_state_dict(state)
    for name, number in (("input_resolution", 32), ("context_length", 77), ("vocab_size", 49408)):
        clip.__dict__.pop(name, None)
        clip.register_buffer(name, torch.tensor(number))
    torchscript(clip, tmp_path / "clip.pt")
    loaded = build(**{**base, key: str(tmp_path / "clip.pt")}).tower.state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in state.items())


def test_a_file_with_another_number_of_positions_is_refused(
    base: dict[str, str], tmp_path: Path
) -> None:
    """open_clip resizes the embeddings, and says so only in its log."""
    vision = {**CONFIG["vision_cfg"], "image_size": 64}
    large = small_clip(vision_cfg=vision).state_dict()
    long = small_clip(text_cfg={**CONFIG["text_cfg"], "context_length": 80}).state_dict()
    for state, message in (
        (large, r"visual\.positional_embedding has 65 positions, but the model has 17"),
        (long, r"w\.pt: positional_embedding has 80 positions, but the model has 77"),
    ):
        (tmp_path / "w.pt").write_bytes(pickled(state))
        with pytest.raises(CellError, match=message):
            build(name=base["name"], pretrained=str(tmp_path / "w.pt"))


def test_a_refusal_of_a_whole_clip_names_the_keys_that_differ(
    base: dict[str, str], tmp_path: Path
) -> None:
    state = small_clip(seed=8).state_dict()
    del state["text_projection"]
    state |= {f"head.{index}.weight": torch.ones(1) for index in range(500)}
    (tmp_path / "w.pt").write_bytes(pickled(state))
    with pytest.raises(CellError) as error:
        build(name=base["name"], pretrained=str(tmp_path / "w.pt"))
    message = str(error.value).replace(str(tmp_path), "")
    assert "1 missing (text_projection), 500 not in the model (head.0.weight)" in message
    assert len(message) <= 300


def folder_with(folder: Path, beside: Any) -> str:
    """Write a folder of open_clip whose weights are in a training state, and return its name."""
    clip = small_clip()
    state = pickled({"state_dict": clip.state_dict(), "beside": beside})
    for name, data in {**hub_files(clip), "open_clip_pytorch_model.bin": state}.items():
        (folder / name).write_bytes(data)
    return f"local-dir:{folder}"


def test_a_folders_weights_may_lie_beside_inert_values(tmp_path: Path) -> None:
    name = folder_with(tmp_path, [np.float64(1), argparse.Namespace(lr=0.1)])
    loaded = build(name=name).tower.state_dict()
    expected = small_clip().visual.state_dict()
    assert all(torch.equal(loaded[key], value) for key, value in expected.items())


def test_a_folders_weights_beside_other_objects_are_refused_in_short(tmp_path: Path) -> None:
    name = folder_with(tmp_path, SimpleNamespace(lr=0.1))
    with pytest.raises(CellError, match=r"holds an object of .* save the weights alone") as error:
        build(name=name)
    assert "weights_only" not in str(error.value)


TIMM = {"trunk.patch_embed.proj.weight": torch.ones(2, 3, 4, 4), "head.proj.weight": torch.ones(2)}


@pytest.mark.parametrize("state", [small_clip().visual.state_dict(), TIMM])
def test_a_tower_alone_is_no_whole_clip(
    base: dict[str, str], tmp_path: Path, state: dict[str, Tensor]
) -> None:
    (tmp_path / "tower.pt").write_bytes(robustvlm(state))
    with pytest.raises(CellError, match=r"tower\.pt: has only a vision tower"):
        build(name=base["name"], pretrained=str(tmp_path / "tower.pt"))


def test_openais_towers_have_the_names_of_open_clips() -> None:
    """TeCoA and TGA-ZSR tune OpenAI's implementation; this is what its tower's state holds."""
    norms = ("ln_pre", "ln_post")
    block = ("attn.in_proj_", "attn.out_proj.", "ln_1.", "ln_2.", "mlp.c_fc.", "mlp.c_proj.")
    names = {"class_embedding", "positional_embedding", "proj", "conv1.weight"}
    names |= {f"{norm}.{kind}" for norm in norms for kind in ("weight", "bias")}
    names |= {
        f"transformer.resblocks.{index}.{part}{kind}"
        for index in range(2)
        for part in block
        for kind in ("weight", "bias")
    }
    assert set(small_clip().visual.state_dict()) == names


def test_a_tower_of_another_model_is_refused(base: dict[str, str], tmp_path: Path) -> None:
    """Such as RobustVLM's, tuned from OpenAI's weights, over LAION's and their GELU."""
    (tmp_path / "tower.pt").write_bytes(robustvlm(small_clip(seed=9).visual.state_dict()))
    with pytest.raises(CellError, match=r"not fine-tuned from the image tower of tiny-test"):
        build(**base, tower=str(tmp_path / "tower.pt"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"conv1.weight": torch.zeros(4, 3, 8, 8)}, "another architecture"),
        (b"not a checkpoint", "not a checkpoint with only weights"),
        (SimpleNamespace(code="arbitrary"), "not a checkpoint with only weights"),
        (None, "no such checkpoint"),
    ],
)
def test_bad_checkpoints_are_told(
    base: dict[str, str], tmp_path: Path, content: Any, message: str
) -> None:
    path = tmp_path / "tower.pt"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else pickled(content))
    with pytest.raises(CellError, match=message):
        build(**base, tower=str(path))


@pytest.mark.large
def test_a_true_vit_l_14_from_the_hubs_layout(cache: Path, tmp_path: Path) -> None:
    """The size of RobustVLM's: 1.7 GB on disk, and far below 24 GiB in memory."""
    name = "ViT-L-14-quickgelu"
    torch.manual_seed(0)
    clip = open_clip.create_model(name)
    config = {**open_clip.get_model_config(name), "quick_gelu": "TRUE"}
    snapshot = put(
        cache,
        "chs20/fare2-clip",
        {"open_clip_config.json": json.dumps({"model_cfg": config}).encode()},
    )
    image = torch.rand(1, 3, 224, 224)
    with torch.no_grad():
        expected = clip.encode_image(normalised(image))
    torch.save(clip.state_dict(), snapshot / "open_clip_pytorch_model.bin")
    del clip
    assert (snapshot / "open_clip_pytorch_model.bin").stat().st_size > 1.7e9
    model = build()
    with torch.no_grad():
        assert torch.allclose(model.encode_image(image), expected, atol=1e-4)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB
    assert peak < 24 * 2**20
