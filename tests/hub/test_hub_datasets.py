"""Datasets of the hub, from a local server that stands in for it."""

import errno
import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import constants

from bench.core.errors import CellError
from bench.data import index_dataset, load_captioned, load_images, native_size, read_labels
from bench.data.source_kinds import source_of
from bench.hub import files as client
from bench.hub.files import HubFile, NoSuchFile, fetch_file
from bench.suite.specs import HubDataset, WebDataset
from tests.conftest import png, write_shard
from tests.support.hub_server import COMMIT, Hub

Maker = Callable[..., Path]
REPO = "someone/wds_set"
SPEC = HubDataset(kind="hub", name="set", repo=REPO)


@pytest.fixture
def served(hub: Hub, dataset: Maker) -> Hub:
    hub.add(REPO, dataset())
    return hub


def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


def test_a_copy_of_the_hub_has_the_ids_of_a_local_folder(
    served: Hub, dataset: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = index_dataset(SPEC, 5, 0)
    local = index_dataset(WebDataset(kind="webdataset", name="set", path=str(dataset())), 5, 0)
    assert lock.origin == f"{REPO}@{COMMIT}"
    assert (lock.fingerprint, lock.sample_ids) == (local.fingerprint, local.sample_ids)
    assert (lock.classes, lock.templates) == (local.classes, local.templates)
    offline(monkeypatch)
    served.log.clear()
    data = load_images(SPEC, lock.sample_ids, "native")
    assert list(data.labels) == [int(key[1:]) % 3 for key in lock.sample_ids]
    assert index_dataset(SPEC, 5, 0) == lock
    assert served.log == []


def test_what_is_here_is_not_brought_again(served: Hub) -> None:
    index_dataset(SPEC, 5, 0)
    assert len(served.bodies()) == 2
    served.log.clear()
    index_dataset(SPEC, 5, 0)
    assert [method for method, _, _ in served.log] == ["HEAD"]  # which commit `main` is now
    served.log.clear()
    index_dataset(SPEC.model_copy(update={"revision": COMMIT}), 5, 0)
    assert served.log == []


def test_a_broken_connection_is_taken_up_where_it_broke(
    served: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1000)
    size = len(served.repos[REPO]["test/1.tar"])
    served.cut["test/1.tar"] = 10_300
    come: list[int] = []
    path = fetch_file(HubFile(REPO, "test/1.tar"), come.append)
    assert path.read_bytes() == served.repos[REPO]["test/1.tar"]
    ranges = [given for _, place, given in served.log if place.startswith("/cdn/")]
    assert ranges == [None, "bytes=10000-"]
    assert sum(come) == size


def test_a_hub_that_fails_is_not_one_that_lacks_the_file(served: Hub) -> None:
    """Else the next of some alternatives would be taken, and the number be another's."""
    served.failing.add("test/1.tar")
    with pytest.raises(CellError) as failed:
        fetch_file(HubFile(REPO, "test/1.tar"))
    assert not isinstance(failed.value, NoSuchFile)
    with pytest.raises(NoSuchFile):
        fetch_file(HubFile(REPO, "test/9.tar"))


def test_a_dataset_without_names_lacks_the_names(served: Hub) -> None:
    del served.repos[REPO]["classnames.txt"]
    with pytest.raises(CellError, match=r"no file classnames\.txt"):
        index_dataset(SPEC, 5, 0)


def test_a_wrong_checksum_is_told_and_not_kept(served: Hub, tmp_path: Path) -> None:
    served.forged.add("test/1.tar")
    promised = hashlib.sha256(served.repos[REPO]["test/1.tar"]).hexdigest()
    with pytest.raises(CellError, match=rf"test/1\.tar has the checksum .*{promised[:12]}; the"):
        index_dataset(SPEC, 5, 0)
    assert not list((tmp_path / "cache").rglob("1.tar"))
    assert not list((tmp_path / "cache").rglob(promised))
    served.forged.clear()
    assert len(index_dataset(SPEC, 100, 0).sample_ids) == 12


def test_damage_on_the_disk_is_found(served: Hub) -> None:
    index_dataset(SPEC, 5, 0)
    path = fetch_file(HubFile(REPO, "test/0.tar")).resolve()
    data = bytearray(path.read_bytes())
    data[700] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(1, 1))
    with pytest.raises(CellError, match="the damaged copy is removed, run again"):
        index_dataset(SPEC, 5, 0)
    assert len(index_dataset(SPEC, 100, 0).sample_ids) == 12


