"""Whole runs of a suite: on two devices, twice on one, and by two workers on one GPU."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.attacks.losses import cross_entropy
from bench.core.types import CellResult
from bench.plan.cells import Cell, expand
from bench.plan.labels import describe
from bench.run.suite_run import run_suite
from bench.store.results_folder import Store
from bench.suite.load import Suite
from tests.gpu.scale import Row, Scale
from tests.perf.subjects import DEVICE, Subject, timed

Results = dict[str, tuple[Cell, CellResult]]
Executor = Literal["inline", "ray"]


def devices(scale: Scale) -> Iterator[Row]:
    """Outcomes on this device against those on the CPU, image by image."""
    here, there = (_run(_suite(scale), device)[0] for device in (DEVICE.type, "cpu"))
    for key, (cell, ours) in here.items():
        yield {"cell": describe(cell), **_difference(ours, there[key][1])}


def again(scale: Scale) -> Iterator[Row]:
    """A second run against the first on this device, and a gradient against itself."""
    first, second = (_run(_suite(scale), DEVICE.type)[0] for _ in "ab")
    pairs = [(first[key][1], second[key][1]) for key in first]
    outcomes = sum(_others(a, b) for a, b in pairs)
    distances = sum(int((a.distance != b.distance).sum()) for a, b in pairs)
    count = sum(len(a.correct) for a, _ in pairs)
    yield {"what": "outcomes of a suite", "compared": count, "different": outcomes}
    yield {"what": "distances of its attacked images", "compared": count, "different": distances}
    subject = scale.subject(scale.batch)
    side = subject.images.shape[-1] // 2
    for what, images in (
        ("gradients of pixels", subject.images),
        ("gradients through a resize", F.interpolate(subject.images, (side, side))),
    ):
        once, twice = _gradient(subject, images), _gradient(subject, images)
        different = int((once != twice).sum())
        yield {"what": what, "compared": once.numel(), "different": different}


def workers(scale: Scale) -> Iterator[Row]:
    """A run by two workers, each on half of the GPU, against a run in one process."""
    suite = _suite(scale, gpus=0.5)
    found: list[tuple[Results, int]] = []
    by: tuple[Executor, ...] = ("inline", "inline" if scale.small else "ray")
    seconds = [timed(lambda: found.append(_run(suite, None, executor))) for executor in by]  # noqa: B023
    (alone, _), (shared, logs) = found
    yield {
        "cells": len(alone),
        "workers": logs or 1,
        "other outcomes": sum(_others(alone[key][1], shared[key][1]) for key in alone),
        "one process s": round(seconds[0], 1),
        "workers s": round(seconds[1], 1),
    }


def _suite(scale: Scale, gpus: float = 1.0) -> Suite:
    common = {"eps": ["2/255"], "steps": 2 if scale.small else 20}
    nano = {"kind": "nano", "gpus": gpus}
    adapted = {"kind": "radapt", "base": "CLIP", "anchor": {"white": "FARE"}, "alpha": 1.0}
    models = {
        "CLIP": {**nano, "weights": "clip"},
        "FARE": {**nano, "weights": "fare"},
        "R-Adapt": {**adapted, "cutoff": 40, "gpus": gpus},
    }
    attacks = [
        {"kind": "apgd-ce", **common, "precision": "bf16"},
        {"kind": "pgd", **common},
        {"kind": "apgd-t", **common, "norm": "l2", "eps": ["64/255"], "targets": 3},
    ]
    return Suite.model_validate(
        {
            "suite": "gpu",
            "protocol": {"preset": "radapt-paper", "pixels": "native"},
            "samples": 4 if scale.small else 100,
            "models": {"CLIP": models["CLIP"]} if scale.small else models,
            "datasets": ["digits"] if scale.small else ["cifar10", "digits"],
            "attacks": attacks[:1] if scale.small else attacks,
            "threats": ["white-box", *([] if scale.small else [{"transfer": "CLIP"}])],
        }
    )


def _run(suite: Suite, device: str | None, executor: Executor = "inline") -> tuple[Results, int]:
    """Return the results of a new run by cell, and the number of logs of its workers.

    Raises:
        RuntimeError: A cell failed.
    """
    with TemporaryDirectory() as folder:
        report = run_suite(suite, results=folder, device=device, executor=executor, check=False)
        store = Store(Path(folder), suite.suite)
        found = {cell.id: (cell, store.get(cell.id)) for cell in expand(suite, report.lock)}
        logs = len([*Path(folder).rglob("worker-*.log")])
    results: Results = {}
    for key, (cell, result) in found.items():
        if result is None or result.status != "ok":
            raise RuntimeError(f"{describe(cell)}: {result.reason if result else 'no result'}")
        results[key] = cell, result
    return results, logs


def _difference(ours: CellResult, theirs: CellResult) -> Row:
    return {
        "images": len(ours.correct),
        "accuracy": f"{ours.correct.mean():.1%}",
        "other outcomes": _others(ours, theirs),
    }


def _others(ours: CellResult, theirs: CellResult) -> int:
    return int((ours.correct != theirs.correct).sum())


def _gradient(subject: Subject, images: Tensor) -> Tensor:
    points = images.clone().requires_grad_(True)
    losses = cross_entropy(subject.model(points), subject.labels, subject.labels)
    return torch.autograd.grad(losses.sum(), points)[0]
