"""Presets of papers against the operations that the papers' code calls."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from bench.core.errors import SuiteError
from bench.core.resolved_names import Lock
from bench.core.torchvision_shim import ensure_torchvision
from bench.data import fit
from bench.models.clip import resized
from bench.plan.cells import expand
from bench.results.protocol_summary import pixels
from bench.suite.load import load_suite
from bench.suite.specs import PRESETS, Pixels, Resize

ensure_torchvision()
from torchvision.transforms import v2  # noqa: E402

Write = Callable[..., Path]
SIZE = (224, 224)


@pytest.mark.parametrize("side", [32, 96])
def test_fares_resizing_is_torchvisions_on_tensors(side: int) -> None:
    images = torch.rand(2, 3, side, side)
    resize = v2.Resize(224, v2.InterpolationMode.BICUBIC, antialias=False)
    assert torch.equal(resized(images, SIZE, PRESETS["fare-paper"].resize), resize(images))


@pytest.mark.parametrize("side", [32, 96])
def test_tecoas_resizing_is_torchs_upsampling(side: int) -> None:
    images = torch.rand(2, 3, side, side)
    upsampled = torch.nn.Upsample(SIZE, mode="bicubic")(images)
    assert torch.equal(resized(images, SIZE, PRESETS["tecoa-paper"].resize), upsampled)


def test_antialiasing_counts_where_images_grow_too() -> None:
    """The kernel itself is another, as the guide says: by 0.016 in the mean on noise."""
    images = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    plain, smooth = (
        resized(images, SIZE, Resize(antialias=flag, clamp=False)) for flag in (False, True)
    )
    assert float((plain - smooth).abs().mean()) == pytest.approx(0.016, abs=0.001)
    assert float(resized(images, SIZE, Resize(antialias=False)).max()) == 1.0
    assert float(plain.max()) > 1.0


@pytest.mark.parametrize("shape", [(300, 500), (640, 257), (100, 90)])
def test_tecoas_crop_is_torchvisions_on_pictures(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (*shape, 3), dtype=np.uint8))
    theirs = v2.CenterCrop(224)(v2.Resize(256)(image))
    chosen = PRESETS["tecoa-paper"].pixels
    assert isinstance(chosen, Pixels)
    assert np.array_equal(np.asarray(fit(image, chosen)), np.asarray(theirs))


def test_a_crop_may_be_a_squash_on_some_datasets(suite_file: Write) -> None:
    both = ["cifar10", "digits"]
    suite = load_suite(suite_file(protocol="tga-paper", datasets=both))
    assert pixels(suite, both) == "224 crop of 256 bilinear; 224 squash bilinear: cifar10"
    with pytest.raises(SuiteError, match="both `native` and `squash` name cifar10"):
        load_suite(suite_file(protocol={"preset": "tga-paper", "native": ["cifar10"]}))


def test_small_datasets_keep_their_size(suite_file: Write) -> None:
    suite = load_suite(suite_file(protocol="fare-paper", datasets=["cifar10", "digits"]))
    assert suite.protocol.pixels_of("cifar10") == "native"
    assert str(suite.protocol.pixels_of("digits")) == "224 crop"
    assert pixels(suite, ["digits", "cifar10"]) == "224 crop; native: cifar10"
    assert pixels(suite, ["cifar10"]) == "native"
    # by what it is, not by how it is said
    protocol = {"preset": "fare-paper", "native": [], "pixels": "native"}
    other = load_suite(suite_file(protocol=protocol, datasets=["cifar10", "digits"]))
    same = {cell.id for cell in expand(suite, Lock())} & {cell.id for cell in expand(other, Lock())}
    assert {cell.dataset for cell in expand(suite, Lock()) if cell.id in same} == {"cifar10"}


def test_what_changes_a_number_changes_the_identity(suite_file: Write) -> None:
    def ids(**changes: Any) -> set[str]:
        protocol = {"preset": "radapt-paper", **changes}
        return {cell.id for cell in expand(load_suite(suite_file(protocol=protocol)), Lock())}

    base = ids()
    assert base == ids(native=[], resize={"kernel": "bicubic"}, clean="sample")
    size = {"size": 224, "fit": "crop"}
    crop = ids(pixels=size)
    assert crop == ids(pixels={**size, "kernel": "bicubic", "short": None})
    for other in (
        ids(native=["cifar10"]),
        ids(resize={"antialias": False}),
        ids(resize={"clamp": False}),
        ids(resize={"kernel": "bilinear"}),
        ids(pixels={**size, "short": 256}) - crop,
        ids(pixels={**size, "kernel": "bilinear"}) - crop,
    ):
        assert other
        assert not base & other


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pixels": {"size": 224, "fit": "crop", "short": 200}}, "`short` must be at least `size`"),
        ({"pixels": {"size": 224, "fit": "squash", "short": 256}}, "needs `fit: crop`"),
        ({"resize": {"kernel": "lanczos"}}, r"protocol\.resize\.kernel: got 'lanczos'"),
        ({"resize": {"sharpen": True}}, r"protocol\.resize\.sharpen: unknown key"),
        ({"clean": "some"}, r"protocol\.clean: got 'some'"),
    ],
)
def test_faults_are_told(suite_file: Write, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SuiteError, match=message):
        load_suite(suite_file(protocol={"preset": "radapt-paper", **changes}))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            {"kind": "open_clip", "name": "ViT-B-32", "pretrained": "x", "revision": "v1"},
            "only hf-hub: names have a `revision`",
        ),
        (
            {"kind": "open_clip", "name": "hf-hub:a/b", "pretrained": "x"},
            "has its own weights; remove `pretrained`",
        ),
        ({"kind": "open_clip", "name": "ViT-B-32"}, "`pretrained` is needed"),
        ({"kind": "open_clip", "name": "hf-hub:../x"}, "must be hf-hub:OWNER/NAME"),
        ({"kind": "hugging_face"}, r"models\.M\.name: missing"),
    ],
)
def test_faults_of_models_are_told(suite_file: Write, model: dict[str, str], message: str) -> None:
    with pytest.raises(SuiteError, match=message):
        load_suite(suite_file(models={"M": model}, threats=["white-box"]))
