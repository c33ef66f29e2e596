"""Images of any mode and size, against open_clip's own transform."""

import io
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import EpsImagePlugin, Image

from bench.core.errors import CellError
from bench.core.torchvision_shim import ensure_torchvision
from bench.data import load_images, native_size
from bench.data.decode import decode
from bench.suite.specs import FolderDataset, Pixels
from radapt.images import open_images
from radapt.pictures import to_rgb

RNG = np.random.default_rng(0)


def noise(*shape: int) -> NDArray[np.uint8]:
    return RNG.integers(0, 256, shape, dtype=np.uint8)


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def palette(transparency: bytes | None = None) -> bytes:
    options = {} if transparency is None else {"transparency": transparency}
    return encoded(Image.fromarray(noise(40, 30, 3)).quantize(16), **options)


MODES = {
    "RGB": encoded(Image.fromarray(noise(40, 30, 3))),
    "L": encoded(Image.fromarray(noise(40, 30))),
    "1": encoded(Image.fromarray(noise(40, 30)).convert("1")),
    "LA": encoded(Image.fromarray(noise(40, 30, 2), "LA")),
    "RGBA": encoded(Image.fromarray(noise(40, 30, 4), "RGBA")),
    "P": palette(),
    "CMYK": encoded(Image.fromarray(noise(40, 30, 3)).convert("CMYK"), "JPEG"),
    "webp": encoded(Image.fromarray(noise(40, 30, 3)), "WEBP", lossless=True),
    "webp with alpha": encoded(Image.fromarray(noise(40, 30, 4), "RGBA"), "WEBP", lossless=True),
}


@pytest.mark.parametrize("fit", ["crop", "squash"])
@pytest.mark.parametrize("mode", MODES)
def test_equals_open_clips_own_transform_to_the_last_bit(mode: str, fit: str) -> None:
    ensure_torchvision()
    from open_clip.transform import image_transform

    resize = {"crop": "shortest", "squash": "squash"}[fit]
    transform = image_transform(
        24, is_train=False, mean=(0, 0, 0), std=(1, 1, 1), resize_mode=resize
    )
    image = Image.open(io.BytesIO(MODES[mode]))
    # CLIP_benchmark's webdatasets hand RGB to the transform, whatever was encoded
    expected = transform(image.convert("RGB"))
    found = decode(MODES[mode], Pixels(size=24, fit=fit), "here")
    assert found.dtype == np.uint8
    assert np.array_equal(found.astype(np.float32) / 255, expected.numpy())
    if mode in ("RGB", "L", "webp"):
        assert np.array_equal(expected.numpy(), transform(image).numpy())


def test_transparent_palettes_warn_nobody() -> None:
    data = palette(b"\x00\x10\xff")
    found = decode(data, "native", "here")
    with Image.open(io.BytesIO(data)) as image:
        colours = np.array(image.getpalette(), np.uint8).reshape(-1, 3)[np.asarray(image)]
    assert np.array_equal(found.transpose(1, 2, 0), colours)


def test_sixteen_bits_keep_their_greys() -> None:
    ramp = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
    found = decode(encoded(Image.fromarray(ramp)), "native", "here")
    assert np.array_equal(found[0], (ramp >> 8).astype(np.uint8))
    assert (found[0] == found[1]).all()
    assert (found[0] == found[2]).all()
    wide = Image.fromarray(ramp.astype(np.int32))
    assert wide.mode == "I"
    assert np.array_equal(np.asarray(to_rgb(wide))[..., 0], (ramp >> 8).astype(np.uint8))


def test_training_and_measuring_see_the_same_pixels(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 32 * 32).reshape(32, 32).astype(np.uint16)
    sixteen = {f"I {kind}": encoded(Image.fromarray(ramp), kind) for kind in ("PNG", "PPM", "TIFF")}
    wide = encoded(Image.fromarray((ramp >> 8).astype(np.uint8)))
    for name, data in {**MODES, **sixteen}.items():
        place = tmp_path / name
        for class_ in ("cat", "dog"):
            (place / class_).mkdir(parents=True)
            (place / class_ / "0.png").write_bytes(data)
        measured = decode(data, "native", "here")
        trained, _ = open_images(place, measured.shape[1:])[0]
        assert np.array_equal((trained.numpy() * 255).round(), measured), name
        if name in sixteen:
            assert np.array_equal(measured, decode(wide, "native", "here")), name
            assert measured.mean() / 255 == pytest.approx(0.5, abs=0.001)


def test_floating_point_pixels_have_no_known_range() -> None:
    data = encoded(Image.fromarray(RNG.random((8, 8), dtype=np.float32)), "TIFF")
    with pytest.raises(CellError, match=r"here: the image cannot be decoded.*floating-point"):
        decode(data, "native", "here")


@pytest.mark.parametrize("data", [b"", b"nothing", MODES["RGB"][:200], MODES["CMYK"][:300]])
def test_what_cannot_be_decoded_is_named(data: bytes) -> None:
    with pytest.raises(CellError, match="here: the image cannot be decoded"):
        decode(data, "native", "here")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "PPM", "BMP", "TIFF", "WEBP", "GIF", "MPO"])
def test_formats_that_image_folders_have_are_read(kind: str) -> None:
    grey = Image.fromarray(np.full((8, 8, 3), 128, np.uint8))
    options = {"save_all": True, "append_images": [grey]} if kind == "MPO" else {}
    assert (decode(encoded(grey, kind, **options), "native", "here") == 128).all()


EPS = b"""%!PS-Adobe-3.0 EPSF-3.0
%%BoundingBox: 0 0 8 8
%%EndComments
%%EndProlog
(marker) (w) file closefile
showpage
%%EOF
"""


@pytest.fixture
def postscript(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Return a folder of classes whose images are EPS, and what a Ghostscript would write."""
    marker, tools = tmp_path / "marker", tmp_path / "bin"
    tools.mkdir()
    (tools / "gs").write_text(f"#!/bin/sh\necho run > {marker}\n")
    (tools / "gs").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None)
    for name in ("cat", "dog"):
        (tmp_path / "set" / name).mkdir(parents=True)
        (tmp_path / "set" / name / "a.png").write_bytes(EPS)
    return tmp_path / "set", marker


def test_no_image_starts_a_program(postscript: tuple[Path, Path]) -> None:
    folder, marker = postscript
    spec = FolderDataset(kind="folder", name="set", path=str(folder))
    with pytest.raises(CellError, match=r"cat/a\.png: the image cannot be decoded \(allowed form"):
        load_images(spec, ("cat/a.png",), "native")
    assert native_size(spec) is None
    with pytest.raises(ValueError, match=r"a\.png at byte 0: the image cannot be decoded"):
        open_images(folder, (8, 8))[0]
    assert not marker.exists()
    with Image.open(io.BytesIO(EPS)) as image, pytest.raises(OSError):  # were it not for us
        image.load()
    assert marker.exists()


@pytest.mark.parametrize("more", [1.5, 3.0])  # of the first Pillow only warns
def test_images_that_would_fill_the_memory_are_refused(
    monkeypatch: pytest.MonkeyPatch, more: float
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", int(40 * 30 / more))
    with pytest.raises(CellError, match=r"here: .*more than \d+ pixels"):
        decode(MODES["RGB"], "native", "here")
