"""The two sets of results of a comparison: a suite's own results, or those of another folder."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.core.errors import UserError
from bench.core.types import ANYTIME, CLEAN
from bench.plan.cells import Cell
from bench.results.manifest import OWN, manifest
from bench.results.tables import Scored, load_scored, read_cells
from bench.store.foreign_folder import result_reader
from bench.store.snapshot import Results
from bench.suite.load import Suite
from bench.suite.specs import eps_value

Protocol = Mapping[str, Any]  # an entry of a manifest

# fields that are not compared: names of what is compared, the machine, the origin of the content,
# remarks for readers, and summaries of the attack's own fields
_NOT_COMPARED = {
    *("model", "weights", "dataset", "metric", "eps", "ran_on", "content_origin", "note", "trust"),
    "threat",  # given by the row: white-box and transfer from the model itself share one cell
    *("attacks", "steps", "restarts", "targets"),
}
_OF_AN_ATTACK = {"seed"}
_OF_THE_SOURCE = {"source", "source_weights"}
# what earlier versions did, whose manifests lack the field
_EARLIER = {"vqa_rule": "official"}
# where weights are stored; their hash identifies them
_PLACES = {"origin", "pretrained", "revision", "tower", "file"}


@dataclass(frozen=True, slots=True)
class ComparedResults:
    """Cells of a suite with their results, and the protocol of each cell that has a result.

    Attributes:
        scored: All cells of the suite's plan, in its order.
        protocols: Entry of the manifest, by the id of the planned cell.
    """

    scored: tuple[Scored, ...]
    protocols: Mapping[str, Protocol]


def own_results(results: Results) -> ComparedResults:
    """Return the suite's own results."""
    scored = load_scored(results)
    return ComparedResults(tuple(scored), manifest(results.suite, results.lock, scored))


def other_results(suite: Suite, plan: Sequence[Cell], folder: Path) -> ComparedResults:
    """Return the results of another folder for a suite's cells, matched by the names of the cells.

    Cell ids may differ: the other results may come from another version of the code, or from a
    suite that uses the same names for other things. So cells are matched by the names in its
    `cells.csv`.

    Args:
        suite: The suite.
        plan: Its cells.
        folder: Results folder of one suite, with `cells.csv` and `manifest.json`.

    Raises:
        UserError: The folder is not a readable results folder.
    """
    try:
        rows = read_cells(folder / "cells.csv").to_dict("records")
        entries: dict[str, Protocol] = json.loads((folder / "manifest.json").read_text("utf-8"))
        by_name = _seeds_by_name(rows, entries)
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise UserError(
            f"--with: {folder}: cannot be read ({error!r}); give the results folder of one suite, "
            "with its cells.csv and manifest.json, such as results/quickstart"
        ) from error
    theirs = result_reader(folder)
    scored: list[Scored] = []
    protocols: dict[str, Protocol] = {}
    for cell in plan:
        seeds = by_name.get(_name(cell), {})
        if len(seeds) == 1 == len(suite.attack_seeds):  # single seeds are compared, equal or not
            (found,) = seeds.values()
        else:
            found = seeds.get(cell.seed, "")
        result = theirs(found) if found else None
        if result is not None and ANYTIME in result.flags and not cell.sequential:
            cell = cell._replace(width=1.0)  # their suite stopped it, of whatever width
        scored.append(Scored(cell, result))
        if found:
            protocols[cell.id] = entries[found]
    return ComparedResults(tuple(scored), protocols)


def _seeds_by_name(
    rows: Sequence[Mapping[Any, Any]], entries: Mapping[str, Protocol]
) -> dict[tuple[object, ...], dict[int, str]]:
    """Return the ids of cells by name and seed; a damaged file raises various errors."""
    found: dict[tuple[object, ...], dict[int, str]] = {}
    for row in rows:
        cell_id, name = str(row["cell_id"]), _name_of_row(row)
        if (entry := entries.get(cell_id)) is not None:
            # read the fields that are compared later, so that a damaged entry raises here
            _ = entry["model"], dict(_nested(entry["weights"])), dict(_fields(entry))
            found.setdefault(name, {})[int(entry["seed"])] = cell_id
    return found


def protocol_differences(first: Protocol, second: Protocol) -> Iterator[tuple[str, str, str]]:
    """Yield the fields in which the protocols of two numbers differ, with both values.

    Fields that only one protocol has are not compared: another version of the code may lack them.
    Of some fields it is known what earlier versions did.
    """
    theirs = dict(_fields(second))
    for field, ours in _fields(first):
        other = theirs.get(field, _EARLIER.get(field, ours))
        if ours != other and OWN not in (ours, other):
            yield field, ours, other


def same_weights(first: Protocol, second: Protocol) -> bool:
    """Return whether two numbers have the same model weights, wherever these are stored."""
    ours, theirs = (dict(_nested(entry["weights"])) for entry in (first, second))
    return ours == theirs


def _fields(entry: Protocol) -> Iterator[tuple[str, str]]:
    for key, value in entry.items():
        own_source = key in _OF_THE_SOURCE and entry["threat"] != "transfer"
        if key in _NOT_COMPARED or own_source or (key in _OF_AN_ATTACK and "attack" not in entry):
            continue
        if isinstance(value, dict):
            yield from ((f"{key}.{name}", text) for name, text in _nested(value))
        else:
            yield key, str(value)


def _nested(value: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key, inner in value.items():
        if isinstance(inner, dict):
            yield from ((f"{key}.{name}", text) for name, text in _nested(inner))
        elif key not in _PLACES:
            yield key, str(inner)


def _name(cell: Cell) -> tuple[object, ...]:
    attack = cell.attack
    return (
        *(cell.target, cell.dataset, cell.metric),
        *(
            cell.threat.kind if cell.threat else "",
            (cell.threat.source if cell.threat else "") or "",
        ),
        *((attack.label, attack.norm, eps_value(cell.eps)) if attack else (CLEAN, "", "")),
    )


def _name_of_row(row: Mapping[Any, Any]) -> tuple[object, ...]:
    eps = str(row["eps"])
    return (
        *(row[key] for key in ("model", "dataset", "metric", "threat", "source", "attack")),
        *(str(row["norm"]).lower(), eps_value(eps) if eps else ""),
    )
