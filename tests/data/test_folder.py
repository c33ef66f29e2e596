"""Class folders, and datasets that are class folders once torchvision has brought them."""

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bench.core.errors import CellError
from bench.data import index_dataset, load_images, native_size
from bench.data.source_kinds import source_of
from bench.suite.specs import FolderDataset, TorchvisionDataset
from tests.conftest import png


def spec(root: Path, name: str = "mine") -> FolderDataset:
    return FolderDataset(kind="folder", name=name, path=str(root))


def picture(value: int, size: int = 8) -> bytes:
    return png(np.full((size, size, 3), value, np.uint8))


@pytest.fixture
def folders(tmp_path: Path) -> Callable[..., Path]:
    def make(*names: str, images: int = 2) -> Path:
        root = tmp_path / "set"
        for number, name in enumerate(names):
            (root / name).mkdir(parents=True)
            for index in range(images):
                (root / name / f"{index}.png").write_bytes(picture(10 * number + index))
        return root

    return make


def test_labels_are_the_places_of_sorted_folders(folders: Callable[..., Path]) -> None:
    root = folders("zebra_finch", "american-flag", ".hidden", images=3)
    entry = spec(root)
    lock = index_dataset(entry, 100, 0)
    assert lock.classes == ("american flag", "zebra finch")
    assert lock.templates == ("a photo of a {c}.",)
    assert "zebra_finch/0.png" in lock.sample_ids
    (root / "zebra_finch" / "images").mkdir()
    (root / "zebra_finch" / "0.png").rename(root / "zebra_finch" / "images" / "0.png")
    assert "zebra_finch/images/0.png" in index_dataset(entry, 100, 0).sample_ids
    data = load_images(entry, ("zebra_finch/1.png", "american-flag/2.png"), "native")
    assert list(data.labels) == [1, 0]
    assert list(data.images[:, 0, 0, 0]) == [1, 12]
    assert native_size(entry) == (8, 8)


def test_names_and_prompts_beside_the_images(folders: Callable[..., Path]) -> None:
    root = folders("a", "b")
    (root / "classnames.txt").write_text("first\nsecond\n")
    (root / "zeroshot_classification_templates.txt").write_text("the {c}\n")
    lock = index_dataset(spec(root), 4, 0)
    assert (lock.classes, lock.templates) == (("first", "second"), ("the {c}",))
    (root / "classnames.txt").write_text("first\n")
    with pytest.raises(CellError, match=r"classnames\.txt: got 1 class names; needed: 2"):
        index_dataset(spec(root), 4, 0)


def test_wordnet_ids_become_the_names_that_clip_gives(folders: Callable[..., Path]) -> None:
    root = folders("n01443537", "n01440764")
    assert index_dataset(spec(root), 4, 0).classes == ("tench", "goldfish")
    (root / "n99999999").mkdir()
    (root / "n99999999" / "0.png").write_bytes(picture(0))
    with pytest.raises(
        CellError, match=r"n99999999 is not a class of ImageNet-1k.*write classnames"
    ):
        index_dataset(spec(root), 4, 0)


def test_tiny_imagenet_in_its_own_layout(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    lines = []
    for index, wordnet_id in enumerate(("n01443537", "n01440764", "n01443537")):
        (tmp_path / "images" / f"val_{index}.JPEG").write_bytes(picture(index))
        lines.append(f"val_{index}.JPEG\t{wordnet_id}\t0\t32\t44\t62\n")
    (tmp_path / "val_annotations.txt").write_text("".join(lines))
    entry = spec(tmp_path)
    lock = index_dataset(entry, 100, 0)
    assert lock.classes == ("tench", "goldfish")
    assert list(load_images(entry, lock.sample_ids, "native").labels) == [1, 0, 1]
    (tmp_path / "images" / "val_1.JPEG").unlink()
    with pytest.raises(CellError, match=r"line 2: got 'val_1\.JPEG"):
        index_dataset(entry, 100, 0)


def test_identity_follows_the_chosen_content_and_all_labels(folders: Callable[..., Path]) -> None:
    root = folders("a", "b", images=3)
    entry = spec(root)
    before = index_dataset(entry, 2, 0)
    unchosen = next(
        key for key in index_dataset(entry, 9, 0).sample_ids if key not in before.sample_ids
    )
    (root / unchosen).write_bytes(picture(200))
    assert index_dataset(entry, 2, 0) == before
    (root / before.sample_ids[0]).write_bytes(picture(200))
    assert index_dataset(entry, 2, 0).fingerprint != before.fingerprint


@pytest.mark.parametrize("make", [lambda root: None, lambda root: root.mkdir()])
def test_no_folder_and_an_empty_one(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "set")
    with pytest.raises(CellError, match=r"no such dataset folder|one folder per class is needed"):
        index_dataset(spec(tmp_path / "set"), 4, 0)


def caltech256(path: Path) -> None:
    """Write an archive in Caltech-256's own layout."""
    with tarfile.open(path, "w") as archive:
        for number in range(1, 258):
            data = picture(number % 256)
            for name in ("1.jpg", "others/2.jpg"):
                info = tarfile.TarInfo(f"256_ObjectCategories/{number:03d}.thing-{number}/{name}")
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))


def test_caltech256_as_torchvision_brings_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bench.core.torchvision_shim import ensure_torchvision

    ensure_torchvision()
    from torchvision.datasets import utils

    calls = []

    def download(url: str, root: str, md5: str) -> None:
        calls.append(url)
        Path(root).mkdir(parents=True, exist_ok=True)
        caltech256(Path(root) / "archive.tar")
        utils.extract_archive(f"{root}/archive.tar", root)
        if len(calls) == 1:
            raise RuntimeError("File not found or corrupted.")

    monkeypatch.setattr(utils, "download_and_extract_archive", download)
    entry = TorchvisionDataset(kind="torchvision", name="caltech256", root=str(tmp_path))
    with pytest.raises(CellError, match=r"could not be downloaded to .*corrupted.*run again"):
        index_dataset(entry, 4, 0)
    assert source_of(entry).missing(0) == f"{tmp_path}/caltech256 is missing or incomplete"
    with pytest.raises(CellError, match="missing or incomplete; run `fetch`"):
        load_images(entry, (), "native")
    lock = index_dataset(entry, 4, 0)
    assert len(calls) == 2
    assert len(lock.classes) == 257
    assert lock.classes[0] == "thing 1"
    assert len(index_dataset(entry, 1000, 0).sample_ids) == 257
    assert source_of(entry).missing(0) is None
    assert load_images(entry, lock.sample_ids, "native").images.shape == (4, 3, 8, 8)
    assert len(calls) == 2
