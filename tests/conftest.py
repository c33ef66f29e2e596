"""Shared fixtures: a linear model whose optimum is known, small datasets, small suites."""

import gc
import io
import tarfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from huggingface_hub import constants
from PIL import Image
from torch import Tensor

import bench.hub.files
import bench.trust.end_of_run
from bench.core.types import Norm
from bench.suite.load import Suite, load_suite
from tests.support.clock import CLOCK, Clock
from tests.support.hub_server import Hub, serving

torch.set_num_threads(1)  # two test processes share two cores


def pytest_collection_finish() -> None:
    """Spare the garbage collector the modules and tests, of which nothing ever becomes garbage."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def unexamined(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave a run no time for the trust battery, of which `test_at_end` is."""
    monkeypatch.setattr(bench.trust.end_of_run, "LEAST", 0.0)
    monkeypatch.setattr(bench.trust.end_of_run, "SHARE", 0.0)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Return the clock that time limits and waits for a lock read in this test."""
    monkeypatch.setattr(CLOCK, "now", 0.0)
    for reader in (
        *("core.deadline", "run.scheduler", "store.folder_lock", "store.writing"),
        "trust.examine",
    ):
        monkeypatch.setattr(f"bench.{reader}.time", CLOCK)
    return CLOCK


class LinearModel:
    """Two classes split by a hyperplane: an image's smallest perturbation is known.

    Further classes have constant logits far below, so that they are never predicted.
    """

    def __init__(
        self, shape: tuple[int, int, int] = (3, 8, 8), seed: int = 0, classes: int = 2
    ) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.weight = torch.randn(shape, generator=generator)
        self.bias = -0.5 * self.weight.sum()
        self.others = -20 - torch.arange(classes - 2.0)

    def __call__(self, images: Tensor) -> Tensor:
        score = (images * self.weight).sum(dim=(1, 2, 3)) + self.bias
        return torch.cat(
            [torch.stack([score, -score], dim=1), self.others.expand(len(images), -1)], dim=1
        )

    def smallest_eps(self, images: Tensor, norm: Norm = "linf") -> Tensor:
        """Distance to the hyperplane in the dual norm; exact while the box does not bind."""
        dual = self.weight.abs().sum() if norm == "linf" else self.weight.norm()
        return self(images)[:, 0].abs() / dual


@pytest.fixture
def linear() -> LinearModel:
    return LinearModel()


def grey_images(count: int, shape: tuple[int, int, int] = (3, 8, 8), seed: int = 1) -> Tensor:
    """Images around mid-grey, so that small perturbations never meet the box."""
    generator = torch.Generator().manual_seed(seed)
    return 0.5 + 0.1 * (torch.rand((count, *shape), generator=generator) - 0.5)


def png(pixels: np.ndarray[Any, Any]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def write_shard(path: Path, files: Sequence[tuple[str, bytes]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, data in files:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


@pytest.fixture
def dataset(tmp_path: Path) -> Callable[..., Path]:
    """Return a maker of folders in CLIP_benchmark's layout, in two shards."""

    def make(name: str = "set", count: int = 12, size: int = 32, classes: int = 3) -> Path:
        root = tmp_path / name
        rng = np.random.default_rng(0)
        for shard in range(2):
            files = []
            for index in range(shard * count // 2, (shard + 1) * count // 2):
                pixels = rng.integers(0, 256, (size, size, 3), dtype=np.uint8)
                files.append((f"s{index:07d}.cls", str(index % classes).encode()))
                files.append((f"s{index:07d}.png", png(pixels)))
            write_shard(root / "test" / f"{shard}.tar", files)
        (root / "test" / "nshards.txt").write_text("2\n")
        (root / "classnames.txt").write_text("".join(f"thing {i}\n" for i in range(classes)))
        (root / "zeroshot_classification_templates.txt").write_text("a photo of a {c}\n")
        return root

    return make


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """Return an empty hub that its client asks in this test, with a cache of its own."""
    with serving() as server:
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        template = server.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
        monkeypatch.setattr(bench.hub.files, "_TIMEOUT", 600.0)  # this machine may be busy
        monkeypatch.setattr("huggingface_hub.utils._http.time", CLOCK)  # no waits between tries
        bench.hub.files._unreachable.cache_clear()
        yield server
    bench.hub.files._unreachable.cache_clear()


SMALL: dict[str, Any] = {
    "suite": "small",
    "protocol": {"preset": "radapt-paper", "pixels": "native"},
    "samples": 16,
    "models": {
        "CLIP": {"kind": "nano", "weights": "clip"},
        "FARE": {"kind": "nano", "weights": "fare"},
        "R-Adapt_CLIP": {
            "kind": "radapt",
            "base": "CLIP",
            "anchor": {"white": "CLIP"},
            "alpha": 0.5,
            "cutoff": 40,
        },
    },
    "datasets": ["cifar10"],
    "attacks": [
        {"kind": "pgd", "eps": ["1/255", "2/255"], "steps": 3},
        {"kind": "apgd-ce", "eps": "2/255", "steps": 5},
    ],
    "threats": ["white-box", {"transfer": "CLIP"}],
}


@pytest.fixture
def suite_file(tmp_path: Path) -> Callable[..., Path]:
    """Return a writer of suites: the small one with some keys replaced, or removed by None."""

    def write(**changes: Any) -> Path:
        path = tmp_path / "suite.yaml"
        suite = {key: value for key, value in {**SMALL, **changes}.items() if value is not None}
        path.write_text(yaml.safe_dump(suite, sort_keys=False))
        return path

    return write


@pytest.fixture
def small(suite_file: Callable[..., Path]) -> Suite:
    return load_suite(suite_file())
