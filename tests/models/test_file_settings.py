"""What a file of weights does not contain: refused where open_clip's tags differ, else as set."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from pydantic import ValidationError
from torch import Tensor

from bench.core.errors import CellError
from bench.core.resolved_names import Lock
from bench.core.torchvision_shim import ensure_torchvision
from bench.hub.weights import check_before_download, own_files, weight_files
from bench.models import ClipModel, build_model
from bench.plan.identity import model_identity, spec_digests
from bench.plan.resolve import fingerprint
from bench.suite.load import Suite, load_suite
from bench.suite.specs import OpenClipModel
from radapt import Anchor, extract_anchor
from radapt.cli.main import main
from radapt.clip import load_clip
from tests.support.hub_cache import offline, put
from tests.support.small_clip import CONFIG, MEAN, STD, pickled, small_clip

ensure_torchvision()
import open_clip  # noqa: E402
from open_clip import factory, pretrained  # noqa: E402
from open_clip.transform import PreprocessCfg  # noqa: E402

IMAGES = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
HALF = [0.5, 0.5, 0.5]
HALVES = {"mean": HALF, "std": HALF}
TAGGED = [
    name for name in open_clip.list_models() if pretrained.list_pretrained_tags_by_model(name)
]


@pytest.fixture
def file(tmp_path: Path) -> str:
    (tmp_path / "w.pt").write_bytes(pickled(small_clip().state_dict()))
    return str(tmp_path / "w.pt")


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Register the small CLIP as `tiny`, with no tags."""
    monkeypatch.setitem(factory._MODEL_CONFIGS, "tiny", CONFIG)


def spec(**fields: Any) -> OpenClipModel:
    return OpenClipModel(kind="open_clip", **fields)


def build(**fields: Any) -> ClipModel:
    model = build_model(spec(**fields), torch.device("cpu"), lambda name: pytest.fail(name))
    assert isinstance(model, ClipModel)
    return model


def refusal(**fields: Any) -> str:
    with pytest.raises(CellError) as error:
        weight_files(spec(**fields))
    return str(error.value)


def lines(message: str) -> list[str]:
    return re.findall("`([^`]*)`", message)


def expected(clip: Any, mean: Any, std: Any) -> Tensor:
    """Return the embeddings of open_clip's own model of images normalised by hand."""
    mean, std = (torch.tensor(values)[:, None, None] for values in (mean, std))
    embeddings: Tensor = clip.encode_image((IMAGES - mean) / std)
    return embeddings


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("ViT-B-16-SigLIP", "preprocess: {mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5]}"),
        ("MobileCLIP-S1", "preprocess: {mean: [0.0, 0.0, 0.0], std: [1.0, 1.0, 1.0]}"),
        (
            "ViT-L-14-CLIPA",
            "preprocess: {mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225]}",
        ),
    ],
)
def test_a_file_is_refused_with_the_line_that_open_clips_tags_agree_on(
    file: str, name: str, line: str
) -> None:
    assert lines(refusal(name=name, pretrained=file)) == [line]
    check_before_download(spec(name=name, pretrained=file, **yaml.safe_load(line)))


@pytest.mark.parametrize("name", TAGGED)
def test_a_file_needs_no_setting_only_where_all_tags_build_what_it_builds(
    file: str, name: str
) -> None:
    default = PreprocessCfg()  # open_clip's, for a file
    tags = [
        pretrained.get_pretrained_cfg(name, tag)
        for tag in pretrained.list_pretrained_tags_by_model(name)
    ]
    values = {(tag["mean"], tag["std"]) for tag in tags}
    wanted = set()
    if values != {(default.mean, default.std)}:
        wanted.add("preprocess")
    quick = bool(open_clip.get_model_config(name).get("quick_gelu"))
    if not quick and any(tag.get("quick_gelu") for tag in tags):
        wanted.add("activation")
    if not wanted:
        check_before_download(spec(name=name, pretrained=file))
        assert own_files(spec(name=name, pretrained=file)) == [Path(file)]
        return
    found = [yaml.safe_load(line) for line in lines(refusal(name=name, pretrained=file))]
    assert {key for line in found for key in line} == wanted
    offered = [each["preprocess"] for each in found if "preprocess" in each]
    if "preprocess" in wanted:
        assert {(tuple(each["mean"]), tuple(each["std"])) for each in offered} == values


@pytest.mark.parametrize("name", ["ViT-B-32", "ViT-B/32"])
def test_a_file_under_a_name_with_a_quick_gelu_twin_says_its_activation(
    file: str, name: str
) -> None:
    message = refusal(name=name, pretrained=file)
    assert lines(message) == ["activation: quick_gelu", "activation: gelu"]
    assert "openai" in message and "laion2b_e16" in message
    weight_files(spec(name=name, pretrained=file, activation="gelu"))
    weight_files(spec(name="ViT-B-32-quickgelu", pretrained=file))


