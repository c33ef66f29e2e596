"""Collects images of a cell: clean and adversarial, with the predictions of its target."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.attacks.balls import length
from bench.attacks.passes import logits_at
from bench.attacks.stored_images import decode
from bench.core.errors import FAILURES, UserError
from bench.core.exits import exit_raises
from bench.core.types import CellResult
from bench.evaluate.craft import Case
from bench.evaluate.external_points import ExternalPoints, matched_images
from bench.evaluate.model_cache import ModelCache
from bench.evaluate.tally import Tally, new_tally
from bench.evaluate.tracebacks import reason
from bench.evaluate.transferable import attack_all
from bench.evaluate.unchanged import lock_of_some
from bench.evaluate.white_box import attack_target
from bench.plan.attack_limits import fit_cell
from bench.plan.cells import Cell
from bench.plan.labels import describe
from bench.plan.shards import part_key, parts_of
from bench.report.image_viewer.select import choose_rows
from bench.report.image_viewer.shown_images import (
    AdversarialImage,
    Prediction,
    RgbPixels,
    ShownCell,
    ShownImage,
)
from bench.store.results_folder import Store
from bench.store.snapshot import Results
from bench.suite.specs import AnyAttack, ExternalImages, Storage


@exit_raises()
def show_images(
    results: Results,
    cell: Cell,
    result: CellResult,
    count: int,
    device: torch.device,
    trust: bool,
) -> ShownCell:
    """Return images of a cell with predictions.

    Adversarial images of a shared craft are read from the store, those of others from their files.
    White-box images are not stored, so the attack runs again, only on the shown images and with the
    same seeds. It also runs again if a shared craft is missing.

    Args:
        results: Stored results of the suite.
        cell: A cell of classification.
        result: The result of the cell, with status `ok`.
        count: Number of images; all if the cell has fewer.
        device: Device of the models.
        trust: Whether code named by the suite may be imported.

    Raises:
        UserError: A model or the images cannot be loaded on this machine.
    """
    suite, store, lock = results.suite, results.store, results.lock
    rows = choose_rows(results, cell, result, count)
    ids = tuple(result.sample_ids[row] for row in rows)
    try:
        spec = suite.dataset(cell.dataset)
        subset = lock_of_some(spec, lock.datasets[cell.dataset], suite.seed, ids)
        lock = replace(lock, datasets={**lock.datasets, cell.dataset: subset})
        cache = ModelCache(suite, lock, {}, device, None, trust)
        case = Case(cell, cache, cache.images(cell.dataset))
        clean = case.images.floats(torch.arange(len(ids)))
        predictions, from_store = _predictions(case, clean), False
        attacked: Sequence[AdversarialImage | None] = [None] * len(ids)
        if isinstance(cell.attack, ExternalImages):
            given = matched_images(suite, results.lock, cell.attack, cell.dataset)
            external = [points for _, points in ExternalPoints(case, given).points()]
            attacked = _attacked(case, clean, torch.cat(external))
        elif cell.attack is not None:
            attack, _ = fit_cell(suite, cell, cell.attack, len(case.images.classes))
            kept = _stored_rows(store, case, attack, rows, len(result.correct))
            from_store = kept is not None
            points = _adversarial(case, attack, kept, suite.protocol.storage)
            attacked = _attacked(case, clean, points)
    except FAILURES as error:  # a cell can fail in many ways; report all of them as a run does
        raise UserError(f"{describe(cell)}: {reason(error)}") from error
    truths = [case.images.classes[label] for label in case.images.labels.tolist()]
    stored = result.correct[rows].tolist()
    images = map(ShownImage, ids, truths, _in_8_bits(clean), predictions, attacked, stored)
    return ShownCell(cell, result, tuple(images), from_store)


def _stored_rows(
    store: Store, case: Case, attack: AnyAttack, rows: list[int], total: int
) -> NDArray[Any] | None:
    """Return rows of a craft as stored, or None if the craft or a needed part is not in the store.

    Args:
        store: The results folder with the crafts.
        case: The shown images.
        attack: The attack, fitted to the dataset.
        rows: Rows of the shown images among all images of the cell.
        total: Number of all images of the cell.
    """
    shape = tuple(case.images.pixels.shape[1:])
    found: dict[int, NDArray[Any]] = {}
    for part in parts_of(attack, total):
        if not (wanted := [row for row in rows if row in part]):
            continue
        craft = store.craft(part_key(case.cell.craft_id, part), (len(part), *shape))
        if craft is None:
            return None
        found |= {row: craft.kept[row - part.start] for row in wanted}
    return np.stack([found[row] for row in rows])


def _adversarial(
    case: Case, attack: AnyAttack, kept: NDArray[Any] | None, storage: Storage
) -> Tensor:
    """Return the adversarial images that are scored: decoded from the craft, or attacked again."""
    if case.cell.mode == "success":
        points, _ = _attack_again(case, attack, storage)
        return points
    kept = attack_all(case, attack, storage).kept if kept is None else kept
    clean = case.images.floats(torch.arange(len(case.images.labels)))
    return decode(kept, clean, case.cell.budget, storage)


def _attack_again(case: Case, attack: AnyAttack, storage: Storage) -> tuple[Tensor, Tally]:
    """Run a white-box attack again and return its images; with nested budgets, smaller ones first.

    Returns:
        The final images `[b,3,h,w]`, and the tally of the attack.
    """
    tally, smaller = new_tally(case.images.sample_ids), None
    if case.cell.below is not None:
        smaller, below = _attack_again(replace(case, cell=case.cell.below), attack, storage)
        tally.correct = below.correct.copy()
    robust = torch.from_numpy(tally.correct.copy())
    points = case.images.floats(torch.arange(len(case.images.labels)))
    attack_target(case, attack, storage, tally, scored_points=points)
    if smaller is not None:
        points = torch.where(robust.to(points.device)[:, None, None, None], points, smaller)
    return points, tally


def _predictions(case: Case, points: Tensor) -> list[Prediction]:
    cell, images = case.cell, case.images
    target = case.cache.classifier(cell.target, cell.dataset)
    batch = case.cache.batch(cell.target, cell.dataset)
    confidences, labels = logits_at(target, points, batch).softmax(dim=1).max(dim=1)
    right = labels == images.labels
    return [
        Prediction(images.classes[label], *rest)
        for label, *rest in zip(labels.tolist(), confidences.tolist(), right.tolist(), strict=True)
    ]


def _attacked(case: Case, clean: Tensor, points: Tensor) -> list[AdversarialImage]:
    deltas = points - clean
    largest = length(deltas, "linf")
    factors = torch.where(largest > 0, 0.5 / largest, 0.0)
    differences = 0.5 + factors[:, None, None, None] * deltas
    norms = length(deltas, case.cell.budget.norm)
    return [
        AdversarialImage(*fields)
        for fields in zip(
            _in_8_bits(points), _in_8_bits(differences), factors.tolist(), norms.tolist(),
            _predictions(case, points), strict=True,
        )
    ]  # fmt: skip


def _in_8_bits(images: Tensor) -> list[RgbPixels]:
    """Return images `[b,3,h,w]` in [0,1], rounded to 8 bits, as arrays `[h,w,3]`."""
    rounded = images.mul(255).round().clamp(0, 255).byte()
    return list(rounded.permute(0, 2, 3, 1).cpu().numpy())
