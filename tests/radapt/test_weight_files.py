"""Reading checkpoint files: inert values and TorchScript are read, code is not run."""

import argparse
import os
import random
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from radapt.state_dicts import load_tower, read_state
from radapt.weight_files import read_content
from tests.support.checkpoint_layouts import torchscript
from tests.support.small_clip import as_of_numpy_1, pickled, small_clip

INERT = {
    "learning rate of NumPy": {"param_groups": [{"lr": np.float64(1e-3)}]},
    "counts and flags of NumPy": [np.int64(3), np.int32(3), np.bool_(True), np.float16(0.5)],
    "names of NumPy": [np.str_("epoch"), np.dtype("float32")],
    "random states": [np.random.get_state(), random.getstate()],
    "options": argparse.Namespace(lr=0.1, output=Path("runs/1"), nested=argparse.Namespace(a=1)),
    "version of torch": torch.__version__,
}


class Code:
    """An object that writes a file when it is unpickled."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.place),)


class Sample(nn.Module):
    """A module with everything that TorchScript keeps as an attribute."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("input_resolution", torch.tensor(32))
        self.visual = nn.Sequential(nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2))
        self.halves = nn.Parameter(torch.randn(3, 2).half())
        self.turned = nn.Parameter(torch.randn(4, 3).T)
        self.sizes, self.names = [1, 2], {"a": 1.0}

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.visual(image)  # type: ignore[no-any-return]


@pytest.mark.parametrize("kind", INERT)
@pytest.mark.parametrize("of_numpy_1", [False, True])
def test_inert_values_beside_the_weights_are_read(
    tmp_path: Path, kind: str, of_numpy_1: bool
) -> None:
    written = pickled({"state_dict": {"w": torch.ones(2)}, "beside": INERT[kind]})
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(as_of_numpy_1(written) if of_numpy_1 else written)
    assert torch.equal(read_state(path)[0]["w"], torch.ones(2))
    found = read_content(path)["beside"]
    assert repr(found).replace("PurePosixPath", "PosixPath") == repr(INERT[kind])


@pytest.mark.parametrize("old_format", [False, True])
def test_code_is_not_run(tmp_path: Path, old_format: bool) -> None:
    path, place = tmp_path / "checkpoint.pt", tmp_path / "made"
    content = {"state_dict": {"w": torch.ones(1)}, "args": argparse.Namespace(x=Code(place))}
    torch.save(content, path, _use_new_zipfile_serialization=not old_format)
    with pytest.raises(ValueError, match=r"an object of posix\.mkdir, .* save the weights alone"):
        read_content(path)
    assert not place.exists()


def test_a_whole_module_is_refused_by_the_name_of_its_class(tmp_path: Path) -> None:
    torch.save(nn.Linear(1, 1), tmp_path / "m.pt")
    with pytest.raises(
        ValueError, match=r"an object of torch\.nn\.modules\.linear\.Linear"
    ) as error:
        read_content(tmp_path / "m.pt")
    assert len(str(error.value).removeprefix(str(tmp_path))) <= 300


@pytest.mark.filterwarnings("ignore:`torch.jit.load` is deprecated:DeprecationWarning")
@pytest.mark.parametrize("example", [None, torch.rand(2, 3, 4, 4)])
def test_torchscript_is_read_as_torch_reads_it(
    tmp_path: Path, example: torch.Tensor | None
) -> None:
    path = tmp_path / "archive.pt"
    torchscript(Sample().eval(), path, example)
    expected = torch.jit.load(str(path)).state_dict()
    del expected["input_resolution"]
    found, changed = read_state(path)
    assert changed and found.keys() == expected.keys()
    assert all(torch.equal(found[name], value) for name, value in expected.items())
    assert {name: value.dtype for name, value in found.items()} == {
        name: value.dtype for name, value in expected.items()
    }


def test_a_scripted_clip_of_open_clip_gives_its_tower(tmp_path: Path) -> None:
    clip = small_clip()
    path = tmp_path / "clip.pt"
    torchscript(clip, path)
    assert read_state(path)[0].keys() == clip.state_dict().keys()
    other = small_clip(seed=9).visual
    load_tower(other, path)
    images = torch.rand(2, 3, 32, 32)
    assert torch.equal(other(images), clip.visual(images))


def test_code_in_a_torchscript_archive_is_not_run(tmp_path: Path) -> None:
    """The archive's tree of modules names a function of Python."""
    path, changed = tmp_path / "scripted.pt", tmp_path / "changed.pt"
    torchscript(Sample(), path)
    evil = pickled(Code(tmp_path / "made"))
    (tmp_path / "evil.pt").write_bytes(evil)
    with zipfile.ZipFile(tmp_path / "evil.pt") as archive:
        tree = archive.read("archive/data.pkl")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(changed, "w") as new:
        for entry in old.infolist():
            own = entry.filename.endswith("/data.pkl")
            new.writestr(entry.filename, tree if own else old.read(entry))
    with pytest.raises(ValueError, match=r"an object of posix\.mkdir"):
        read_content(changed)
    assert not (tmp_path / "made").exists()


def test_an_archive_that_would_fill_the_disk_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("x/constants.pkl", b"")
        with archive.open("x/data/0", "w") as tensor:
            for _ in range(80):
                tensor.write(bytes(2**20))
    with pytest.raises(ValueError, match="its parts are far larger than the file"):
        read_content(path)


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"PK\x03\x04", b"\x80\x02}q\x00."])
def test_a_damaged_file_is_named_in_a_short_message(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.pt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"x\.pt: ") as error:
        read_state(path)
    assert len(str(error.value).removeprefix(str(tmp_path))) <= 300
