"""Merge other people's results of a suite into ours; our results are never overwritten."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bench.core.errors import UserError
from bench.core.resolved_names import Lock
from bench.core.types import ANYTIME, CellResult
from bench.plan.cells import Cell, images_of
from bench.plan.identity import spec_digests, still_valid
from bench.plan.labels import describe
from bench.plan.versions import versions_of
from bench.results.number_format import Scale, scale_of
from bench.share.foreign_results import ForeignResults, open_foreign
from bench.store.folder_lock import lock_folder
from bench.store.results_folder import Store
from bench.store.snapshot import Results, read_results
from bench.suite.load import Suite
from bench.suite.metrics import ID_SEPARATOR, image_id_of, metric_of


@dataclass(frozen=True, slots=True)
class Conflict:
    """A cell with different outcomes in both results; ours is kept.

    Attributes:
        cell: The cell.
        ours: Our result.
        theirs: Their result.
    """

    cell: Cell
    ours: CellResult
    theirs: CellResult


@dataclass(frozen=True, slots=True)
class MergeResult:
    """The outcome of a merge.

    Attributes:
        added: Number of added results; ours were missing, had failed, or had fewer images of a
            cell that is drawn until ranks are settled.
        same: Number of cells with the same outcome in both.
        missing: Number of cells of the suite without a result of theirs.
        conflicts: Cells with different outcomes.
        results: Our stored results after the merge.
        changed_content: Key paths of models and datasets whose content differs from ours; their
            cells have other ids.
        versions: Attacks, metrics and tasks whose versions differ, with both versions; the cells
            that depend on them have other ids.
    """

    added: int
    same: int
    missing: int
    conflicts: tuple[Conflict, ...]
    results: Results
    changed_content: tuple[str, ...]
    versions: tuple[str, ...]


def merge(suite: Suite, store: Store, other: Path) -> MergeResult:
    """Add other people's results to ours, matched by cell id.

    Args:
        suite: The suite; only results of its cells are added.
        store: Our store of the suite.
        other: A bundle, their folder of the suite, or their folder of all results.

    Raises:
        UserError: `other` has no results of the suite, the images of a result are not those of its
            cell, or a run uses our folder.
    """
    theirs = open_foreign(suite, other)
    with lock_folder(store.folder, "merge", store.folder):
        return _merged(suite, store, other, theirs)


def _merged(suite: Suite, store: Store, other: Path, theirs: ForeignResults) -> MergeResult:
    ours = still_valid(suite, store.lock())
    lock = _merged_lock(suite, ours, still_valid(suite, theirs.lock))
    changed_content = tuple(_different_content(ours, theirs.lock))
    versions = tuple(_version_differences(suite, theirs.versions))
    added = same = missing = 0
    conflicts = []
    added_results = []
    stored = read_results(suite, store, lock)
    for cell, found in {pair[0].id: pair for pair in stored.cells_with_results}.values():
        result, our_result = theirs.get(cell.id), found.whole() if found else None
        if result is None:
            missing += 1
        elif our_result is None or _is_better(cell, result, our_result):
            _check_images(suite, lock, cell, result, other)
            added_results.append(result)
            added += 1
        elif (
            result.status == "failed"
            or _same_outcome(our_result, result)
            or _is_better(cell, our_result, result)
        ):
            same += 1
        else:
            conflicts.append(Conflict(cell, our_result, result))
    if not added and not same and not conflicts:
        why = f"; different content: {', '.join(changed_content)}" if changed_content else ""
        why += f"; different versions: {', '.join(versions)}" if versions else ""
        raise UserError(
            f"{other}: has results of suite {theirs.suite!r}, but none of a cell of suite "
            f"{suite.suite!r}{why}"
        )
    for result in added_results:
        store.put(result)
    store.flush()
    store.put_lock(lock)
    after = replace(stored, by_id={**stored.by_id, **{new.cell_id: new for new in added_results}})
    return MergeResult(added, same, missing, tuple(conflicts), after, changed_content, versions)


def merge_lines(merged: MergeResult) -> Iterator[str]:
    """Yield lines that describe a merge; each conflict has a line of its own."""
    for key in merged.changed_content:
        yield f"{key}: their content differs from ours; its cells were not merged"
    for text in merged.versions:
        yield f"{text}; the cells that depend on it were not merged"
    for conflict in merged.conflicts:
        ours, theirs = conflict.ours, conflict.theirs
        difference = _difference(ours, theirs, scale_of(metric_of(conflict.cell.metric)))
        yield f"conflict: {describe(conflict.cell)}: {difference}; ours is kept"
    yield (
        f"{merged.added} cells added, {merged.same} the same, "
        f"{len(merged.conflicts)} in conflict, {merged.missing} missing in theirs"
    )


def _difference(ours: CellResult, theirs: CellResult, scale: Scale) -> str:
    if ours.status != theirs.status:
        return f"{ours.status} in ours, {theirs.status} in theirs"
    if ours.sample_ids != theirs.sample_ids:
        return (
            f"{len(ours.sample_ids)} images in ours, {len(theirs.sample_ids)} different images in "
            "theirs"
        )
    our_values, other_values = ours.values, theirs.values
    return (
        f"{scale.text(our_values.mean())}{scale.unit} in ours, "
        f"{scale.text(other_values.mean())}{scale.unit} in theirs, "
        f"{int((our_values != other_values).sum())} of {len(our_values)} images differ"
    )


def _is_better(cell: Cell, first: CellResult, second: CellResult) -> bool:
    """Return whether a result counts in place of another one: that failed, or had fewer images.

    Cells whose images are drawn until ranks are settled have more images in a later round.
    """
    if "failed" in (first.status, second.status):
        return first.status != "failed"
    n = second.size
    return (
        cell.ends is not None
        and first.status == second.status == "ok"
        and first.size > n
        and first.sample_ids[:n] == second.sample_ids
        and np.array_equal(first.values[:n], second.values)
    )


def _same_outcome(ours: CellResult, theirs: CellResult) -> bool:
    return (
        ours.status == theirs.status
        and ours.sample_ids == theirs.sample_ids
        and np.array_equal(ours.correct, theirs.correct)
        and np.array_equal(ours.values, theirs.values)  # answers may differ if scores are equal
    )


def _check_images(suite: Suite, lock: Lock, cell: Cell, result: CellResult, other: Path) -> None:
    """Raise UserError if a result's images are not those in the identity of its cell."""
    if result.status != "ok":
        return
    found = images_of(suite, lock, cell)
    ids = found.sample_ids if found else ()
    if metric_of(cell.metric).unit == "captions":
        captions = Counter(map(image_id_of, result.sample_ids))
        ids = tuple(f"{key}{ID_SEPARATOR}{i}" for key in ids for i in range(captions[key]))
    if ANYTIME in result.flags:
        ids = ids[: len(result.sample_ids)]
    if result.sample_ids != ids:
        raise UserError(
            f"{other}: cell {cell.id} ({describe(cell)}): its {len(result.sample_ids)} images are "
            f"not the {len(found.sample_ids) if found else 0} of the dataset in the lock"
        )


