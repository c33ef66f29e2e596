"""Attacks in sequence, and the union of all attacks that a suite may declare."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from bench.suite.specs.attack_base import NativeSpec
from bench.suite.specs.attacks import Noise, SingleNative
from bench.suite.specs.external_attacks import PyAutoAttack, TorchAttacks

_Single = SingleNative | Noise | PyAutoAttack | TorchAttacks
SHARED = ("eps", "norm")  # what members have from their ensemble


class Ensemble(NativeSpec):
    """Attacks at one budget, each on what the earlier ones left; members take its eps and norm."""

    kind: Literal["ensemble"]
    attacks: Annotated[
        tuple[Annotated[_Single, Field(discriminator="kind")], ...], Field(min_length=1)
    ]

    @model_validator(mode="before")
    @classmethod
    def _share(cls, data: Any) -> Any:
        if not isinstance(data, dict) or not isinstance(data.get("attacks"), list | tuple):
            return data
        shared = {key: data[key] for key in SHARED if key in data}
        members = []
        for member in data["attacks"]:
            if not isinstance(member, dict):
                return data
            if any(member.get(key, shared.get(key)) != shared.get(key) for key in SHARED):
                raise PydanticCustomError(
                    "ensemble", "members take `eps` and `norm` from the ensemble"
                )
            members.append({**member, **shared})
        return {**data, "attacks": members}

    @model_validator(mode="after")
    def _one_run(self) -> Self:
        for member in self.attacks:
            if isinstance(member, NativeSpec) and (member.nested or member.precision != "fp32"):
                raise PydanticCustomError(
                    "ensemble", "`nested` and `precision` are those of the whole ensemble"
                )
        return self

    @property
    def gradients(self) -> int:
        """Those of all members."""
        return sum(member.gradients for member in self.attacks)

    @property
    def forwards(self) -> int:
        """Those of all members."""
        return sum(member.forwards for member in self.attacks)

    def gradients_in_stage(self, stage: int, stages: int) -> int:
        """Return those of all members in one stage."""
        return sum(member.gradients_in_stage(stage, stages) for member in self.attacks)

    def forwards_in_stage(self, stage: int, stages: int) -> int:
        """Return those of all members in one stage."""
        return sum(member.forwards_in_stage(stage, stages) for member in self.attacks)

    @property
    def stop_score(self) -> float:
        """The highest of all members: an answer that one leaves alone is left by all."""
        return max(member.stop_score for member in self.attacks)

    @property
    def surrogates(self) -> tuple[str, ...]:
        """Those of all members, in their order."""
        return tuple(name for member in self.attacks for name in member.surrogates)


AnyAttack = Annotated[_Single | Ensemble, Field(discriminator="kind")]


def members_of(attack: AnyAttack) -> tuple[_Single, ...]:
    """Return the members of an ensemble, or the attack itself."""
    return attack.attacks if isinstance(attack, Ensemble) else (attack,)
