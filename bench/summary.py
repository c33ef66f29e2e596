"""What `plan`, `status` and `list` say; starts without torch."""

from collections import Counter
from collections.abc import Iterator
from typing import Any, get_args

from bench.plan import Lock, expand, still_valid
from bench.specs import (
    PRESETS,
    AnyAttack,
    ModelSpec,
    NanoDataset,
    Spec,
    WebDataset,
)
from bench.store import Store
from bench.suite import Suite
from bench.tables import load_scored

_NATIVE_PIXELS = 32  # the embedded sets; a set attacked at native size may differ


def plan_lines(suite: Suite, lock: Lock) -> Iterator[str]:
    """Say how many numbers a suite asks for, and what they cost in images and disk."""
    cells = expand(suite, still_valid(suite, lock))
    crafts = {cell.craft_id: cell for cell in cells if cell.attack is not None}
    shared = [cell for cell in crafts.values() if cell.mode == "full"]
    scored_shared = sum(1 for cell in cells if cell.attack is not None and cell.mode == "full")
    steps = sum(getattr(cell.attack, "steps", 1) for cell in crafts.values()) * suite.samples
    pixels = suite.protocol.pixels
    size = _NATIVE_PIXELS if pixels == "native" else pixels.size
    disk = len(shared) * suite.samples * 3 * size * size * 2
    yield f"suite {suite.suite}: {len(cells)} cells"
    yield f"  models    {len(suite.models)}: {', '.join(suite.models)}"
    yield f"  datasets  {len(suite.datasets)}: {', '.join(d.name for d in suite.datasets)}"
    for attack in suite.attacks:
        yield f"  attack    {attack.label} at {', '.join(attack.eps)}"
    for threat in suite.threats:
        yield f"  threat    {f'transfer from {threat.source}' if threat.source else threat.kind}"
    yield f"  crafts    {len(crafts)}, of which {len(shared)} are shared by {scored_shared} cells"
    yield f"  attacking {steps:,} images x steps at most ({suite.samples} images a dataset)"
    yield f"  disk      {disk / 1e6:,.0f} MB of crafts at {size} pixels"
    yield ""
    width = max(len(name) for name in suite.models)
    for model in suite.models:
        counts = Counter(cell.dataset for cell in cells if cell.target == model)
        yield f"  {model:<{width}}  " + "  ".join(f"{d}: {n}" for d, n in counts.items())


def status_lines(suite: Suite, store: Store) -> Iterator[str]:
    """Say how many of a suite's cells are done, and name those that failed."""
    scored = load_scored(suite, store)
    counts = Counter(item.result.status if item.result else "missing" for item in scored)
    yield f"suite {suite.suite}: {len(scored)} cells in {store.folder}"
    yield "  " + ", ".join(f"{counts[key]} {key}" for key in ("ok", "skip", "failed", "missing"))
    for item in scored:
        if item.result and item.result.status == "failed":
            cell = f"{item.cell.target} · {item.cell.dataset} · {item.column}"
            yield f"  failed: {cell}: {item.result.reason}"


def list_lines() -> Iterator[str]:
    """Say what a suite may name, from the specs themselves."""
    for title, union in (
        ("models", ModelSpec),
        ("datasets", NanoDataset | WebDataset),
        ("attacks", AnyAttack),
    ):
        yield f"{title}:"
        for spec in _members(union):
            fields = [f"{name}{_values(field)}" for name, field in spec.model_fields.items()]
            kind = get_args(spec.model_fields["kind"].annotation)[0]
            own = [text for text in fields if not text.startswith("kind")]
            yield f"  {kind:<12} {(spec.__doc__ or '').splitlines()[0]}"
            yield f"  {'':<12} {', '.join(own)}"
    yield "sweeps, in any model:"
    yield "  sweep: {FIELD: [VALUE, ...]} stands for one model per value; several fields for all"
    yield "  combinations; each is called after its values: NAME[FIELD=VALUE]"
    yield "threats:"
    yield "  white-box, {transfer: MODEL}"
    yield "protocols:"
    for name, preset in PRESETS.items():
        yield f"  {name:<16} {preset.model_dump_json()}"


def _members(union: Any) -> tuple[type[Spec], ...]:
    inner = get_args(union)
    return _members(inner[0]) if inner and not isinstance(inner[0], type) else inner


def _values(field: Any, prefix: str = ": ") -> str:
    choices = [str(choice) for choice in get_args(field.annotation) if isinstance(choice, str)]
    return prefix + "|".join(choices) if choices else ""
