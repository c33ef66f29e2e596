"""Images are decoded once on a machine, and a worker holds those of the latest datasets only."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import bench.data
from bench.core.array_files import SMALLEST, ArrayFiles
from bench.core.errors import CellError
from bench.evaluate import loading, model_cache
from bench.evaluate.cell import Evaluator
from bench.evaluate.image_cache import ImageCache
from bench.evaluate.memory_limit import memory_limit, physical_memory, private_memory
from bench.evaluate.recent import Recent
from bench.plan.cells import Cell
from bench.suite.load import Suite, load_suite
from bench.suite.metrics import CHOICE
from tests.evaluate.test_evaluate import evaluator
from tests.evaluate.test_unchanged import overwrite

NAMES = tuple("abcdef")
COUNT, SIZE = 12, 32  # of the images of each dataset
BYTES = COUNT * 3 * SIZE * SIZE

Write = Callable[..., Path]
Datasets = Callable[..., Path]


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count how often each image is decoded, by its place."""
    counts: Counter[str] = Counter()
    decode = bench.data.decode

    def counted(data: bytes, pixels: Any, place: str) -> Any:
        counts[place] += 1
        return decode(data, pixels, place)

    monkeypatch.setattr(bench.data, "decode", counted)
    return counts


@pytest.fixture
def suite(suite_file: Write, dataset: Datasets, monkeypatch: pytest.MonkeyPatch) -> Suite:
    monkeypatch.setattr(loading, "private_memory", lambda: 0)  # models fill more than images here
    entries = [
        {"kind": "webdataset", "name": name, "path": str(dataset(name, COUNT, SIZE, classes))}
        for classes, name in enumerate(NAMES, 2)
    ]
    protocol = {"preset": "radapt-paper", "pixels": "native", "clean": "all"}
    changes = {
        "models": {"CLIP": {"kind": "nano", "weights": "clip"}},
        "attacks": [{"kind": "pgd", "eps": "1/255", "steps": 1}],
        "threats": ["white-box"],
    }
    return load_suite(suite_file(datasets=entries, samples=COUNT, protocol=protocol, **changes))


def worker(suite: Suite, root: Path, held: int, kept: bool = True) -> tuple[Evaluator, list[Cell]]:
    """Return a worker whose memory holds the images of `held` datasets, with the suite's cells."""
    evaluate, cells = evaluator(suite, root, memory=4 * held * BYTES)
    evaluate._cache._images.files = ArrayFiles(root / "arrays", smallest=0) if kept else None
    return evaluate, cells


def images_of(evaluate: Evaluator) -> ImageCache:
    return evaluate._cache._images


def test_a_long_suite_holds_few_datasets_and_decodes_each_once(
    suite: Suite, tmp_path: Path, decoded: Counter[str]
) -> None:
    workers = [images_of(worker(suite, tmp_path, held)[0]) for held in (2, 3)]
    for _ in range(2):  # twice, since a second attack meets all datasets again
        for name in NAMES:
            for images in workers:
                assert images.images(name).pixels.shape == (COUNT, 3, SIZE, SIZE)
            assert sum(each in workers[0] for each in NAMES) <= 2
            assert sum(each in workers[1] for each in NAMES) <= 3
    first = [images.images(NAMES[0]).pixels for images in workers]
    assert torch.equal(*first)
    assert [sum(each in images for each in NAMES) for images in workers] == [2, 3]
    assert len(decoded) == COUNT * len(NAMES)
    assert sum(decoded.values()) == COUNT * len(NAMES)


def test_without_files_images_are_decoded_again(
    suite: Suite, tmp_path: Path, decoded: Counter[str]
) -> None:
    images = images_of(worker(suite, tmp_path, 2, kept=False)[0])
    for name in "abacabc":  # a is always among the latest two
        images.images(name)
    seen = Counter(place.split(":")[0][-1] for place in decoded.elements())
    assert seen == {"a": COUNT, "b": 2 * COUNT, "c": 2 * COUNT}


def test_results_are_the_same_from_a_file(
    suite: Suite, tmp_path: Path, decoded: Counter[str]
) -> None:
    """The clean accuracy is that of all images; the attack is on a sample, here of all images."""
    suite = suite.model_copy(update={"datasets": suite.datasets[:1]})
    evaluate, cells = worker(suite, tmp_path, 1, kept=False)
    files = ArrayFiles(tmp_path / "arrays", smallest=0)
    found, counts = [], []
    for images_of(evaluate).files in (None, files, files):
        images_of(evaluate).clear()
        found.append([evaluate(cell) for cell in cells])
        counts.append(sum(decoded.values()))
    assert counts == [2 * COUNT, 3 * COUNT, 3 * COUNT]
    for plain, made, mapped in zip(*found, strict=True):
        assert plain.status == made.status == mapped.status == "ok"
        for other in (made, mapped):
            assert np.array_equal(plain.correct, other.correct)
            assert np.array_equal(plain.distance, other.distance)


