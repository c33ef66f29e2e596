"""Invented results of models that answer in words, so that tests know every number."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from bench.core.resolved_names import DatasetLock, Lock
from bench.core.types import CellResult
from bench.plan.cells import Cell, expand
from bench.plan.identity import spec_digests
from bench.store.results_folder import Store
from bench.suite.load import Suite
from bench.suite.metrics import metric_of

N = 60
NAMES = ("LLaVA", "=R-Adapt", "<b>Swapped</b>")
QUESTIONS = {"kind": "language", "images": "i", "questions": "q"}
ANSWERING = (
    {**QUESTIONS, "format": "textvqa", "name": "textvqa"},
    {**QUESTIONS, "format": "pope", "name": "pope"},
)
CAPTIONING = (
    {"kind": "language", "format": "karpathy", "name": "flickr", "images": "i", "annotations": "a"},
)
Scores = Callable[[Cell], np.ndarray]  # type: ignore[type-arg]
HOSTILE = "</script><img src=x onerror='window.hit = 1'>"
TEXTS = (
    HOSTILE,
    '=HYPERLINK("http://x.test")',
    "two\r\nlines\x1b[31m\x00\ud800",
    "naïve, 日本",
    "",
)


def suite_of(datasets: tuple[dict[str, str], ...], *, attacked: bool = True) -> Suite:
    attacks = {
        "attacks": [{"kind": "apgd-text", "eps": ["2/255", "4/255"]}],
        "threats": ["white-box", {"transfer": NAMES[0]}],
    }
    models = {
        name: {"kind": "python", "target": f"own:m{i}", "answers": True}
        for i, name in enumerate(NAMES)
    }
    models["CLIP"] = {"kind": "nano", "weights": "clip"}  # only a source of images
    return Suite.model_validate(
        {
            "suite": "worded",
            "protocol": {"preset": "lvlm"},
            "samples": N,
            "models": models,
            "datasets": list(datasets),
            **(attacks if attacked else {}),
        }
    )


def scores(cell: Cell) -> np.ndarray:  # type: ignore[type-arg]
    """Shares of the best score: the same images are hard for all, and models lose more or less."""
    rng = np.random.default_rng([NAMES.index(cell.target), len(cell.dataset), int(cell.id[:6], 16)])
    left = 0.8 if cell.attack is None else (0.2, 0.5, 0.45)[NAMES.index(cell.target)]
    left += 0.1 * (cell.eps == "2/255")
    drawn = np.clip(np.linspace(0, 1, N)[::-1] * left * 1.5 + rng.normal(0, 0.1, N), 0, 1)
    return np.round(drawn * 10 / 3) * 0.3


def filled(folder: Path, suite: Suite, scored: Scores = scores) -> Store:
    """Return a store of a suite's cells with scores and texts."""
    ids = tuple(f"{i:03}?q" for i in range(N))
    datasets = {d.name: DatasetLock(d.name, ids, ("x",)) for d in suite.datasets}
    lock = Lock({name: name for name in suite.models}, datasets, spec_digests(suite))
    store = Store(folder, suite.suite)
    store.put_lock(lock)
    for cell in expand(suite, lock):
        given = np.minimum(scored(cell), 1) * metric_of(cell.metric).highest
        graded = metric_of(cell.metric).graded
        texts = tuple(f"{TEXTS[i % len(TEXTS)]}" for i in range(N))
        store.put(
            CellResult(
                cell.id, "ok", given > (0 if graded else 0.5), ids,
                np.full(N, 0.001, np.float32), 0.5, N, {"torch": "0"}, texts=texts,
                scores=given.astype(np.float32) if graded else None,
            )
        )  # fmt: skip
    return store
