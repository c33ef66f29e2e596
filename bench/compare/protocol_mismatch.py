"""Reasons why a published number and a measured number cannot be compared."""

from collections.abc import Iterator, Sequence

from pydantic import TypeAdapter

from bench.compare.published_number import PROTOCOL_FIELDS, UNNAMED, Published
from bench.core.types import CLEAN
from bench.plan.cells import Cell
from bench.plan.identity import attack_identity
from bench.results.protocol_summary import protocol
from bench.suite.load import Suite
from bench.suite.specs import ATTACK_PRESETS, AnyAttack

_ATTACKS: TypeAdapter[AnyAttack] = TypeAdapter(AnyAttack)


def reasons(
    suite: Suite, row: Published, names: Sequence[str], cell: Cell, threat: str
) -> Iterator[str]:
    """Yield the differences between a published number's protocol and that of measured cells.

    Args:
        suite: The suite.
        row: The published number.
        names: Datasets that the published number is compared on.
        cell: Any of the cells of one attack and threat; they differ in their datasets only.
        threat: Their threat model, e.g. `transfer from CLIP`; empty for clean images.
    """
    if row.incomparable:
        yield row.incomparable
    if not row.datasets:
        yield "datasets: the paper does not state which datasets the mean is over"
    for dataset in suite.datasets:
        if dataset.name in names and dataset.deviation != row.deviation:
            published = row.deviation or "as published"
            yield f"datasets: {dataset.name} {published}, {dataset.deviation or 'as published'}"
    if row.attack == UNNAMED:
        yield "attack: the paper does not name it"
    if not is_attack_of(row, cell):
        yield f"attack: {row.preset_attack} published, {cell.attack.label if cell.attack else ''}"
    if row.threat_model != threat and row.attack != CLEAN:
        yield f"threat model: {row.threat_model or 'not stated'} published, {threat}"
    ours = protocol(suite, row.model, names, cell.attack, cell.mode)
    for field in PROTOCOL_FIELDS:
        theirs = getattr(row, field)
        if theirs and theirs != ours.get(field, theirs):
            yield f"{field}: {theirs} published, {ours[field]}"


def unstated(row: Published) -> tuple[str, ...]:
    """Return the fields that a published number depends on but its source does not state.

    `resize` is needed only if a dataset keeps its native size. The attack's settings are not needed
    if an attack preset defines them.
    """
    needed = ["samples", "weights", "pixels", "templates"]
    if "native" in row.pixels:
        needed.append("resize")
    if row.attack != CLEAN:
        needed += ["storage", *([] if row.preset_attack else ["steps", "restarts", "targets"])]
    return tuple(field for field in needed if not getattr(row, field))


def is_attack_of(row: Published, cell: Cell) -> bool:
    """Return whether a cell's attack is the preset attack of a published number.

    Attacks are compared by their settings, not by their names: PGD with 10 steps is `PGD-10`. True
    if the number names no preset attack.
    """
    attack = cell.attack
    if attack is None or not row.preset_attack:
        return True
    return any(
        attack_identity(_ATTACKS.validate_python({**entry, "eps": attack.eps}))
        == attack_identity(attack)
        for preset in ATTACK_PRESETS.values()
        for entry in preset
        if entry["name"] == row.preset_attack
    )
