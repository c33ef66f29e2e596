"""Members of a shard: webdataset's keys, and archives in which pairs would be a guess."""

import gzip
import io
import re
import tarfile
from pathlib import Path

import numpy as np
import pytest

from bench.core.errors import CellError
from bench.data import index_dataset, load_images, native_size
from bench.suite.specs import WebDataset
from radapt.images import open_images
from radapt.shards import first_image, read_shard
from tests.conftest import png


def shard(path: Path, *members: tuple[str, bytes], mode: str = "w") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


PAIR = (("a.png", b"A"), ("a.cls", b"0"))


@pytest.mark.parametrize("stem", ["a", "v1.0/a", "v1.0/b.c/n01.x/a-1_2", "a b/é"])
def test_a_key_ends_before_the_first_dot_of_the_file_name(tmp_path: Path, stem: str) -> None:
    path = shard(tmp_path / "0.tar", (f"{stem}.PNG", b"image"), (f"{stem}.cls", b"3"))
    (sample,) = read_shard(path)
    # webdataset 1.0's `base_plus_ext` returns the same keys
    assert (sample.key, sample.label, sample.image.read()) == (stem, 3, b"image")
    assert first_image(path) == b"image"


def test_only_the_first_dot_of_a_name_counts(tmp_path: Path) -> None:
    path = shard(tmp_path / "0.tar", *PAIR, ("a.mask.png", b"M"))
    with pytest.raises(ValueError, match=r"members that are not KEY.*: 1 \(first: a\.mask\.png"):
        list(read_shard(path))


def test_captions_and_metadata_may_stand_beside_labels(tmp_path: Path) -> None:
    folder = tarfile.TarInfo("v1.0")
    folder.type = tarfile.DIRTYPE
    path = shard(tmp_path / "0.tar", *PAIR, ("a.json", b"{}"), ("a.txt", b"x"), ("._a.png", b"?"))
    with tarfile.open(path, "a") as archive:
        archive.addfile(folder)
    assert [(s.key, s.label, s.image.read()) for s in read_shard(path)] == [("a", 0, b"A")]
    assert [(s.key, s.label) for s in read_shard(path, "txt")] == [("a", ("x",))]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ((("a.png", b"B"), ("a.cls", b"1")), r"of a key: 2 \(first: a\.png after a\.png\)"),
        ((("a.jpg", b"B"),), r"of a key: 1 \(first: a\.jpg after a\.png\)"),
        ((("a.json", b""), ("a.json", b"")), r"of a key: 1 \(first: a\.json after a\.json\)"),
        ((("b.png", b"B"), ("c.cls", b"0")), r"their image or their label: 2 \(first: b\)"),
        ((("b.gif", b"B"), ("b.cls", b"0")), r"webp.*: 1 \(first: b\.gif\); keys without.*: 1"),
        ((("README", b"B"),), r"members that are not KEY.*: 1 \(first: README\)"),
    ],
)
def test_pairs_are_not_guessed(
    tmp_path: Path, more: tuple[tuple[str, bytes], ...], message: str
) -> None:
    shard(tmp_path / "test" / "0.tar", *PAIR, *more)
    spec = classified(tmp_path)
    with pytest.raises(CellError, match=message):
        index_dataset(spec, 9, 0)
    with pytest.raises(ValueError, match=message):
        open_images(tmp_path, (8, 8), "test")


def classified(root: Path) -> WebDataset:
    """Return a dataset of one shard, with class names and a prompt."""
    (root / "test").mkdir(parents=True, exist_ok=True)
    (root / "test" / "nshards.txt").write_text("1")
    (root / "classnames.txt").write_text("cat\ndog\n")
    (root / "zeroshot_classification_templates.txt").write_text("a {c}\n")
    return WebDataset(kind="webdataset", name="set", path=str(root))


def grey(value: int) -> bytes:
    return png(np.full((4, 4, 3), value, np.uint8))


# the labels of the first and last image stand before and after both images
GREYS = (("b.cls", b"1"), ("a.png", grey(10)), ("b.png", grey(20)), ("a.cls", b"0"))


@pytest.mark.parametrize("name", ["0.tar", "0.tar.gz", "0.tgz"])
def test_compressed_shards_are_the_same_dataset(tmp_path: Path, name: str) -> None:
    plain, packed = classified(tmp_path / "plain"), classified(tmp_path / "packed")
    whole = shard(tmp_path / "plain" / "test" / "0.tar", *GREYS).read_bytes()
    (tmp_path / "packed" / "test" / name).write_bytes(gzip.compress(whole))
    lock = index_dataset(packed, 9, 0)
    assert lock == index_dataset(plain, 9, 0)
    found = load_images(packed, ("b", "a"), "native")
    assert (found.images[:, 0, 0, 0].tolist(), found.labels.tolist()) == ([20, 10], [1, 0])
    assert native_size(packed) == (4, 4)


def test_a_shard_that_is_there_uncompressed_is_read_so(tmp_path: Path) -> None:
    spec = classified(tmp_path)
    shard(tmp_path / "test" / "0.tar", *GREYS)
    shard(tmp_path / "test" / "0.tar.gz", *PAIR, mode="w:gz")
    assert index_dataset(spec, 9, 0).sample_ids == ("a", "b")


@pytest.mark.parametrize("kept", [0.3, 0.95])
def test_a_truncated_compressed_shard_is_named(tmp_path: Path, kept: float) -> None:
    spec = classified(tmp_path)
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    path = shard(tmp_path / "test" / "0.tar", ("a.png", png(noise)), ("a.cls", b"0"))
    packed = gzip.compress(path.read_bytes())
    path.write_bytes(packed[: int(len(packed) * kept)])
    with pytest.raises(CellError, match=r"0\.tar: damaged or truncated gzip file"):
        index_dataset(spec, 9, 0)
    path.write_bytes(packed[:100] + bytes(100) + packed[200:])
    with pytest.raises(CellError, match=r"0\.tar: damaged or truncated"):
        index_dataset(spec, 9, 0)


@pytest.mark.parametrize("name", ["0.tar", "0.tar.gz", "0.tgz"])
def test_training_refuses_compressed_shards(tmp_path: Path, name: str) -> None:
    classified(tmp_path)
    whole = shard(tmp_path / "whole.tar", *PAIR).read_bytes()
    (tmp_path / "test" / name).write_bytes(gzip.compress(whole))
    message = rf"{re.escape(name)}.*random order, so decompress them with gunzip"
    with pytest.raises(ValueError, match=message):
        open_images(tmp_path, (8, 8), "test")
