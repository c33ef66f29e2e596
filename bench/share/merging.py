"""Add another's results of a suite to ours: nothing of ours is overwritten."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bench.core.errors import UserError
from bench.core.locks import Lock
from bench.core.types import CellResult
from bench.plan.cells import Cell, images_of
from bench.plan.identity import spec_digests, still_valid
from bench.plan.labels import describe
from bench.plan.versions import versions_of
from bench.results.number_format import Scale, scale_of
from bench.share.foreign_results import Foreign, open_foreign
from bench.store.folder_lock import hold
from bench.store.results_folder import Store
from bench.store.snapshot import Results, read_results
from bench.suite.load import Suite
from bench.suite.metrics import ID_SEPARATOR, image_id_of, metric_of


@dataclass(frozen=True, slots=True)
class Conflict:
    """A cell of which the two have different outcomes; ours was kept."""

    cell: Cell
    ours: CellResult
    theirs: CellResult


@dataclass(frozen=True, slots=True)
class Merged:
    """What came of a merge.

    Attributes:
        added: Cells that came in; ours were missing or had failed.
        same: Cells that both have, with the same outcome.
        absent: Cells of the suite that the other does not have.
        conflicts: Cells of one identity with different outcomes.
        results: What is stored here after the merge.
        renamed: Models and datasets whose content there is another than here, by key path; their
            cells are others.
        versions: Attacks, metrics and tasks whose version there differs from ours, with both; the
            cells that depend on them are others.
    """

    added: int
    same: int
    absent: int
    conflicts: tuple[Conflict, ...]
    results: Results
    renamed: tuple[str, ...]
    versions: tuple[str, ...]


def merge(suite: Suite, store: Store, other: Path) -> Merged:
    """Add another's results to ours by the identity of cells.

    Args:
        suite: The suite, which says what is wanted.
        store: Our results of it.
        other: A bundle, the other's folder of the suite, or their folder of all results.

    Raises:
        UserError: There are no results of the suite in `other`, one of them is of other images
            than its cell, or a run goes on here.
    """
    theirs = open_foreign(suite, other)
    with hold(store.folder, "merge", store.folder):
        return _merged(suite, store, other, theirs)


def _merged(suite: Suite, store: Store, other: Path, theirs: Foreign) -> Merged:
    ours = still_valid(suite, store.lock())
    lock = _joined(suite, ours, still_valid(suite, theirs.lock))
    renamed = tuple(_renamed(ours, theirs.lock))
    versions = tuple(_other_versions(suite, theirs.versions))
    added = same = absent = 0
    conflicts = []
    incoming = []
    stored = read_results(suite, store, lock)
    for cell, mine in {cell.id: (cell, mine) for cell, mine in stored.done}.values():
        result = theirs.get(cell.id)
        if result is None:
            absent += 1
        elif mine is None or (mine.status == "failed" and result.status != "failed"):
            _check_images(suite, lock, cell, result, other)
            incoming.append(result)
            added += 1
        elif result.status == "failed" or _alike(mine, result):
            same += 1
        else:
            conflicts.append(Conflict(cell, mine, result))
    if not added and not same and not conflicts:
        why = f"; other content there: {', '.join(renamed)}" if renamed else ""
        why += f"; other versions there: {', '.join(versions)}" if versions else ""
        raise UserError(
            f"{other}: has results of suite {theirs.suite!r}, none of a cell of suite "
            f"{suite.suite!r}{why}"
        )
    for result in incoming:
        store.put(result)
    store.put_lock(lock)
    after = replace(stored, by_id={**stored.by_id, **{one.cell_id: one for one in incoming}})
    return Merged(added, same, absent, tuple(conflicts), after, renamed, versions)


def merge_lines(merged: Merged) -> Iterator[str]:
    """Say what came of a merge, each conflict on a line of its own."""
    for key in merged.renamed:
        yield f"{key}: has another content there; its cells are not those of here"
    for text in merged.versions:
        yield f"{text}; the cells that depend on it are not those of here"
    for conflict in merged.conflicts:
        ours, theirs = conflict.ours, conflict.theirs
        said = _said(ours, theirs, scale_of(metric_of(conflict.cell.metric)))
        yield f"conflict: {describe(conflict.cell)}: {said}; ours is kept"
    yield (
        f"{merged.added} cells added, {merged.same} the same, "
        f"{len(merged.conflicts)} in conflict, {merged.absent} that the other lacks"
    )


def _said(ours: CellResult, theirs: CellResult, scale: Scale) -> str:
    if ours.status != theirs.status:
        return f"{ours.status} here, {theirs.status} there"
    if ours.sample_ids != theirs.sample_ids:
        return f"{len(ours.sample_ids)} images here, {len(theirs.sample_ids)} others there"
    mine, others = ours.values, theirs.values
    return (
        f"{scale.text(mine.mean())}{scale.unit} here, {scale.text(others.mean())}{scale.unit} "
        f"there, {int((mine != others).sum())} of {len(mine)} images differ"
    )


def _alike(ours: CellResult, theirs: CellResult) -> bool:
    return (
        ours.status == theirs.status
        and ours.sample_ids == theirs.sample_ids
        and np.array_equal(ours.correct, theirs.correct)
        and np.array_equal(ours.values, theirs.values)  # texts may differ where scores do not
    )


def _check_images(suite: Suite, lock: Lock, cell: Cell, result: CellResult, other: Path) -> None:
    """Refuse a result of other images than those that its cell's identity is made of."""
    if result.status != "ok":
        return
    found = images_of(suite, lock, cell)
    ids = found.sample_ids if found else ()
    if metric_of(cell.metric).unit == "captions":
        captions = Counter(map(image_id_of, result.sample_ids))
        ids = tuple(f"{key}{ID_SEPARATOR}{i}" for key in ids for i in range(captions[key]))
    if result.sample_ids != ids:
        raise UserError(
            f"{other}: cell {cell.id} ({describe(cell)}): its {len(result.sample_ids)} images are "
            f"not the {len(found.sample_ids) if found else 0} of the dataset in the lock"
        )


def _joined(suite: Suite, ours: Lock, theirs: Lock) -> Lock:
    """Return our lock with the names that only the other has resolved."""
    models, datasets = {**theirs.models, **ours.models}, {**theirs.datasets, **ours.datasets}
    judge = ours.judge or theirs.judge
    known = {*(f"models.{name}" for name in models), *(f"datasets.{name}" for name in datasets)}
    if judge:
        known.add("protocol.judge")
    return Lock(
        models,
        datasets,
        {key: digest for key, digest in spec_digests(suite).items() if key in known},
        {**theirs.origins, **ours.origins},
        {**theirs.whole, **ours.whole},
        judge,
    )


def _other_versions(suite: Suite, theirs: Mapping[str, int] | None) -> Iterator[str]:
    """Say which versions differ; nothing where the other does not state any."""
    if theirs is None:
        return
    for key, ours in versions_of(suite).items():
        if (other := theirs.get(key, 1)) != ours:
            yield f"{key}: version {other} there, {ours} here"


def _renamed(ours: Lock, theirs: Lock) -> Iterator[str]:
    for name, content in ours.models.items():
        if theirs.models.get(name, content) != content:
            yield f"models.{name}"
    for name, dataset in ours.datasets.items():
        other = theirs.datasets.get(name, dataset)
        if (other.fingerprint, other.sample_ids) != (dataset.fingerprint, dataset.sample_ids):
            yield f"datasets.{name}"
    if ours.judge and theirs.judge not in ("", ours.judge):
        yield "protocol.judge"
