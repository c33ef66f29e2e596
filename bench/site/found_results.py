"""Finds results below folders: folders with the tables of a suite, and bundles."""

import io
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import ValidationError

from bench.compare.compared_results import ComparedResults
from bench.core.errors import UserError
from bench.core.resolved_names import Lock
from bench.core.types import CellResult
from bench.plan.cells import expand
from bench.plan.identity import still_valid
from bench.results.manifest import manifest
from bench.results.spreadsheet import unescaped
from bench.results.tables import CELL_COLUMNS, load_scored, read_cells
from bench.share.bundle import is_bundle, read_bundle, read_tables
from bench.store.foreign_folder import refuse_link, result_reader
from bench.store.results_folder import Store, read_lock
from bench.store.snapshot import Results
from bench.suite.load import Suite

_CELLS, _BOARD, _JSON = "cells.csv", "leaderboard.csv", "leaderboard.json"
_MANIFEST, _SUITE = "manifest.json", "suite.json"
_KEYS = ("rank", "model", "threat", "source", "n")
_OPTIONAL = {"vqa_rule", "load_seconds", "craft_id", "seed"}  # earlier versions lack them
Entries = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class FoundResults:
    """Results of one suite, in a folder or a bundle.

    Attributes:
        name: Name of the suite, with the path if several results have the same name.
        path: Path below the folder that was given.
        is_bundle: Whether they are a bundle.
        cells: The table `cells.csv`; empty if there is none.
        board: The table `leaderboard.csv` as texts; empty if there is none.
        by_dataset: Rows of `leaderboard.json` by dataset, with the mean over all under ""; empty if
            there is none.
        entries: The manifest; empty if there is none.
        suite: The suite; None if the results do not state it.
        open: Reads the results per image; None if there are none or the suite is not known.
    """

    name: str
    path: str
    is_bundle: bool
    cells: pd.DataFrame
    board: pd.DataFrame
    by_dataset: Mapping[str, Sequence[Mapping[str, Any]]]
    entries: Entries
    suite: Suite | None
    open: Callable[[], ComparedResults] | None


def find_results(places: Sequence[Path]) -> list[FoundResults]:
    """Return the results below some folders, and in some bundles, sorted by name.

    The same results in a folder and in a bundle count once.

    Raises:
        UserError: A place does not exist, results are damaged, or there are none.
    """
    found: dict[tuple[str, str], tuple[Path, Path]] = {}  # by suite and table
    read = {}
    for path, root in _sources(places):
        name, texts = _texts(path)
        key = (name, texts.get(_CELLS, texts.get(_BOARD, b"")).decode("utf-8", "replace"))
        if key not in found:
            found[key], read[key] = (path, root), texts
    if not found:
        raise UserError(
            f"{', '.join(map(str, places))}: no results; allowed: folders that contain a "
            f"{_CELLS} or {_BOARD}, and bundles (of `export --bundle`)"
        )
    names = [name for name, _ in found]
    results = []
    for key, (path, root) in found.items():
        below = os.path.relpath(path, root)
        shown = path.name if below == "." else Path(below).as_posix()
        name = key[0] if names.count(key[0]) == 1 else f"{key[0]} ({shown})"
        results.append(_read(name, shown, path, read[key]))
    return sorted(results, key=lambda each: each.name)


def _sources(places: Sequence[Path]) -> Iterator[tuple[Path, Path]]:
    """Yield folders and bundles with the place below which they are, folders first."""
    bundles = []
    for place in places:
        if place.is_file():
            bundles.append((place, place))
        elif not place.is_dir():
            raise UserError(f"{place}: is neither a folder nor a file")
        for folder, folders, files in os.walk(place):  # does not follow links
            folders.sort()
            if _CELLS in files or _BOARD in files:
                yield Path(folder), place
            zips = (Path(folder, name) for name in sorted(files) if name.endswith(".zip"))
            bundles += [(path, place) for path in zips if not path.is_symlink() and is_bundle(path)]
    yield from bundles


def _texts(path: Path) -> tuple[str, dict[str, bytes]]:
    """Return the name of the suite and the files of results."""
    if path.is_file():
        return read_tables(path)
    texts = {}
    for name in (_CELLS, _BOARD, _JSON, _MANIFEST, _SUITE):
        refuse_link(path / name)
        if (path / name).is_file():
            texts[name] = (path / name).read_bytes()
    return path.resolve().name, texts


def _read(name: str, shown: str, path: Path, texts: Mapping[str, bytes]) -> FoundResults:
    file = ""
    try:
        file = _CELLS
        cells = _cells(texts.get(_CELLS))
        file = _BOARD
        board = _board(texts.get(_BOARD))
        file = _JSON
        by_dataset = _by_dataset(json.loads(texts.get(_JSON, b"{}")))
        file = _MANIFEST
        entries = dict(json.loads(texts.get(_MANIFEST, b"{}")))
        file = _SUITE
        suite = Suite.model_validate_json(texts[_SUITE]) if _SUITE in texts else None
    except (ValueError, LookupError, TypeError, AttributeError, ValidationError) as error:
        raise UserError(f"{path}: {file}: cannot be read ({error})") from error
    reader = None if suite is None else _opener(path, suite)
    return FoundResults(
        name, shown, path.is_file(), cells, board, by_dataset, entries, suite, reader
    )


def _cells(text: bytes | None) -> pd.DataFrame:
    if text is None:
        return pd.DataFrame(columns=list(CELL_COLUMNS))
    frame = read_cells(io.BytesIO(text))
    if missing := [name for name in CELL_COLUMNS if name not in {*frame.columns, *_OPTIONAL}]:
        raise ValueError(f"columns are missing: {', '.join(missing)}")
    for name in ("n", "value", "ci_low", "ci_high"):
        frame[name] = pd.to_numeric(frame[name])
    return frame.assign(n=frame["n"].fillna(0).astype(int)).reindex(columns=list(CELL_COLUMNS))


def _board(text: bytes | None) -> pd.DataFrame:
    if text is None:
        return pd.DataFrame(columns=list(_KEYS))
    frame = unescaped(pd.read_csv(io.BytesIO(text), dtype=str, keep_default_na=False))
    if missing := [name for name in _KEYS if name not in frame.columns]:
        raise ValueError(f"columns are missing: {', '.join(missing)}")
    return frame


def _by_dataset(value: Mapping[str, Any]) -> dict[str, Sequence[Mapping[str, Any]]]:
    return {"": value["rows"], **value["by_dataset"]} if value else {}


def _opener(path: Path, suite: Suite) -> Callable[[], ComparedResults] | None:
    """Return a reader of the results per image; None if a folder has none."""
    if path.is_file():

        def from_bundle() -> ComparedResults:
            bundle = read_bundle(path)
            return _compared(path.parent, suite, bundle.lock, bundle.results.get)

        return from_bundle
    refuse_link(path / "lock.json")
    lock = read_lock(path)
    if lock is None:
        return None
    return lambda: _compared(path.parent, suite, lock, result_reader(path))


def _compared(
    root: Path, suite: Suite, lock: Lock, get: Callable[[str], CellResult | None]
) -> ComparedResults:
    valid = still_valid(suite, lock)
    cells = tuple(expand(suite, valid))
    found = ((key, get(key)) for key in dict.fromkeys(cell.id for cell in cells))
    by_id = {key: result for key, result in found if result is not None}
    results = Results(suite, Store(root, suite.suite), valid, cells, by_id)
    scored = load_scored(results, examined={})  # the tables have the findings' flags
    return ComparedResults(tuple(scored), manifest(suite, valid, scored))