def test_images_that_changed_are_not_kept(suite: Suite, dataset: Datasets, tmp_path: Path) -> None:
    images = images_of(worker(suite, tmp_path, 2)[0])
    other = dataset("other", COUNT, SIZE, classes=2)
    overwrite(tmp_path / "f" / "test" / "1.tar", (other / "test" / "1.tar").read_bytes())
    for load in (images.images, lambda name: next(images.parts(name))):
        with pytest.raises(CellError, match="changed after the run"):
            load("f")
    assert not list((tmp_path / "arrays").glob("*.npy"))


def test_a_full_disk_leaves_decoding_in_memory(
    suite: Suite, tmp_path: Path, decoded: Counter[str]
) -> None:
    images = images_of(worker(suite, tmp_path, 2)[0])
    images.files = ArrayFiles(tmp_path / "arrays", smallest=0, most=BYTES)
    assert images.images("a").pixels.shape[0] == COUNT
    assert sum(len(part.labels) for part in images.parts("a")) == COUNT
    assert not list((tmp_path / "arrays").glob("*.npy"))


def test_small_datasets_have_no_files(suite: Suite, tmp_path: Path) -> None:
    images = images_of(evaluator(suite, tmp_path)[0])
    assert images.files and images.files.smallest == SMALLEST > BYTES


def test_text_vectors_and_scorers_do_not_grow(suite: Suite, tmp_path: Path) -> None:
    evaluate, _ = worker(suite, tmp_path, 2)
    cache = evaluate._cache
    most = cache.memory / 10
    seen = 0
    for name in NAMES:
        for prefix in range(10):  # as if ten models had text towers of their own
            images = replace(cache.images(name), classes=tuple(f"{prefix} {c}" for c in "abcdef"))
            seen += cache._vectors.of(cache.model("CLIP"), images, "classification").nbytes
        assert sum(held.nbytes for held in cache._vectors._known._values.values()) <= most
        cache.scorer(name, CHOICE)
        assert len(cache._scorers._scorers) <= 2
    assert seen > 2 * most


def test_models_of_a_cpu_are_dropped_when_half_of_the_memory_is_filled(
    suite: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = {f"CLIP {number}": suite.models["CLIP"] for number in range(5)}
    filled = [1000]  # by Python and its libraries
    monkeypatch.setattr(loading, "private_memory", lambda: filled[0])
    evaluate, _ = evaluator(suite.model_copy(update={"models": models}), tmp_path, memory=1000)
    held, cleared = [], []
    monkeypatch.setattr(model_cache, "give_back_freed_memory", lambda: cleared.append(1))
    for name in models:
        evaluate._cache.model(name)
        filled[0] = 1000 + 300 * len(evaluate._cache._models)
        held.append(len(evaluate._cache._models))
    assert held == [1, 2, 1, 2, 1]
    assert len(cleared) == 2
    assert private_memory() > 0


def test_the_least_recently_used_values_are_dropped() -> None:
    recent: Recent[str, int] = Recent(10, lambda value: value)
    for value in (4, 5):
        recent.put(str(value), value)
    assert recent.get("4") == 4
    recent.put("3", 3)
    assert [recent.get(key) for key in ("3", "4", "5")] == [3, 4, None]
    recent.put("20", 20)  # held, though it is too large
    assert [recent.get(key) for key in ("3", "4", "20")] == [None, None, 20]
    recent.put("20", 2)
    recent.put("8", 8)
    assert [recent.get(key) for key in ("8", "20")] == [8, 2]
    recent.clear()
    assert "8" not in recent


def test_limits_of_containers_and_batch_systems_count(tmp_path: Path) -> None:
    whole = physical_memory()
    assert whole and memory_limit(tmp_path) == whole  # no control groups
    files = {
        "proc/self/cgroup": "5:cpu,memory:/job/step\n3:cpu:/job\n0::/user/session\n",
        "sys/fs/cgroup/memory/job/step/memory.limit_in_bytes": "9223372036854771712\n",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": "7000\n",
        "sys/fs/cgroup/user/session/memory.max": "max\n",
        "sys/fs/cgroup/user/memory.max": "6000\n",
    }
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    assert memory_limit(tmp_path) == 6000
    (tmp_path / "sys/fs/cgroup/user/memory.max").write_text("8000\n")
    assert memory_limit(tmp_path) == 7000
