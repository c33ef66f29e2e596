"""What `plan` and `list` say; starts without torch."""

from collections.abc import Iterator, Mapping
from typing import Any, get_args

from bench import catalogue
from bench.commands.presence import download_line
from bench.core.locks import Lock
from bench.plan.cells import Cell, expand
from bench.plan.cost.estimate import cost_lines
from bench.plan.cost.lvlm_estimate import memory_lines
from bench.plan.identity import still_valid
from bench.plan.judge_keys import judge_lines, key_faults
from bench.suite.load import Suite
from bench.suite.specs import (
    ATTACK_PRESETS,
    PRESETS,
    AnyAttack,
    DatasetSpec,
    JudgeSpec,
    ModelSpec,
    Spec,
)

_COLUMNS = ("cell", "model", "dataset", "attack", "eps", "threat", "source", "steps", "seed")


def plan_lines(suite: Suite, lock: Lock, gpu: str = "h100") -> Iterator[str]:
    """List a suite's cells, then say what they cost in images and disk.

    Args:
        suite: The suite.
        lock: What its names stood for in the last run; names that it lacks have
            cells whose ids the next run will change.
        gpu: Whose time is estimated, one of `bench.plan.cost.estimate.GPUS`.
    """
    lock = still_valid(suite, lock)
    cells = expand(suite, lock)
    rows = [_COLUMNS, *map(_row, cells)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    for row in rows:
        yield "  ".join(
            f"{text:<{width}}" for text, width in zip(row, widths, strict=True)
        ).rstrip()
    yield ""
    yield f"suite {suite.suite}: {len(cells)} cells, {len({cell.id for cell in cells})} different"
    if suite.note:
        yield f"  note      {suite.note}"
    yield f"  models    {len(suite.models)}: {', '.join(suite.models)}"
    yield f"  datasets  {len(suite.datasets)}: {', '.join(d.name for d in suite.datasets)}"
    for attack in suite.attacks:
        yield f"  attack    {attack.label_in_norm} at {', '.join(attack.eps)}"
    for threat in suite.threats:
        yield f"  threat    {f'transfer from {threat.source}' if threat.source else threat.kind}"
    for line in judge_lines(suite):
        yield f"  judge     {line}"
    for fault in key_faults(suite):
        yield f"  judge     {fault}"
    yield from cost_lines(suite, lock, cells, gpu)
    yield from memory_lines(suite)
    yield f"  download  {download_line(suite)}"
    sets = {dataset.name for dataset in suite.datasets}
    if suite.models.keys() - lock.models.keys() or sets - lock.datasets.keys():
        yield "  ids       preliminary: the first run puts hashes of weights and images into them"


def _row(cell: Cell) -> tuple[str, ...]:
    if cell.attack is None or cell.threat is None:
        return (cell.id, cell.target, cell.dataset, "clean", *"-----")
    threat = cell.threat
    known = (threat.kind, threat.source or "-", str(cell.attack.gradients), str(cell.seed))
    return (cell.id, cell.target, cell.dataset, cell.attack.label_in_norm, cell.eps, *known)


def list_lines() -> Iterator[str]:
    """Say what a suite may name, from the specs themselves."""
    for title, union in (
        ("models", ModelSpec),
        ("datasets", DatasetSpec),
        ("attacks", AnyAttack),
        ("judges, in `protocol.judge`", JudgeSpec),
    ):
        yield f"{title}:"
        for spec in _members(union):
            fields = [f"{name}{_values(field)}" for name, field in spec.model_fields.items()]
            kind = get_args(spec.model_fields["kind"].annotation)[0]
            own = [text for text in fields if not text.startswith("kind")]
            yield f"  {kind:<18} {(spec.__doc__ or '').splitlines()[0]}"
            yield f"  {'':<18} {', '.join(own)}"
    yield "datasets of the catalogue (hub, or as docs/data.md says):"
    for name, facts in catalogue.datasets().items():
        holds = f"{facts.images:,} images, {facts.classes or 'captions, no'} classes"
        yield f"  {name:<16} {holds}; {facts.source}; terms: {facts.terms}"
    yield "attacks as papers ran them:"
    for name, attacks in ATTACK_PRESETS.items():
        yield f"  {{preset: {name}, eps: ...}}: {'; '.join(map(_written, attacks))}"
    yield "sweeps, in any model:"
    yield "  sweep: {FIELD: [VALUE, ...]} stands for one model per value; several fields for all"
    yield "  combinations; each is called after its values: NAME[FIELD=VALUE]"
    yield "threats:"
    yield "  white-box, {transfer: MODEL}, {transfer: [MODEL, ...]}"
    yield "protocols:"
    for name, preset in PRESETS.items():
        yield f"  {name:<16} {preset.model_dump_json()}"


def _written(attack: Mapping[str, Any]) -> str:
    members = attack.get("attacks", [])
    own = {key: value for key, value in attack.items() if key != "attacks"}
    words = [str(own.pop("kind")), *(f"{key} {value}" for key, value in own.items())]
    return " ".join([*words, *(f"({_written(member)})" for member in members)])


def _members(union: Any) -> tuple[type[Spec], ...]:
    inner = get_args(union)
    return _members(inner[0]) if inner and not isinstance(inner[0], type) else inner


def _values(field: Any, prefix: str = ": ") -> str:
    choices = [str(choice) for choice in get_args(field.annotation) if isinstance(choice, str)]
    return prefix + "|".join(choices) if choices else ""