def test_a_twin_without_tags_is_enough(
    tiny: None, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    weight_files(spec(name="tiny", pretrained=file))
    quick = {**CONFIG, "quick_gelu": True}
    monkeypatch.setitem(factory._MODEL_CONFIGS, "tiny-quickgelu", quick)
    offered = lines(refusal(name="tiny", pretrained=file))
    assert offered == ["activation: quick_gelu", "activation: gelu"]


def test_tags_that_disagree_are_all_named(file: str) -> None:
    message = refusal(name="ViT-L-14", pretrained=file, activation="gelu")
    shown = [yaml.safe_load(line)["preprocess"] for line in lines(message)]
    assert shown == [{"mean": list(MEAN), "std": list(STD)}, HALVES]
    assert "(as laion2b_s32b_b82k)" in message


@pytest.mark.parametrize("settings", [{"preprocess": HALVES}, {"activation": "gelu"}])
@pytest.mark.parametrize("name", ["hf-hub:a/b", "local-dir:folder"])
def test_a_repository_has_both_in_its_configuration(name: str, settings: dict[str, Any]) -> None:
    (key,) = settings
    with pytest.raises(ValidationError, match=f"has its `{key}` in its configuration"):
        spec(name=name, **settings)


@pytest.mark.parametrize(
    "wrong",
    [
        {"mean": HALF},
        {"mean": HALF, "std": [0.5, 0.5]},
        {"mean": HALF, "std": [0.5, 0.0, 0.5]},
        {"mean": [float("nan"), 0.5, 0.5], "std": HALF},
    ],
)
def test_a_normalisation_has_three_means_and_three_positive_deviations(
    wrong: dict[str, Any],
) -> None:
    with pytest.raises(ValidationError, match="preprocess"):
        spec(name="ViT-B-32", pretrained="w.pt", preprocess=wrong)


# --- what is built --------------------------------------------------------------------------------


def test_the_normalisation_of_the_suite_is_used(tiny: None, file: str) -> None:
    clip = small_clip()
    plain = build(name="tiny", pretrained=file)
    assert torch.allclose(plain.encode_image(IMAGES), expected(clip, MEAN, STD), atol=1e-5)
    model = build(name="tiny", pretrained=file, preprocess=HALVES)
    assert (model.facts()["mean"], model.facts()["std"]) == ("0.5 0.5 0.5", "0.5 0.5 0.5")
    assert torch.allclose(model.encode_image(IMAGES), expected(clip, HALF, HALF), atol=1e-5)


def test_the_activation_of_the_suite_is_used(tiny: None, file: str) -> None:
    for quick, activation in ((True, "quick_gelu"), (False, "gelu")):
        model = build(name="tiny", pretrained=file, activation=activation)
        assert model.facts()["activation"] == activation
        clip = small_clip(quick_gelu=quick)
        assert torch.allclose(model.encode_image(IMAGES), expected(clip, MEAN, STD), atol=1e-5)
        tokens = open_clip.get_tokenizer("ViT-B-32")(["a dog"])
        assert torch.allclose(model.encode_text(["a dog"]), clip.encode_text(tokens), atol=1e-6)


def test_an_activation_that_the_model_cannot_have_is_refused(
    file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = {**CONFIG, "quick_gelu": True}
    monkeypatch.setitem(factory._MODEL_CONFIGS, "tiny-quickgelu", quick)
    with pytest.raises(CellError, match=r"got 'gelu', but .* have quick_gelu; remove"):
        build(name="tiny-quickgelu", pretrained=file, activation="gelu")


# --- identities -----------------------------------------------------------------------------------


def test_a_tag_and_a_file_of_the_same_weights_share_no_identity_unless_they_are_equal(
    tiny: None, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {"hf_hub": "me/tiny/", "mean": tuple(HALF), "std": tuple(HALF)}
    monkeypatch.setitem(pretrained._PRETRAINED, "tiny", {"webli": known})
    offline(monkeypatch, tmp_path / "hub")
    put(tmp_path / "hub", "me/tiny", {"open_clip_pytorch_model.bin": Path(file).read_bytes()})
    tag = {"name": "tiny", "pretrained": "webli"}
    (line,) = lines(refusal(name="tiny", pretrained=file))
    right = {"name": "tiny", "pretrained": file, **yaml.safe_load(line)}
    wrong = {**right, "preprocess": {"mean": MEAN, "std": STD}}
    assert fingerprint(spec(**tag)) == fingerprint(spec(**right)) == fingerprint(spec(**wrong))
    by_tag, by_file, as_clip = (build(**each) for each in (tag, right, wrong))
    assert torch.equal(by_tag.encode_image(IMAGES), by_file.encode_image(IMAGES))
    assert not torch.allclose(by_tag.encode_image(IMAGES), as_clip.encode_image(IMAGES), atol=0.01)
    identities = [spec(**each).identity("hash", lambda name: {}) for each in (tag, wrong)]
    assert identities[0] != identities[1]


def test_a_file_that_has_the_name_of_a_tag_is_the_file(
    tiny: None, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is what the identity hashes; open_clip alone would take the tag."""
    known = {"hf_hub": "me/tiny/", "mean": MEAN, "std": STD}
    monkeypatch.setitem(pretrained._PRETRAINED, "tiny", {"webli": known})
    offline(monkeypatch, tmp_path / "hub")
    other = pickled(small_clip(seed=9).state_dict())
    put(tmp_path / "hub", "me/tiny", {"open_clip_pytorch_model.bin": other})
    monkeypatch.chdir(tmp_path)
    Path(file).rename("webli")
    wanted = small_clip().visual.state_dict()["proj"]
    assert torch.equal(build(name="tiny", pretrained="webli").tower.state_dict()["proj"], wanted)
    assert torch.equal(load_clip("tiny:webli").tower.state_dict()["proj"], wanted)


def test_unset_settings_are_in_no_identity_and_no_digest(suite_file: Callable[..., Path]) -> None:
    def suite(**settings: Any) -> Suite:
        model = {"kind": "open_clip", "name": "ViT-B-32", "pretrained": "w.pt", **settings}
        return load_suite(suite_file(models={"M": model}, threats=["white-box"]))

    plain = suite()
    assert model_identity(plain, Lock({"M": "hash"}), "M") == {
        "kind": "open_clip", "name": "ViT-B-32", "fingerprint": "hash",
    }  # fmt: skip
    assert plain.models["M"].settings().keys() == {
        "kind", "name", "pretrained", "tower", "revision",
    }  # fmt: skip
    for settings in ({"activation": "gelu"}, {"preprocess": HALVES}):
        changed = suite(**settings)
        identity = model_identity(changed, Lock({"M": "hash"}), "M")
        assert {key: json.loads(json.dumps(identity[key])) for key in settings} == settings
        assert spec_digests(changed)["models.M"] != spec_digests(plain)["models.M"]


# --- the command line of radapt -------------------------------------------------------------------


def anchor_of(*arguments: str) -> int:
    return main(["anchor", "--device", "cpu", "--model", *arguments])


def test_radapt_refuses_a_file_as_a_suite_does(
    file: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    reference, out = f"ViT-L-14:{file}", str(tmp_path / "a.safetensors")
    assert anchor_of(reference, "--out", out) == 2
    message = capsys.readouterr().err
    offered = lines(message)
    suite = refusal(name="ViT-L-14", pretrained=file)
    for given in (message, suite):
        assert "weights of ViT-L-14 in a file do not tell the normalisation of images" in given
    assert offered == [
        f"--mean {' '.join(map(str, MEAN))} --std {' '.join(map(str, STD))}",
        "--mean 0.5 0.5 0.5 --std 0.5 0.5 0.5",
        "--activation quick_gelu",
        "--activation gelu",
    ]
    assert len(lines(suite)) == len(offered)
    assert not Path(out).exists()


def test_radapts_options_decide_what_a_file_does_not_contain(
    tiny: None, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {"hf_hub": "me/tiny/", "mean": tuple(HALF), "std": tuple(HALF), "quick_gelu": True}
    monkeypatch.setitem(pretrained._PRETRAINED, "tiny", {"webli": known})
    out = tmp_path / "a.safetensors"
    half = ["0.5"] * 3
    chosen = ["--mean", *half, "--std", *half, "--activation", "quick_gelu"]
    assert anchor_of(f"tiny:{file}", *chosen, "--out", str(out)) == 0
    tower = small_clip(quick_gelu=True).visual
    wanted = extract_anchor(tower, mean=tuple(HALF), std=tuple(HALF))
    assert torch.allclose(Anchor.load(out).value, wanted.value, atol=1e-5)
    assert not torch.allclose(extract_anchor(tower).value, wanted.value, atol=1e-3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--mean 0.5 0.5 0.5", "got only one of them"),
        ("--mean 0.5 0.5 0.5 --std 0.5 0 0.5", "std above 0"),
        ("--mean 0.5 nan 0.5 --std 1 1 1", "std above 0"),
        ("--activation gelu", "got 'gelu', but the layers of tiny have quick_gelu"),
    ],
)
def test_options_that_cannot_be_used_are_refused(
    file: str,
    options: str,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(factory._MODEL_CONFIGS, "tiny", {**CONFIG, "quick_gelu": True})
    assert anchor_of(f"tiny:{file}", *options.split(), "--out", "x.safetensors") == 2
    assert message in capsys.readouterr().err