def test_files_that_repositories_share_keep_their_checksum(served: Hub, tmp_path: Path) -> None:
    lock = index_dataset(SPEC, 5, 0)
    path = fetch_file(HubFile(REPO, "test/0.tar"))
    blob = path.parent / path.readlink()
    shared = tmp_path / "cache" / "blobs" / "ab" / ("ab" * 32)  # called by another kind of hash
    shared.parent.mkdir(parents=True)
    blob.rename(shared)
    blob.symlink_to(shared)
    assert index_dataset(SPEC, 5, 0) == lock
    shared.write_bytes(shared.read_bytes()[:-1] + b"!")
    with pytest.raises(CellError, match="the damaged copy is removed"):
        index_dataset(SPEC, 5, 0)
    assert index_dataset(SPEC, 5, 0) == lock


def test_half_a_file_is_never_read(served: Hub, tmp_path: Path) -> None:
    digest = hashlib.sha256(served.repos[REPO]["test/0.tar"]).hexdigest()
    blobs = tmp_path / "cache" / "datasets--someone--wds_set" / "blobs"
    blobs.mkdir(parents=True)
    (blobs / f"{digest}.12345678.incomplete").write_bytes(served.repos[REPO]["test/0.tar"][:999])
    assert len(index_dataset(SPEC, 100, 0).sample_ids) == 12


def test_few_shards_are_chosen_by_the_seed(hub: Hub, tmp_path: Path, dataset: Maker) -> None:
    root = dataset(count=4)
    (root / "test" / "nshards.txt").write_text("8\n")
    for shard in range(8):
        pixels = png(np.full((8, 8, 3), shard, np.uint8))
        files = [(f"s{shard}{i}.{end}", pixels) for i in range(3) for end in ("png",)]
        files += [(f"s{shard}{i}.cls", b"1") for i in range(3)]
        write_shard(root / "test" / f"{shard}.tar", sorted(files))
    hub.add(REPO, root)
    spec = SPEC.model_copy(update={"shards": 2})
    lock = index_dataset(spec, 4, 0)
    assert len(hub.bodies()) == 2
    shards = {key[1] for key in index_dataset(spec, 100, 0).sample_ids}
    assert len(shards) == 2
    assert {key[1] for key in lock.sample_ids} <= shards
    assert lock == index_dataset(spec, 4, 0)
    seeds = [{key[1] for key in index_dataset(spec, 100, s).sample_ids} for s in range(1, 5)]
    assert any(other != shards for other in seeds)
    images = load_images(spec, lock.sample_ids, "native").images
    assert [str(picture[0, 0, 0]) for picture in images] == [key[1] for key in lock.sample_ids]
    assert source_of(spec).missing(0) is None
    assert index_dataset(SPEC, 100, 0).fingerprint != lock.fingerprint
    # now the cache has all shards; labels are still those of the subset
    assert read_labels(spec, lock, 0) == dict.fromkeys(lock.sample_ids, 1)


