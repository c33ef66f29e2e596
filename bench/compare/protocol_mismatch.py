"""What keeps a published number and a suite's from being compared: each reason in words."""

from collections.abc import Iterator, Sequence

from pydantic import TypeAdapter

from bench.compare.published import PROTOCOL_FIELDS, UNNAMED, Published
from bench.plan.cells import Cell
from bench.plan.identity import attack_identity
from bench.results.protocol_summary import protocol
from bench.suite.load import Suite
from bench.suite.specs import ATTACK_PRESETS, AnyAttack

_ATTACKS: TypeAdapter[AnyAttack] = TypeAdapter(AnyAttack)


def reasons(
    suite: Suite, row: Published, names: Sequence[str], cell: Cell, threat: str
) -> Iterator[str]:
    """Say what differs between a published number and the cells of one attack and threat.

    Args:
        suite: The suite.
        row: The published number.
        names: The datasets that are held against it.
        cell: One of the cells, which differ in their datasets alone.
        threat: Their threat in words; empty when clean.
    """
    if row.incomparable:
        yield row.incomparable
    if not row.datasets:
        yield "datasets: those of the mean are not stated"
    for dataset in suite.datasets:
        if dataset.name in names and dataset.deviation:
            yield f"datasets: {dataset.name} as published, {dataset.deviation}"
    if row.attack == UNNAMED:
        yield "attack: the paper names none"
    if not is_attack_of(row, cell):
        yield f"attack: {row.preset_attack} published, {cell.attack.label if cell.attack else ''}"
    if row.threat_model != threat and row.attack != "clean":
        yield f"threat model: {row.threat_model or 'not stated'} published, {threat}"
    ours = protocol(suite, row.model, names, cell.attack, cell.mode)
    for field in PROTOCOL_FIELDS:
        theirs = getattr(row, field)
        if theirs and theirs != ours.get(field, theirs):
            yield f"{field}: {theirs} published, {ours[field]}"


def unstated(row: Published) -> tuple[str, ...]:
    """Return the fields that a number depends on and its source does not state.

    Nothing is said of resizing inside the model where no set keeps its own size, nor of an
    attack's settings where a preset has them.
    """
    needed = ["samples", "weights", "pixels", "templates"]
    if "native" in row.pixels:
        needed.append("resize")
    if row.attack != "clean":
        needed += ["storage", *([] if row.preset_attack else ["steps", "restarts", "targets"])]
    return tuple(field for field in needed if not getattr(row, field))


def is_attack_of(row: Published, cell: Cell) -> bool:
    """Return whether a cell's attack is the preset's one that a number is of, if it names one.

    Settings decide, whatever either is called: PGD of 10 steps is the preset's `PGD-10`.
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