def _merged_lock(suite: Suite, ours: Lock, theirs: Lock) -> Lock:
    """Return our lock with the names that only their lock has."""
    models, datasets = {**theirs.models, **ours.models}, {**theirs.datasets, **ours.datasets}
    judge, images = ours.judge or theirs.judge, {**theirs.images, **ours.images}
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
        images,
    )


def _version_differences(suite: Suite, theirs: Mapping[str, int] | None) -> Iterator[str]:
    """Yield the versions that differ; nothing if their results do not state versions."""
    if theirs is None:
        return
    for key, ours in versions_of(suite).items():
        if (other := theirs.get(key, 1)) != ours:
            yield f"{key}: version {other} in theirs, {ours} in ours"


def _different_content(ours: Lock, theirs: Lock) -> Iterator[str]:
    for name, content in ours.models.items():
        if theirs.models.get(name, content) != content:
            yield f"models.{name}"
    for name, dataset in ours.datasets.items():
        other = theirs.datasets.get(name, dataset)
        if (other.fingerprint, other.sample_ids) != (dataset.fingerprint, dataset.sample_ids):
            yield f"datasets.{name}"
    for path, content in ours.images.items():
        if theirs.images.get(path, content) != content:
            yield f"attacks, {path}"
    if ours.judge and theirs.judge not in ("", ours.judge):
        yield "protocol.judge"
