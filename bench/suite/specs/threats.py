"""Who the attacker knows."""

from collections.abc import Collection, Iterator, Sequence
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, PlainSerializer
from pydantic_core import PydanticCustomError

from bench.suite.specs.base import Name, Spec, as_list

JOINT = " + "  # between the names of sources that are attacked as one


class Threat(Spec):
    """Who the attacker knows: the target itself, or named source models (`transfer`).

    Several sources are attacked as one, whose logits are the mean of theirs.
    """

    kind: Literal["white-box", "transfer"]
    sources: tuple[Name, ...] = ()

    @property
    def source(self) -> str | None:
        """What the sources are called in tables; None for the target itself."""
        return JOINT.join(self.sources) or None


def _threat(value: Any) -> Any:
    if value == "white-box":
        return {"kind": "white-box"}
    if isinstance(value, dict) and set(value) == {"transfer"} and value["transfer"]:
        sources = as_list(value["transfer"])
        if len(sources) == len(set(map(str, sources))):
            return {"kind": "transfer", "sources": sources}
    raise PydanticCustomError(
        "threat", "allowed: white-box, or {transfer: MODEL}, of one or a list of different ones"
    )


def _written(threat: Threat) -> Any:
    if not threat.sources:
        return threat.kind
    return {"transfer": threat.sources[0] if len(threat.sources) == 1 else threat.sources}


def source_faults(entries: Sequence[Any], models: Collection[Any]) -> Iterator[str]:
    """Say which sources of a suite's threats are none of its models."""
    for place, entry in enumerate(entries):
        named = entry.get("transfer") if isinstance(entry, dict) else None
        for at, source in enumerate(as_list(named)):
            if isinstance(source, str) and source not in models:
                path = f"threats.{place}.transfer" + (f".{at}" if isinstance(named, list) else "")
                yield f"{path}: got {source!r}; declared models: {', '.join(map(str, models))}"


AnyThreat = Annotated[Threat, BeforeValidator(_threat), PlainSerializer(_written)]
