"""Native attacks with their settings; budgets and costs are in `attack_base`."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from bench.suite.specs.adaptive import ApgdSpec, SteppedSpec, UntargetedApgdSpec
from bench.suite.specs.attack_base import (
    AttackSpec,
    Count,
    LossInput,
    NativeSpec,
    Share,
)
from bench.suite.specs.budgets import Radius, eps_value

CANDIDATES = 100  # as in the paper of MALT


class PgdSpec(SteppedSpec):
    """Settings of PGD.

    Attributes:
        random_start: Whether to start at a random point of the ball. Otherwise at the clean image.
        steps: Number of steps.
        step: Relative step size: the step size is `step` * eps / `steps`.
        step_size: Absolute step size, written like a radius; it replaces `step`.
    """

    random_start: bool = True
    steps: Count = 10
    step: Annotated[float, Field(gt=0)] = 2.5
    step_size: Radius | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.restarts > 1 and not self.random_start:
            raise PydanticCustomError("restarts", "`restarts` above 1 need `random_start: true`")
        if self.step_size is not None and self.step != type(self).model_fields["step"].default:
            raise PydanticCustomError("step_size", "`step_size` replaces `step`; remove one")
        return self

    @property
    def length(self) -> float | None:
        """Absolute step size, or None if it is relative."""
        return None if self.step_size is None else eps_value(self.step_size)


class Fgsm(NativeSpec):
    """FGSM: one step of size eps along the gradient, from the clean image."""

    kind: Literal["fgsm"]

    @property
    def gradients(self) -> int:
        """Number of gradients: 1."""
        return 1


class Pgd(PgdSpec):
    """Native PGD on the cross-entropy.

    Attributes:
        momentum: Decay of the accumulated gradients; 0 for none.
        halve: Fractions of the steps after which the step size is halved, each in (0,1).
        keep: Whether a craft for transfer is the last iterate or the one of the highest loss.
    """

    kind: Literal["pgd"]
    momentum: Annotated[float, Field(ge=0)] = 0.0
    halve: tuple[Share, ...] = ()
    keep: Literal["last", "best"] = "last"


class MiFgsm(NativeSpec):
    """Native MI-FGSM: momentum from the clean image; `step` is as in `pgd`."""

    kind: Literal["mi-fgsm"]
    steps: Count = 10
    step: Annotated[float, Field(gt=0)] = 1.0
    momentum: Annotated[float, Field(ge=0)] = 1.0


class Cw(PgdSpec):
    """Native PGD on Carlini and Wagner's margin loss, capped at `kappa`."""

    kind: Literal["cw"]
    steps: Count = 30
    kappa: Annotated[float, Field(ge=0)] = 0.0

    loss_input: ClassVar[LossInput] = "classes"


class ApgdCe(UntargetedApgdSpec):
    """Native Auto-PGD on the cross-entropy; `rescale` divides logits by their deviation."""

    kind: Literal["apgd-ce"]
    rescale: bool = False

    loss_input: ClassVar[LossInput] = "classes"


class ApgdEmbedding(UntargetedApgdSpec):
    """Native Auto-PGD on the cosine distance to the clean image's embedding; uses no classes."""

    kind: Literal["apgd-embedding"]

    loss_input: ClassVar[LossInput] = "embedding"


class ApgdDlr(UntargetedApgdSpec):
    """Native Auto-PGD on the difference of logits ratio (DLR); needs at least 3 classes."""

    kind: Literal["apgd-dlr"]

    loss_input: ClassVar[LossInput] = "classes"
    least_classes: ClassVar[int] = 3


class ApgdPm(UntargetedApgdSpec):
    """Native Auto-PGD on the probability margin."""

    kind: Literal["apgd-pm"]

    loss_input: ClassVar[LossInput] = "classes"


