"""Native attacks with their settings; their budgets and costs are of `attack_base`."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from bench.suite.specs.adaptive import Backward, Filter
from bench.suite.specs.attack_base import (
    AttackSpec,
    Count,
    LossInput,
    NativeSpec,
    RepeatedSpec,
    Share,
)


class PgdSpec(RepeatedSpec):
    """Settings of PGD. `step` is the step size times `steps` over eps.

    It may begin at the image itself instead of a random point.
    """

    random_start: bool = True
    steps: Count = 10
    step: Annotated[float, Field(gt=0)] = 2.5

    @model_validator(mode="after")
    def _differs(self) -> Self:
        if self.restarts > 1 and not self.random_start:
            raise PydanticCustomError("restarts", "`restarts` above 1 need `random_start: true`")
        return self


class Fgsm(NativeSpec):
    """One step of the whole radius along the gradient, from the image itself."""

    kind: Literal["fgsm"]

    @property
    def gradients(self) -> int:
        """One."""
        return 1


class Pgd(PgdSpec):
    """Native PGD on the cross-entropy.

    `halve` names shares of the steps after which the step size halves, `momentum` is the
    decay of accumulated gradients, and `keep` says which iterate a craft that others are
    scored on hands out.
    """

    kind: Literal["pgd"]
    momentum: Annotated[float, Field(ge=0)] = 0.0
    halve: tuple[Share, ...] = ()
    keep: Literal["last", "best"] = "last"


class MiFgsm(NativeSpec):
    """Native MI-FGSM: momentum from the image itself; `step` as in `pgd`."""

    kind: Literal["mi-fgsm"]
    steps: Count = 10
    step: Annotated[float, Field(gt=0)] = 1.0
    momentum: Annotated[float, Field(ge=0)] = 1.0


class Cw(PgdSpec):
    """Native PGD on Carlini and Wagner's margin, capped at `kappa`."""

    kind: Literal["cw"]
    steps: Count = 30
    kappa: Annotated[float, Field(ge=0)] = 0.0

    loss_input: ClassVar[LossInput] = "classes"


class ApgdSpec(RepeatedSpec):
    """Settings of Auto-PGD.

    `filter` is the one in front of the model that its steps know of, `backward` the surrogate that
    its gradients come from.
    """

    steps: Count = 100
    rho: Share = 0.75
    filter: Filter | None = None
    backward: Backward | None = None

    @property
    def surrogates(self) -> tuple[str, ...]:
        """The model that `backward` names."""
        named = self.backward.model if self.backward else None
        return (named,) if named else ()

    @property
    def forwards(self) -> int:
        """With a surrogate, a pass of the model itself for each gradient of the surrogate's."""
        return self.gradients if self.backward else 0


class ApgdCe(ApgdSpec):
    """Native Auto-PGD on the cross-entropy; with `rescale`, of logits over their deviation."""

    kind: Literal["apgd-ce"]
    rescale: bool = False

    loss_input: ClassVar[LossInput] = "classes"


class ApgdEmbedding(ApgdSpec):
    """Native Auto-PGD on the cosine distance from the clean image's embedding; knows no classes."""

    kind: Literal["apgd-embedding"]

    loss_input: ClassVar[LossInput] = "embedding"


class ApgdDlr(ApgdSpec):
    """Native Auto-PGD on the difference of logits ratio; at least 3 classes."""

    kind: Literal["apgd-dlr"]

    loss_input: ClassVar[LossInput] = "classes"
    least_classes: ClassVar[int] = 3


class ApgdT(ApgdSpec):
    """Native Auto-PGD towards the `targets` likeliest wrong classes in turn; at least 4 classes."""

    kind: Literal["apgd-t"]
    targets: Count = 9

    loss_input: ClassVar[LossInput] = "classes"
    least_classes: ClassVar[int] = 4

    @property
    def runs(self) -> tuple[tuple[int, int], ...]:
        """All restarts towards the first target, then towards the second; see `NativeSpec`."""
        count = self.restarts
        targets = range(self.targets)
        return tuple((at * count + again, at + 1) for at in targets for again in range(count))


class ApgdText(ApgdSpec):
    """Native Auto-PGD that minimises the log-likelihood of the reference answer.

    So many `references` are attacked in turn: captions in their order, answers by how many
    annotators gave them. With a `precision` below fp32 each reference is attacked at that
    precision; the images that are left are attacked once more at the model's own, from their best
    point and on the reference that lowered the score most (RobustVLM). Images whose answers score
    no more than `threshold`, in the units of the metric, are not attacked further.
    """

    kind: Literal["apgd-text"]
    references: Count = 1
    threshold: Annotated[float, Field(ge=0)] = 0.0

    loss_input: ClassVar[LossInput] = "texts"

    @property
    def gradients(self) -> int:
        """Gradients for an image that withstands the attack on all references."""
        return super().gradients * self.references

    def texts_in_stage(self, stage: int, stages: int) -> int:
        """Return 1 after the first stage: the reference that lowered the score most."""
        return 1 if stage else self.references

    @property
    def stop_score(self) -> float:
        """The threshold."""
        return self.threshold


class ApgdTextTargeted(ApgdSpec):
    """Native Auto-PGD that maximises the log-likelihood of `target`, by default the decoy.

    The decoy is the dataset's. Of several precisions the attack runs at the last alone.
    """

    # 2: it keeps the lowest score instead of the answer with the target, and `reached` asks for the
    # target's whole words, in any answer that the attack got
    version: ClassVar[int] = 2

    kind: Literal["apgd-text-targeted"]
    target: Annotated[str, Field(min_length=1)] | None = None

    loss_input: ClassVar[LossInput] = "texts"

    def texts_in_stage(self, stage: int, stages: int) -> int:
        """Return 1 in the last stage, else 0."""
        return int(stage == stages - 1)


class ValueFeatures(NativeSpec):
    """V-Attack: maximises cos(values, decoy) - cos(values, true object) of a CLIP's value features.

    It begins at the image. Each step sees a random crop of at least `crop` of either side; the last
    iterate is handed out. `step` is as in `pgd`: at 16/255 it is 3/255. The last `blocks` count.
    """

    kind: Literal["value-features"]
    steps: Count = 200
    step: Annotated[float, Field(gt=0)] = 37.5
    blocks: Count = 4
    crop: Annotated[float, Field(gt=0, le=1)] = 0.75

    loss_input: ClassVar[LossInput] = "value features"


class Noise(AttackSpec):
    """Random points of the ball, on its surface in L2; a control: the best of `draws` counts."""

    kind: Literal["noise"]
    draws: Count = 10

    @property
    def gradients(self) -> int:
        """None."""
        return 0

    @property
    def forwards(self) -> int:
        """A forward pass per draw."""
        return self.draws


SingleNative = (
    Fgsm
    | Pgd
    | MiFgsm
    | Cw
    | ApgdCe
    | ApgdDlr
    | ApgdT
    | ApgdEmbedding
    | ApgdText
    | ApgdTextTargeted
    | ValueFeatures
)
