"""Threat models: which models the attacker has access to."""

from collections.abc import Collection, Iterator, Sequence
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, PlainSerializer
from pydantic_core import PydanticCustomError

from bench.core.suggestions import listed
from bench.suite.specs.base import Name, Spec, as_list

_JOINT = " + "  # joins the names of sources that are attacked as an ensemble


class Threat(Spec):
    """A threat model: the attacker knows the target (white-box) or source models (transfer).

    Attributes:
        kind: `white-box` or `transfer`; `external` if the adversarial images are given, so that
            nothing is known about the attacker.
        sources: Names of the source models. Several are attacked as one model, whose logits are
            the mean of their logits.
    """

    kind: Literal["white-box", "transfer", "external"]
    sources: tuple[Name, ...] = ()

    @property
    def source(self) -> str | None:
        """Name of the sources in tables; None for white-box and external."""
        return _JOINT.join(self.sources) or None


EXTERNAL = Threat(kind="external")  # of `kind: images`; a suite does not list it


def _threat(value: Any) -> Any:
    if value == "white-box":
        return {"kind": "white-box"}
    if isinstance(value, dict) and set(value) == {"transfer"} and value["transfer"]:
        sources = as_list(value["transfer"])
        if len(sources) == len(set(map(str, sources))):
            return {"kind": "transfer", "sources": sources}
    raise PydanticCustomError(
        "threat",
        "allowed: white-box, {transfer: MODEL}, or {transfer: [MODEL, ...]} without repeats",
    )


def _as_written(threat: Threat) -> Any:
    if not threat.sources:
        return threat.kind
    return {"transfer": threat.sources[0] if len(threat.sources) == 1 else threat.sources}


def source_faults(entries: Sequence[Any], models: Collection[Any]) -> Iterator[str]:
    """Yield a fault for each source that is not a model, and for each label of other sources.

    Tables name a threat by its sources, so two threats with one label would share their rows.

    Args:
        entries: The entries of the key `threats`, as read from YAML.
        models: Names of the suite's models.
    """
    labels: dict[str, Any] = {str(name): [name] for name in models}
    for place, entry in enumerate(entries):
        named = entry.get("transfer") if isinstance(entry, dict) else None
        joint = _JOINT.join(map(str, as_list(named)))
        if len(as_list(named)) > 1 and labels.setdefault(joint, named) != named:
            yield (
                f"threats.{place}.transfer: got {named!r}, which tables call {joint!r}, the label "
                f"of {' and '.join(map(repr, labels[joint]))} too; rename a model"
            )
        for at, source in enumerate(as_list(named)):
            if isinstance(source, str) and source not in models:
                path = f"threats.{place}.transfer" + (f".{at}" if isinstance(named, list) else "")
                yield f"{path}: got {source!r}; declared models: {listed(source, models)}"


AnyThreat = Annotated[Threat, BeforeValidator(_threat), PlainSerializer(_as_written)]