def test_captions(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "captioned"
    files = []
    for index in range(4):
        files.append((f"s{index}.png", png(np.full((8, 8, 3), index, np.uint8))))
        files.append((f"s{index}.txt", f"a {index}\nanother {index}\n\nthird".encode()))
    write_shard(root / "test" / "0.tar", files)
    (root / "test" / "nshards.txt").write_text("1\n")
    (root / "dataset_type.txt").write_text("retrieval\n")
    hub.add("clip-benchmark/wds_flickr30k", root)
    spec = HubDataset(kind="hub", name="flickr30k")
    lock = index_dataset(spec, 3, 0)
    assert (lock.classes, lock.templates) == ((), ())
    offline(monkeypatch)
    assert index_dataset(spec, 3, 0) == lock
    data = load_captioned(spec, lock.sample_ids, "native")
    first = lock.sample_ids[0][1]
    assert data.captions[0] == (f"a {first}", f"another {first}", "third")
    assert str(data.images[0, 0, 0, 0]) == first
    with pytest.raises(CellError, match="have captions; images with labels are needed"):
        load_images(spec, lock.sample_ids, "native")


def test_classes_are_not_captions(served: Hub) -> None:
    ids = index_dataset(SPEC, 3, 0).sample_ids
    with pytest.raises(CellError, match="have labels; images with captions are needed"):
        load_captioned(SPEC, ids, "native")


def test_class_names_that_do_not_match_the_dataset(hub: Hub, dataset: Maker) -> None:
    hub.add("clip-benchmark/wds_vtab-pcam", dataset(classes=3))
    with pytest.raises(CellError, match="3 class names and labels up to 2, but the dataset has"):
        index_dataset(HubDataset(kind="hub", name="pcam"), 4, 0)
    shutil.rmtree(constants.HF_HUB_CACHE)
    hub.add("clip-benchmark/wds_vtab-pcam", dataset(classes=2))
    hub.repos["clip-benchmark/wds_vtab-pcam"]["classnames.txt"] = b"one\n"
    with pytest.raises(CellError, match="got label 1; allowed: 0 to 0"):
        index_dataset(HubDataset(kind="hub", name="pcam"), 4, 0)


def revision_gone(hub: Hub) -> tuple[HubDataset, str]:
    return SPEC.model_copy(update={"revision": "v9"}), "no revision 'v9'; existing revisions: "


def gated(hub: Hub) -> tuple[HubDataset, str]:
    hub.gated.add(REPO)
    return SPEC, rf"access is gated; accept the terms at .*/datasets/{REPO}, then log in"


def unknown(hub: Hub) -> tuple[HubDataset, str]:
    return SPEC.model_copy(update={"repo": "no/such"}), "no/such: no such dataset at .*private"


def other_layout(hub: Hub) -> tuple[HubDataset, str]:
    return SPEC.model_copy(update={"split": "val"}), r"no file val/nshards\.txt at revision 'main'"


def shard_gone(hub: Hub) -> tuple[HubDataset, str]:
    del hub.repos[REPO]["test/1.tar"]
    return SPEC, r"no file test/1\.tar at revision"


def prompts_gone(hub: Hub) -> tuple[HubDataset, str]:
    del hub.repos[REPO]["zeroshot_classification_templates.txt"]
    return SPEC, r"no file zeroshot_classification_templates\.txt at revision"


@pytest.mark.parametrize(
    "harm", [revision_gone, gated, unknown, other_layout, shard_gone, prompts_gone]
)
def test_what_the_hub_refuses_is_told(
    served: Hub, harm: Callable[[Hub], tuple[HubDataset, str]]
) -> None:
    spec, message = harm(served)
    with pytest.raises(CellError, match=message):
        index_dataset(spec, 4, 0)


def test_an_unreachable_hub_is_told_once_and_quickly(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    client._unreachable.cache_clear()
    with pytest.raises(CellError, match=r"http://127\.0\.0\.1:9 cannot be reached .*run `fetch`"):
        index_dataset(SPEC, 4, 0)
    offline(monkeypatch)
    with pytest.raises(
        CellError, match="HF_HUB_OFFLINE is set, so the hub is not contacted; run `fetch`"
    ):
        index_dataset(SPEC, 4, 0)
    assert source_of(SPEC).missing(0) == f"{REPO} is not in the hub's cache"


def test_a_full_disk_is_told(served: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("huggingface_hub.file_download.http_get", full)
    with pytest.raises(CellError, match=r"no space left for .* set HF_HOME to a larger disk"):
        index_dataset(SPEC, 4, 0)


def test_sizes_known_before_the_data_is_here() -> None:
    assert native_size(HubDataset(kind="hub", name="stl10")) == (96, 96)
    assert native_size(HubDataset(kind="hub", name="pets")) is None
