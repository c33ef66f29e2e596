"""What an attack of a suite says of itself: budgets, costs, and what its loss goes by."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from bench.core.types import Norm
from bench.suite.specs.base import Name, Spec
from bench.suite.specs.budgets import EpsList

Count = Annotated[int, Field(ge=1)]
Precision = Literal["fp32", "tf32", "bf16"]
Share = Annotated[float, Field(gt=0, lt=1)]
# What the loss is computed from. `outputs` are logits where there are classes, and the likelihood
# of an answer where a model answers in words; every other attack needs what its word names.
LossInput = Literal["outputs", "classes", "texts", "embedding", "value features"]


class AttackSpec(Spec):
    """What all attacks share: budgets, each a cell of its own, and a name for the tables.

    Class variables:
        loss_input: What the loss is computed from.
        least_classes: The fewest classes of a dataset for which the attack is defined.
        version: Of the attack's numbers, part of the identity of its cells and crafts. It is raised
            when a change of the code changes them (`bench.plan.versions`).
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
        """Name of the attack where rows of several norms meet: `pgd`, `pgd-l2`."""
        return self.label if self.norm == "linf" else f"{self.label}-{self.norm}"

    def column(self, eps: str) -> str:
        """Return the name of the leaderboard's column at one budget: `pgd@4/255`."""
        return f"{self.label_in_norm}@{eps}"

    @property
    def surrogates(self) -> tuple[str, ...]:
        """Models of the suite that gradients come from in place of the attacked one."""
        return ()

    @property
    def passes(self) -> int:
        """Forward passes per step."""
        return 1

    @property
    def gradients(self) -> int:
        """Gradients for an image that withstands the whole attack."""
        return int(self.steps)  # type: ignore[attr-defined]

    @property
    def forwards(self) -> int:
        """Forward passes without a gradient for an image that withstands the whole attack."""
        return 0

    def texts_in_stage(self, stage: int, stages: int) -> int:
        """Return how many texts the attack runs on in one of its stages.

        Args:
            stage: Which of the precisions at which the attack runs in turn, from 0.
            stages: How many precisions there are.
        """
        return 1

    def gradients_in_stage(self, stage: int, stages: int) -> int:
        """Return the part of `gradients` that one stage takes; arguments as in `texts_in_stage`."""
        return self.gradients * self.texts_in_stage(stage, stages) // self.texts_in_stage(0, 1)

    def forwards_in_stage(self, stage: int, stages: int) -> int:
        """Return the part of `forwards` that one stage takes; arguments as in `texts_in_stage`."""
        return self.forwards * self.texts_in_stage(stage, stages) // self.texts_in_stage(0, 1)

    @property
    def stop_score(self) -> float:
        """The highest score of an answer that is not attacked further, in the metric's units."""
        return 0.0


class NativeSpec(AttackSpec):
    """An attack whose loop is ours; these settings concern white-box cells first of all.

    With `nested`, an image that a smaller budget of the same attack broke counts as broken, and
    only the others are attacked; crafts that others are scored on are made at their own
    budget in any case. `precision` is that of the attack, never of the judgement. With
    `confirm`, what withstands a lower precision is attacked in fp32 too.
    """

    nested: bool = False
    precision: Precision = "fp32"
    confirm: bool = True

    @model_validator(mode="after")
    def _something_to_confirm(self) -> Self:
        if not self.confirm and self.precision == "fp32":
            raise PydanticCustomError("confirm", "`confirm: false` needs a `precision` below fp32")
        return self

    @property
    def runs(self) -> tuple[tuple[int, int], ...]:
        """Per run, in turn: its random stream, and the rank of the wrong class that it goes for.

        Stream 0 is the image's own. Rank 1 is the likeliest wrong class; 0 stands for any.
        """
        return ((0, 0),)

    @property
    def gradients(self) -> int:
        """Gradients for an image that withstands all runs."""
        return super().gradients * self.passes * len(self.runs)


class RepeatedSpec(NativeSpec):
    """An attack that may begin again elsewhere, and average over several forward passes.

    `restarts` is the number of runs in all. `eot` passes per step are averaged, for models
    that answer at random.
    """

    restarts: Count = 1
    eot: Count = 1

    @property
    def passes(self) -> int:
        """Forward passes per step."""
        return self.eot

    @property
    def runs(self) -> tuple[tuple[int, int], ...]:
        """A run per restart; see `NativeSpec`."""
        return tuple((again, 0) for again in range(self.restarts))
