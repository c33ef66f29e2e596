"""Attacks with their budgets, and who the attacker knows."""

from fractions import Fraction
from typing import Annotated, Any, Literal, cast

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    JsonValue,
    PlainSerializer,
    field_validator,
)
from pydantic_core import PydanticCustomError

from bench.specs.base import Name, Spec, many


def _eps(value: Any) -> str:
    text = str(value).strip()
    try:
        number = float(Fraction(text)) if not isinstance(value, bool) else -1.0
    except (ValueError, ZeroDivisionError, OverflowError):
        number = -1.0
    if not 0 <= number <= 1:
        raise PydanticCustomError(
            "eps", "a radius in [0,1] pixels is needed, written like 4/255 or 0.0157"
        )
    return text


def eps_value(text: str) -> float:
    """Return the number that a radius written as in a suite stands for."""
    return float(Fraction(text))


Eps = Annotated[str, BeforeValidator(_eps)]


def _distinct(budgets: tuple[str, ...]) -> tuple[str, ...]:
    if len({eps_value(eps) for eps in budgets}) < len(budgets):
        raise PydanticCustomError("eps", "the same radius appears twice")
    return budgets


EpsList = Annotated[
    tuple[Eps, ...], BeforeValidator(many), Field(min_length=1), AfterValidator(_distinct)
]


class AttackSpec(Spec):
    """What all attacks share: budgets, each a cell of its own, and a name for the tables."""

    eps: EpsList
    name: Name | None = None

    @property
    def label(self) -> str:
        """Name of the attack in tables."""
        return self.name or str(self.kind)  # type: ignore[attr-defined]

    @property
    def gradients(self) -> int:
        """Gradient steps on an image that withstands all of them."""
        return int(self.steps)  # type: ignore[attr-defined]


class Pgd(AttackSpec):
    """Native PGD on the cross-entropy. `step` is the step size times `steps` over eps."""

    kind: Literal["pgd"]
    steps: Annotated[int, Field(ge=1)] = 10
    step: Annotated[float, Field(gt=0)] = 2.5
    random_start: bool = True


class Cw(AttackSpec):
    """Native PGD on Carlini and Wagner's margin, capped at `kappa`."""

    kind: Literal["cw"]
    steps: Annotated[int, Field(ge=1)] = 30
    step: Annotated[float, Field(gt=0)] = 2.5
    random_start: bool = True
    kappa: Annotated[float, Field(ge=0)] = 0.0


class ApgdCe(AttackSpec):
    """Native Auto-PGD on the cross-entropy, one run."""

    kind: Literal["apgd-ce"]
    steps: Annotated[int, Field(ge=1)] = 100
    rho: Annotated[float, Field(gt=0, lt=1)] = 0.75


class PyAutoAttack(AttackSpec):
    """An attack of the official AutoAttack code, in chunks of a fixed size."""

    kind: Literal["pyautoattack"]
    attack: Literal["apgd-ce"] = "apgd-ce"
    steps: Annotated[int, Field(ge=1)] = 100
    restarts: Annotated[int, Field(ge=1)] = 1
    chunk: Annotated[int, Field(ge=1)] = 100

    @property
    def gradients(self) -> int:
        """Gradient steps on an image that withstands all restarts."""
        return self.restarts * self.steps


class TorchAttacks(AttackSpec):
    """An attack of torchattacks with an `eps` argument, in chunks of a fixed size."""

    kind: Literal["torchattacks"]
    attack: Literal["PGD"] = "PGD"
    args: dict[str, JsonValue] = Field(default={})
    chunk: Annotated[int, Field(ge=1)] = 100

    @field_validator("args")
    @classmethod
    def _whole_steps(cls, args: dict[str, JsonValue]) -> dict[str, JsonValue]:
        steps = args.get("steps", 1)
        if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
            raise PydanticCustomError("steps", "`steps` must be a whole number of at least 1")
        return args

    @property
    def gradients(self) -> int:
        """Gradient steps on an image, the library's default where `args` name none."""
        return cast(int, self.args.get("steps", 10))


AnyAttack = Annotated[Pgd | Cw | ApgdCe | PyAutoAttack | TorchAttacks, Field(discriminator="kind")]


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
