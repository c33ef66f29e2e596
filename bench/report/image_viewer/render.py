"""Some images of a cell with what its attack made of them, and what its target says."""

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
from bench.core.deadline import Deadline
from bench.core.errors import UserError
from bench.core.types import CellResult
from bench.evaluate.craft import Case
from bench.evaluate.model_cache import ModelCache, reason
from bench.evaluate.tally import Tally, new_tally
from bench.evaluate.transferable import attack_all
from bench.evaluate.white_box import attack_target
from bench.plan.attack_limits import fit_cell
from bench.plan.cells import Cell
from bench.plan.labels import describe
from bench.plan.shards import part_key, parts_of
from bench.report.image_viewer.select import choose_rows
from bench.report.image_viewer.shown_images import Attacked, Pixels, Prediction, Seen, Shown
from bench.store.results_folder import Store
from bench.store.snapshot import Results
from bench.suite.specs import AnyAttack, Storage


def look(
    results: Results,
    cell: Cell,
    result: CellResult,
    count: int,
    device: torch.device,
    trust: bool,
) -> Shown:
    """Return some images of a cell as its model sees them.

    Adversarial images that several cells share are read from the store. Those that are of one cell
    alone are not kept, so its attack runs again, on the shown images only and with their seeds;
    so it does where a shared craft is not here.

    Args:
        results: What is stored of the suite.
        cell: One of classification.
        result: Its result, which is ok.
        count: How many images are shown; all where there are fewer.
        device: Where models run.
        trust: Whether code named by the suite may be imported.

    Raises:
        UserError: A model or the images cannot be had here any more.
    """
    suite, store, lock = results.suite, results.store, results.lock
    rows = choose_rows(results, cell, result, count)
    ids = tuple(result.sample_ids[row] for row in rows)
    few = replace(lock.datasets[cell.dataset], sample_ids=ids)
    lock = replace(lock, datasets={**lock.datasets, cell.dataset: few})
    cache = ModelCache(suite, lock, {}, device, None, trust)
    try:
        case = Case(cell, cache, cache.images(cell.dataset), Deadline(None))
        clean = case.images.floats(torch.arange(len(ids)))
        before, read = _predictions(case, clean), False
        attacked: Sequence[Attacked | None] = [None] * len(ids)
        if cell.attack is not None:
            attack, _ = fit_cell(suite, cell, cell.attack, len(case.images.classes))
            kept = _kept(store, case, attack, rows, len(result.correct))
            read = kept is not None
            points = _points(case, attack, kept, suite.protocol.storage)
            attacked = _attacked(case, clean, points)
    except Exception as error:  # whatever goes wrong in a cell, as in a run
        raise UserError(f"{describe(cell)}: {reason(error)}") from error
    truths = [case.images.classes[label] for label in case.images.labels.tolist()]
    stored = result.correct[rows].tolist()
    seen = map(Seen, ids, truths, _in_8_bits(clean), before, attacked, stored)
    return Shown(cell, result, tuple(seen), read)


def _kept(
    store: Store, case: Case, attack: AnyAttack, rows: list[int], total: int
) -> NDArray[Any] | None:
    """Return rows of a craft as they are kept, or None where it is not, or not all of it is here.

    Args:
        store: Where crafts are kept.
        case: The shown images.
        attack: The attack, fitted to the dataset.
        rows: Which of all images these are.
        total: How many all are.
    """
    shape = tuple(case.images.pixels.shape[1:])
    found: dict[int, NDArray[Any]] = {}
    for part in parts_of(attack, total):
        if not (wanted := [row for row in rows if row in part]):
            continue
        craft = store.craft(part_key(case.cell.craft_id, part))
        if craft is None or craft.kept.shape != (len(part), *shape):
            return None
        found |= {row: craft.kept[row - part.start] for row in wanted}
    return np.stack([found[row] for row in rows])


def _points(case: Case, attack: AnyAttack, kept: NDArray[Any] | None, storage: Storage) -> Tensor:
    """Return the adversarial images that are scored, from what is kept or from another attack."""
    if case.cell.mode == "success":
        points, _ = _attack_again(case, attack, storage)
        return points
    kept = attack_all(case, attack, storage).kept if kept is None else kept
    clean = case.images.floats(torch.arange(len(case.images.labels)))
    return decode(kept, clean, case.cell.budget, storage)


def _attack_again(case: Case, attack: AnyAttack, storage: Storage) -> tuple[Tensor, Tally]:
    """Return where the images of a cell of its own craft end; smaller budgets first if nested."""
    tally, ended = new_tally(case.images.sample_ids), None
    if case.cell.below is not None:
        ended, below = _attack_again(replace(case, cell=case.cell.below), attack, storage)
        tally.correct = below.correct.copy()
    left = torch.from_numpy(tally.correct.copy())
    points = case.images.floats(torch.arange(len(case.images.labels)))
    attack_target(case, attack, storage, tally, scored_points=points)
    if ended is not None:
        points = torch.where(left.to(points.device)[:, None, None, None], points, ended)
    return points, tally


def _predictions(case: Case, points: Tensor) -> list[Prediction]:
    cell, images = case.cell, case.images
    target = case.cache.classifier(cell.target, cell.dataset)
    batch = case.cache.batch(cell.target, cell.dataset)
    shares, places = logits_at(target, points, batch).softmax(dim=1).max(dim=1)
    right = places == images.labels
    return [
        Prediction(images.classes[place], share, hit)
        for place, share, hit in zip(places.tolist(), shares.tolist(), right.tolist(), strict=True)
    ]


def _attacked(case: Case, clean: Tensor, points: Tensor) -> list[Attacked]:
    deltas = points - clean
    largest = length(deltas, "linf")
    factors = torch.where(largest > 0, 0.5 / largest, 0.0)
    differences = 0.5 + factors[:, None, None, None] * deltas
    norms = length(deltas, case.cell.budget.norm)
    return [
        Attacked(*of_one)
        for of_one in zip(
            _in_8_bits(points), _in_8_bits(differences), factors.tolist(), norms.tolist(),
            _predictions(case, points), strict=True,
        )
    ]  # fmt: skip


def _in_8_bits(images: Tensor) -> list[Pixels]:
    """Return images `[b,3,h,w]` in [0,1], rounded, as pixels `[h,w,3]`."""
    rounded = images.mul(255).round().clamp(0, 255).byte()
    return list(rounded.permute(0, 2, 3, 1).cpu().numpy())
