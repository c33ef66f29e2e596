"""Ensembles of attacks, and the union type of all attacks."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from bench.suite.specs.attack_base import Count, NativeSpec
from bench.suite.specs.attacks import Noise, SingleNative
from bench.suite.specs.external_attacks import ExternalImages, PyAutoAttack, TorchAttacks

_Member = SingleNative | Noise | PyAutoAttack | TorchAttacks
_SHARED = ("eps", "norm")  # keys that members take from their ensemble


class Ensemble(NativeSpec):
    """Attacks in sequence at one radius, each on the images that withstood the earlier attacks.

    Attributes:
        attacks: The members, in order. They take `eps` and `norm` from the ensemble.
        eot: Number of passes of a random model, on which members average gradients and scores. An
            image withstands a member unless the model misclassifies its point in as many further
            passes. `model`: as many as the attacked model's `eot` says.
    """

    kind: Literal["ensemble"]
    eot: Count | Literal["model"] = 1
    attacks: Annotated[
        tuple[Annotated[_Member, Field(discriminator="kind")], ...], Field(min_length=1)
    ]

    @model_validator(mode="before")
    @classmethod
    def _share_budget(cls, data: Any) -> Any:
        if not isinstance(data, dict) or not isinstance(data.get("attacks"), list | tuple):
            return data
        shared = {key: data[key] for key in _SHARED if key in data}
        members = []
        for member in data["attacks"]:
            if not isinstance(member, dict):
                return data
            if any(member.get(key, shared.get(key)) != shared.get(key) for key in _SHARED):
                raise PydanticCustomError(
                    "ensemble",
                    "members take `eps` and `norm` from the ensemble; leave them out of members",
                )
            members.append({**member, **shared})
        return {**data, "attacks": members}

    @model_validator(mode="after")
    def _one_number_of_passes(self) -> Self:
        if self.eot != 1 and any(getattr(member, "eot", 1) > 1 for member in self.attacks):
            raise PydanticCustomError("eot", "set `eot` on the ensemble or on members, not on both")
        if self.eot != 1 and (self.nested or (self.precision != "fp32" and self.confirm)):
            raise PydanticCustomError(
                "eot",
                "with `eot`, `nested` and `confirm` are not possible: a random model would be "
                "scored several times, and every error would count",
            )
        return self

    @model_validator(mode="after")
    def _members_have_no_stages(self) -> Self:
        for member in self.attacks:
            if isinstance(member, NativeSpec) and (member.nested or member.precision != "fp32"):
                raise PydanticCustomError(
                    "ensemble", "set `nested` and `precision` on the ensemble, not on a member"
                )
        return self

    def with_passes(self, passes: int, of_base: int) -> Self:
        """Return the ensemble with its number of passes set, on itself and on its members.

        Args:
            passes: Number of passes of the attacked model.
            of_base: Number of passes of its base, for members with `source: base`.
        """
        members = [
            member.model_copy(update={"eot": of_base if member.on_base else passes})
            if "eot" in type(member).model_fields
            else member
            for member in self.attacks
        ]
        return self.model_copy(update={"eot": passes, "attacks": tuple(members)})

    @property
    def gradients(self) -> int:
        """Sum over all members."""
        return sum(member.gradients for member in self.attacks)

    @property
    def forwards(self) -> int:
        """Sum over all members."""
        return sum(member.forwards for member in self.attacks)

    def gradients_in_stage(self, stage: int, stages: int) -> int:
        """Return the sum over all members."""
        return sum(member.gradients_in_stage(stage, stages) for member in self.attacks)

    def forwards_in_stage(self, stage: int, stages: int) -> int:
        """Return the sum over all members."""
        return sum(member.forwards_in_stage(stage, stages) for member in self.attacks)

    @property
    def stop_score(self) -> float:
        """The highest of all members: if one member stops on an image, all stop."""
        return max(member.stop_score for member in self.attacks)

    @property
    def surrogates(self) -> tuple[str, ...]:
        """Surrogates of all members, in order."""
        return tuple(name for member in self.attacks for name in member.surrogates)


AnyAttack = Annotated[_Member | ExternalImages | Ensemble, Field(discriminator="kind")]


def members_of(attack: AnyAttack) -> tuple[_Member | ExternalImages, ...]:
    """Return the members of an ensemble; a single attack is its own member."""
    return attack.attacks if isinstance(attack, Ensemble) else (attack,)
