"""The two sides of a comparison: a suite's numbers from its own results, or from another folder."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.core.errors import UserError
from bench.plan.cells import Cell
from bench.results.manifest import OWN, manifest
from bench.results.tables import Scored, load_results, load_scored
from bench.store.foreign_folder import result_reader
from bench.store.snapshot import Results
from bench.suite.load import Suite
from bench.suite.specs import eps_value

Protocol = Mapping[str, Any]  # an entry of a manifest

# what an entry says besides the protocol: what is compared, what it ran on, where it came from, and
# what the attack's own fields say already
_BESIDES = {
    *("model", "weights", "dataset", "metric", "eps", "ran_on", "content_origin"),
    "threat",  # a row's own; a cell that is white-box and transfer from itself states one of them
    *("attacks", "steps", "restarts", "targets"),
}
_OF_AN_ATTACK = {"seed"}
_OF_THE_SOURCE = {"source", "source_weights"}
# where a source's weights lie, which their hash makes of no account
_PLACES = {"origin", "pretrained", "revision", "tower", "file"}


@dataclass(frozen=True, slots=True)
class Side:
    """A suite's cells with what came of them, and the protocol of each that has a result.

    Attributes:
        scored: The cells of the suite's plan, in its order.
        protocols: The manifest's entry, by the id of the planned cell.
    """

    scored: tuple[Scored, ...]
    protocols: Mapping[str, Protocol]


def own_side(results: Results) -> Side:
    """Return a suite's own results."""
    scored = load_scored(results)
    return Side(tuple(scored), manifest(results.suite, results.lock, scored))


def other_side(suite: Suite, plan: Sequence[Cell], folder: Path) -> Side:
    """Return what another results folder has under the names of a suite's cells.

    Its ids may be others: its numbers may be of another version of the code, or of a suite that
    has the same names for other things. Its tables say what they are of.

    Args:
        suite: The suite.
        plan: Its cells.
        folder: Results of one suite, with `cells.csv` and `manifest.json`.

    Raises:
        UserError: The folder is no such folder.
    """
    try:
        rows = load_results(folder).to_dict("records")
        entries: dict[str, Protocol] = json.loads((folder / "manifest.json").read_text("utf-8"))
        by_name = _seeds_by_name(rows, entries)
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:  # or damaged
        raise UserError(
            f"--with: {folder}: cannot be read ({error!r}); needed is the folder of one suite's "
            "results with its cells.csv and manifest.json, such as results/quickstart"
        ) from error
    theirs = result_reader(folder)
    scored: list[Scored] = []
    protocols: dict[str, Protocol] = {}
    for cell in plan:
        seeds = by_name.get(_name(cell), {})
        if len(seeds) == 1 == len(suite.attack_seeds):  # one seed is held against any one
            (found,) = seeds.values()
        else:
            found = seeds.get(cell.seed, "")
        scored.append(Scored(cell, theirs(found) if found else None))
        if found:
            protocols[cell.id] = entries[found]
    return Side(tuple(scored), protocols)


def _seeds_by_name(
    rows: Sequence[Mapping[Any, Any]], entries: Mapping[str, Protocol]
) -> dict[tuple[object, ...], dict[int, str]]:
    """Return the ids of cells by name and seed; a file that is damaged raises one of many kinds."""
    found: dict[tuple[object, ...], dict[int, str]] = {}
    for row in rows:
        cell_id, name = str(row["cell_id"]), _name_of_row(row)
        if (entry := entries.get(cell_id)) is not None:
            _ = entry["model"], dict(_nested(entry["weights"])), dict(_fields(entry))  # are there
            found.setdefault(name, {})[int(entry["seed"])] = cell_id
    return found


def differences(first: Protocol, second: Protocol) -> Iterator[str]:
    """Say in which fields of their protocols two numbers differ: `pixels: native, 224 crop`.

    What only one of them states, as another version of the code may, is not compared.
    """
    theirs = dict(_fields(second))
    for field, one in _fields(first):
        other = theirs.get(field, one)
        if one != other and OWN not in (one, other):
            yield f"{field}: {one}, {other}"


def same_weights(first: Protocol, second: Protocol) -> bool:
    """Return whether two numbers are of the same weights, wherever those lie."""
    ours, theirs = (dict(_nested(entry["weights"])) for entry in (first, second))
    return ours == theirs


def _fields(entry: Protocol) -> Iterator[tuple[str, str]]:
    for key, value in entry.items():
        own_source = key in _OF_THE_SOURCE and entry["threat"] != "transfer"
        if key in _BESIDES or own_source or (key in _OF_AN_ATTACK and "attack" not in entry):
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
        *((attack.label, attack.norm, eps_value(cell.eps)) if attack else ("clean", "", "")),
    )


def _name_of_row(row: Mapping[Any, Any]) -> tuple[object, ...]:
    eps = str(row["eps"])
    return (
        *(row[key] for key in ("model", "dataset", "metric", "threat", "source", "attack")),
        *(str(row["norm"]).lower(), eps_value(eps) if eps else ""),
    )
