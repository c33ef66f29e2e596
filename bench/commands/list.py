"""`list`: lists everything that a suite may contain, read from the specs."""

import argparse
from collections.abc import Iterator, Mapping
from typing import Any, get_args

from bench import catalogue
from bench.commands.model_list import model_lines
from bench.suite.specs import (
    ATTACK_PRESETS,
    PRESETS,
    AnyAttack,
    DatasetSpec,
    JudgeSpec,
    ModelSpec,
    Spec,
)


def list_lines() -> Iterator[str]:
    """Yield the lines of the list: kinds with their keys, presets and the catalogue."""
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
    yield "models by short name, in place of entries (docs/models.md):"
    yield from model_lines()
    yield "datasets of the catalogue (hub, or as docs/data.md says):"
    for name, facts in catalogue.datasets().items():
        size = f"{facts.images:,} images, {facts.classes or 'captions, no'} classes"
        yield f"  {name:<16} {size}; {facts.source}; terms: {facts.terms}"
    yield "presets of attacks, with the settings of papers:"
    for name, attacks in ATTACK_PRESETS.items():
        yield f"  {{preset: {name}, eps: ...}}: {'; '.join(map(_settings, attacks))}"
    yield "sweeps, in any model:"
    yield "  sweep: {FIELD: [VALUE, ...]} declares one model per value, named NAME[FIELD=VALUE];"
    yield "  several fields declare all combinations"
    yield "threats:"
    yield "  white-box, {transfer: MODEL}, {transfer: [MODEL, ...]}; attacks of kind `images` have"
    yield "  the threat `external`, which is not listed in a suite"
    yield "presets of protocols:"
    for name, preset in PRESETS.items():
        yield f"  {name:<16} {preset.model_dump_json()}"


def _settings(attack: Mapping[str, Any]) -> str:
    members = attack.get("attacks", [])
    own = {key: value for key, value in attack.items() if key != "attacks"}
    words = [str(own.pop("kind")), *(f"{key} {value}" for key, value in own.items())]
    return " ".join([*words, *(f"({_settings(member)})" for member in members)])


def _members(union: Any) -> tuple[type[Spec], ...]:
    inner = get_args(union)
    return _members(inner[0]) if inner and not isinstance(inner[0], type) else inner


def _values(field: Any) -> str:
    choices = [str(choice) for choice in get_args(field.annotation) if isinstance(choice, str)]
    return ": " + "|".join(choices) if choices else ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "what", nargs="?", choices=("models",), help="only the models by short name; default: all"
    )


def command(options: argparse.Namespace) -> int:
    """Print the list."""
    print("\n".join(model_lines() if options.what == "models" else list_lines()))
    return 0
