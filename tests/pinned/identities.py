"""The ids of all cells and crafts of suites, under a lock that never changes."""

import hashlib
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from bench import load_suite
from bench.core.resolved_names import DatasetLock, Lock
from bench.plan.cells import Cell, expand
from bench.plan.identity import spec_digests
from bench.suite.load import Suite
from bench.suite.specs import ExternalImages

FOLDER = Path(__file__).parent
SHIPPED = FOLDER.parents[1] / "suites"
CELL, CRAFT, SPEC = 6, 4, 6  # hexadecimal digits that are kept of an id; a digest has all


def every_kind() -> list[dict[str, Any]]:
    """Return the suites of every kind as they are written."""
    raw: list[dict[str, Any]] = yaml.safe_load((FOLDER / "every_kind.yaml").read_text("utf-8"))
    return raw


@cache
def kinds() -> dict[str, Suite]:
    """Return the suites of every kind."""
    with tempfile.TemporaryDirectory() as folder:
        return {f"every kind, {raw['suite']}": _loaded(raw, Path(folder)) for raw in every_kind()}


def shipped() -> dict[str, Suite]:
    """Return the suites that the project ships."""
    return {f"suites/{path.name}": load_suite(path) for path in sorted(SHIPPED.glob("*.yaml"))}


def _loaded(raw: dict[str, Any], folder: Path) -> Suite:
    path = folder / "suite.yaml"
    path.write_text(yaml.safe_dump(raw, sort_keys=False))
    return load_suite(path)


def fixed_lock(suite: Suite) -> Lock:
    """Return a lock in which a name stands for itself, whatever is installed or downloaded."""

    def images(name: str, count: int) -> DatasetLock:
        ids = tuple(f"{i:03}" for i in range(count))
        return DatasetLock(f"images of {name}", ids, ("cat", "dog"), ("a photo of a {c}.",))

    names = [dataset.name for dataset in suite.datasets]
    return Lock(
        models={name: f"weights of {name}" for name in suite.models},
        datasets={name: images(name, 3) for name in names},
        whole={name: images(name, 4) for name in names},
        judge="weights of the judge",
        images={
            attack.path_for(name): f"images of {attack.label} on {name}"
            for attack in suite.attacks
            if isinstance(attack, ExternalImages)
            for name in names
        },
    )


def identities(suite: Suite) -> dict[str, Any]:
    """Return a suite's ids in a form in which a change names its cells.

    Returns:
        `columns`: what is done to each model and dataset; `cells`: by model, dataset and metric
        the ids of cell and craft in each column, cut; `digest`: of all ids, whole; `specs`: by
        which a stored lock is known to be of this suite.
    """
    found: dict[str, dict[str, Cell]] = {}
    for cell in expand(suite, fixed_lock(suite)):
        found.setdefault(_row(cell), {})[_column(cell)] = cell
    columns = list(next(iter(found.values())))
    whole = hashlib.sha256()
    for row, cells in found.items():
        assert list(cells) == columns, f"{row} has other cells than the models before it"
        for column, cell in cells.items():
            whole.update(f"{row} {column} {cell.id} {cell.craft_id}\n".encode())
    return {
        "digest": whole.hexdigest(),
        "columns": columns,
        "cells": {row: " ".join(map(_short, cells.values())) for row, cells in found.items()},
        "specs": {key: value[:SPEC] for key, value in spec_digests(suite).items()},
    }


def flat(pinned: dict[str, Any]) -> dict[str, str]:
    """Return ids by the words that name them."""
    return dict(_flat(pinned))


def _flat(pinned: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for row, ids in pinned["cells"].items():
        for column, both in zip(pinned["columns"], ids.split(), strict=True):
            cell, _, craft = both.partition(".")
            yield f"{row}: {column}: cell", cell
            yield f"{row}: {column}: craft", craft
    for key, value in pinned["specs"].items():
        yield f"{key}: digest of what the suite says, kept in lock.json", value


def _row(cell: Cell) -> str:
    return f"{cell.target} | {cell.dataset} | {cell.metric}"


def _column(cell: Cell) -> str:
    attack, threat = cell.attack, cell.threat
    if attack is None or threat is None:
        return "clean"
    name = attack.name or attack.kind
    whence = "+".join(threat.sources) or threat.kind
    return f"{whence} {name} {attack.norm} {cell.eps} seed {cell.seed}"


def _short(cell: Cell) -> str:
    return f"{cell.id[:CELL]}.{cell.craft_id[:CRAFT]}" if cell.craft_id else cell.id[:CELL]