class ApgdT(ApgdSpec):
    """Native targeted Auto-PGD to wrong classes, one run per target; at least 4 classes.

    Attributes:
        targets: Number of target classes.
        targets_by: Which wrong classes: the likeliest, or of the `candidates` likeliest those
            that are nearest if the model is taken as linear (MALT).
        candidates: Number of classes that MALT compares.
    """

    kind: Literal["apgd-t"]
    targets: Count = 9
    targets_by: Literal["likelihood", "malt"] = "likelihood"
    candidates: Count = CANDIDATES

    loss_input: ClassVar[LossInput] = "classes"
    least_classes: ClassVar[int] = 4

    @property
    def runs(self) -> tuple[tuple[int, int], ...]:
        """All restarts to the first target, then all to the second; see `NativeSpec`."""
        count = self.restarts
        targets = range(self.targets)
        return tuple((at * count + again, at + 1) for at in targets for again in range(count))

    @property
    def compared(self) -> int:
        """Number of classes that are compared by gradients before the first step."""
        return self.candidates if self.targets_by == "malt" else 0

    @property
    def gradients(self) -> int:
        """Number of gradients for an image that withstands all runs, with those for MALT."""
        return super().gradients + self.compared * self.passes

    @model_validator(mode="after")
    def _candidates_suffice(self) -> Self:
        if self.compared and self.candidates < self.targets:
            raise PydanticCustomError(
                "candidates", "`candidates` must be at least the number of `targets`"
            )
        if not self.compared and self.candidates != CANDIDATES:
            raise PydanticCustomError("candidates", "`candidates` needs `targets_by: malt`")
        return self


class ApgdText(ApgdSpec):
    """Native Auto-PGD that minimises the log-likelihood of the reference answer.

    With a `precision` below fp32, each reference is attacked at that precision. Then the remaining
    images are attacked at the model's own precision, from their best point, on the reference that
    lowered the score most (as RobustVLM does).

    Attributes:
        references: Number of references that are attacked in turn: captions in their order,
            answers by the number of annotators who gave them.
        threshold: Score in the metric's units. The attack stops on images that score at most this.
    """

    kind: Literal["apgd-text"]
    references: Count = 1
    threshold: Annotated[float, Field(ge=0)] = 0.0

    loss_input: ClassVar[LossInput] = "texts"

    @property
    def gradients(self) -> int:
        """Number of gradients for an image that withstands the attack on all references."""
        return super().gradients * self.references

    def texts_in_stage(self, stage: int, stages: int) -> int:
        """Return the number of references in the first stage; later stages attack only the best."""
        return 1 if stage else self.references

    @property
    def stop_score(self) -> float:
        """The threshold, in the metric's units."""
        return self.threshold


class ApgdTextTargeted(ApgdSpec):
    """Native Auto-PGD that maximises the log-likelihood of `target`, by default the decoy.

    Attributes:
        target: The target answer; by default the dataset's decoy for each image. With several
            precisions, the attack runs only at the last.
    """

    # 2: The attack keeps the answer of the lowest score instead of the answer with the target, and
    # `reached` looks for the target as whole words in every answer during the attack.
    version: ClassVar[int] = 2

    kind: Literal["apgd-text-targeted"]
    target: Annotated[str, Field(min_length=1)] | None = None

    loss_input: ClassVar[LossInput] = "texts"

    def texts_in_stage(self, stage: int, stages: int) -> int:
        """Return 1 in the last stage and 0 in all others."""
        return int(stage == stages - 1)


class ValueFeatures(NativeSpec):
    """V-Attack: maximises cos(values, decoy) - cos(values, true object) of a CLIP's value features.

    The attack starts at the clean image and returns the last iterate.

    Attributes:
        steps: Number of steps.
        step: Relative step size, as in `pgd`; by default 3/255 at eps 16/255.
        blocks: Number of transformer blocks, from the last, whose value features are used.
        crop: Smallest side of the random crop of each step, as a fraction of the image's side.
    """

    kind: Literal["value-features"]
    steps: Count = 200
    step: Annotated[float, Field(gt=0)] = 37.5
    blocks: Count = 4
    crop: Annotated[float, Field(gt=0, le=1)] = 0.75

    loss_input: ClassVar[LossInput] = "value features"


class Noise(AttackSpec):
    """The most harmful of `draws` random points of the ball (L2: of its surface); a control."""

    kind: Literal["noise"]
    draws: Count = 10

    @property
    def gradients(self) -> int:
        """Number of gradients: 0."""
        return 0

    @property
    def forwards(self) -> int:
        """Number of forward passes: one per draw."""
        return self.draws


SingleNative = (
    Fgsm
    | Pgd
    | MiFgsm
    | Cw
    | ApgdCe
    | ApgdDlr
    | ApgdPm
    | ApgdT
    | ApgdEmbedding
    | ApgdText
    | ApgdTextTargeted
    | ValueFeatures
)
