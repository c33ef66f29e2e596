"""Adversarial images made by others, as points to score: only those within the budget count."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

from bench.attacks.balls import length, reach
from bench.attacks.image_files import open_images
from bench.core.resolved_names import Lock
from bench.core.suite_paths import find_path
from bench.evaluate.craft import Case
from bench.evaluate.model_cache import ModelCache
from bench.evaluate.score import score
from bench.evaluate.tally import Tally, new_tally
from bench.evaluate.unchanged import require_unchanged_images
from bench.plan.cells import Cell
from bench.plan.external_images import Matched, key_of, match, require_images
from bench.suite.load import Suite
from bench.suite.specs import ExternalImages

_AT_ONCE = 256  # images in float32: 0.15 GB at 224 pixels


def matched_images(suite: Suite, lock: Lock, attack: ExternalImages, dataset: str) -> Matched:
    """Return the images of an attack, matched with the attacked samples of a dataset.

    Raises:
        CellError: The file or folder cannot be read, or its ids do not fit the dataset.
    """
    files = open_images(find_path(attack.path_for(dataset)))
    sample_ids = lock.datasets[dataset].sample_ids
    return match(files, suite.dataset(dataset), suite.seed, sample_ids)


def score_external(cache: ModelCache, lock: Lock, cell: Cell, attack: ExternalImages) -> Tally:
    """Score a cell's adversarial images that others made; none is attacked or stored.

    Args:
        cache: The models and images.
        lock: Says which samples are attacked, and what the files contained.
        cell: The cell.
        attack: Its attack.

    Raises:
        CellError: The files have changed, cannot be read, or do not fit the dataset.
        CellSkip: The dataset has no images.
    """
    suite = cache.suite
    key = key_of(suite.attacks.index(attack), attack, cell.dataset)
    unchanged = partial(require_unchanged_images, key, attack, cell.dataset, lock)
    images = cache.images(cell.dataset)
    with cache.loading.timed():
        unchanged()  # a file that has gone since is no reason to skip the cell
        require_images(attack, cell.dataset)
        given = cache.loading.once(key, lambda: matched_images(suite, lock, attack, cell.dataset))
    external = ExternalPoints(Case(cell, cache, images), given)
    tally = new_tally(images.sample_ids)
    score(external.case, external.points(), tally)
    unchanged()  # the files were read until now
    tally.flags = (*tally.flags, *external.flags)
    return tally


@dataclass(slots=True)
class ExternalPoints:
    """The images of a case, each replaced by the adversarial image that others made of it.

    An image stays clean if its adversarial image is missing or beyond the budget: then this attack
    has not broken it.

    Attributes:
        case: The cell with its models and images.
        given: The adversarial images.
        beyond: Number of adversarial images beyond the budget, so far.
        missing: Number of images without an adversarial image, so far.
    """

    case: Case
    given: Matched
    beyond: int = field(default=0, init=False)
    missing: int = field(default=0, init=False)

    def points(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield rows of the dataset with the images `[b,3,h,w]` to score."""
        for rows in torch.arange(len(self.case.images.labels)).split(_AT_ONCE):
            clean = self.case.images.floats(rows)
            found = [self.given.rows.get(self.case.images.sample_ids[row]) for row in rows.tolist()]
            there = [at for at, row in enumerate(found) if row is not None]
            images = self.given.files.read(
                [row for row in found if row is not None], tuple(clean.shape[1:])
            ).to(clean.device)
            budget = self.case.cell.budget
            within = length(images - clean[there], budget.norm) <= reach(budget)
            points = clean.clone()
            points[torch.tensor(there, dtype=torch.long)[within.cpu()]] = images[within]
            self.missing += len(found) - len(there)
            self.beyond += len(there) - int(within.sum())
            yield rows, points

    @property
    def flags(self) -> tuple[str, ...]:
        """Flags on the images that did not count, and on a file without ids."""
        return (
            *([f"beyond-eps={self.beyond}"] if self.beyond else []),
            *([f"missing={self.missing}"] if self.missing else []),
            *(["by-order"] if self.given.by_order else []),
        )
