"""Base classes of attacks: budgets, costs, and the input of the loss."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from bench.core.types import Norm
from bench.suite.specs.base import Name, Spec
from bench.suite.specs.budgets import EpsList

MOST = 1_000_000  # steps, restarts, draws, queries
Count = Annotated[int, Field(ge=1, le=MOST)]
Precision = Literal["fp32", "tf32", "bf16"]
Share = Annotated[float, Field(gt=0, lt=1)]
# What the loss is computed from. `outputs` are logits of a classifier or the likelihood of an
# answer, so such an attack runs on all models. `classes` are logits of a classifier only, `texts`
# the likelihood of an answer only.
LossInput = Literal["outputs", "classes", "texts", "embedding", "value features"]


class AttackSpec(Spec):
    """Base class of all attacks.

    Attributes:
        norm: Norm of the perturbation.
        eps: Radii as written in the suite; each is a cell of its own. In [0,1] pixels for linf.
        name: Name in tables; the kind by default.
        loss_input: What the loss is computed from.
        least_classes: Smallest number of classes for which the attack is defined.
        version: Version of the attack's numbers, part of the identity of its cells and crafts.
            Raised when a change of the code changes them (`bench.plan.versions`).
    """

    norm: Norm = "linf"
    eps: EpsList
    name: Name | None = None

    loss_input: ClassVar[LossInput] = "outputs"
    least_classes: ClassVar[int] = 1
    version: ClassVar[int] = 1

    @property
    def label(self) -> str:
        """Name of the attack in tables."""
        return self.name or str(self.kind)  # type: ignore[attr-defined]

    @property
    def label_in_norm(self) -> str:
        """Name of the attack with the norm, if that is not linf: `pgd`, `pgd-l2`."""
        return self.label if self.norm == "linf" else f"{self.label}-{self.norm}"

    def column(self, eps: str) -> str:
        """Return the name of the leaderboard's column at a radius: `pgd@4/255`."""
        return f"{self.label_in_norm}@{eps}"

    @property
    def surrogates(self) -> tuple[str, ...]:
        """Names of the models whose gradients replace those of the attacked model."""
        return ()

    @property
    def on_base(self) -> bool:
        """Whether images are made on the base of the attacked model, not on the model itself."""
        return False

    @property
    def passes(self) -> int:
        """Number of forward passes per step."""
        return 1

    @property
    def gradients(self) -> int:
        """Number of gradients for an image that withstands the whole attack."""
        return int(self.steps)  # type: ignore[attr-defined]

    @property
    def forwards(self) -> int:
        """Number of forward passes without gradient for an image that withstands the attack."""
        return 0

    def texts_in_stage(self, stage: int, stages: int) -> int:
        """Return the number of texts that the attack runs on in a stage.

        Args:
            stage: Index of the stage, from 0. The attack runs once per precision.
            stages: Number of stages.
        """
        return 1

    def gradients_in_stage(self, stage: int, stages: int) -> int:
        """Return the part of `gradients` in a stage; arguments as in `texts_in_stage`."""
        return self.gradients * self.texts_in_stage(stage, stages) // self.texts_in_stage(0, 1)

    def forwards_in_stage(self, stage: int, stages: int) -> int:
        """Return the part of `forwards` in a stage; arguments as in `texts_in_stage`."""
        return self.forwards * self.texts_in_stage(stage, stages) // self.texts_in_stage(0, 1)

    @property
    def stop_score(self) -> float:
        """The attack stops on images whose answers score at most this, in the metric's units."""
        return 0.0


class NativeSpec(AttackSpec):
    """An attack that this project implements.

    Attributes:
        nested: Whether an image that the same attack fools at a smaller radius counts as fooled
            and is not attacked again. White-box cells only: crafts for transfer are always made
            at their own radius.
        precision: Precision of the attack. Predictions are always scored in the model's own.
        confirm: Whether images that withstand a `precision` below fp32 are attacked again in fp32.
    """

    nested: bool = False
    precision: Precision = "fp32"
    confirm: bool = True

    @model_validator(mode="after")
    def _precision_below_fp32(self) -> Self:
        if not self.confirm and self.precision == "fp32":
            raise PydanticCustomError("confirm", "`confirm: false` needs a `precision` below fp32")
        return self

    @property
    def runs(self) -> tuple[tuple[int, int], ...]:
        """The runs in order: each the index of its random stream, and the rank of its target.

        Stream 0 is the image's own. Rank 1 is the likeliest wrong class; 0 means untargeted.
        """
        return ((0, 0),)

    @property
    def gradients(self) -> int:
        """Number of gradients for an image that withstands all runs."""
        return super().gradients * self.passes * len(self.runs)


class RepeatedSpec(NativeSpec):
    """An attack with restarts and expectation over transformation (EOT).

    Attributes:
        restarts: Number of runs, the first included.
        eot: Number of forward passes whose gradients are averaged per step, for randomised models.
    """

    restarts: Count = 1
    eot: Count = 1

    @property
    def passes(self) -> int:
        """Number of forward passes per step."""
        return self.eot

    @property
    def runs(self) -> tuple[tuple[int, int], ...]:
        """One run per restart; see `NativeSpec`."""
        return tuple((again, 0) for again in range(self.restarts))
