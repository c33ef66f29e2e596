"""Who the attacker knows."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, PlainSerializer
from pydantic_core import PydanticCustomError

from bench.specs.base import Name, Spec


class Threat(Spec):
    """Who the attacker knows: the target itself, or a named source model (`transfer`)."""

    kind: Literal["white-box", "transfer"]
    source: Name | None = None


def _threat(value: Any) -> Any:
    if value == "white-box":
        return {"kind": "white-box"}
    if isinstance(value, dict) and set(value) == {"transfer"} and value["transfer"] is not None:
        return {"kind": "transfer", "source": value["transfer"]}
    raise PydanticCustomError("threat", "allowed: white-box, or {transfer: MODEL}")


AnyThreat = Annotated[
    Threat,
    BeforeValidator(_threat),
    PlainSerializer(lambda t: {"transfer": t.source} if t.source else t.kind),
]
