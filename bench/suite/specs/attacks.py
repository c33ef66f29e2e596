"""Native attacks with their settings and budgets."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from bench.core.types import Norm
from bench.suite.specs.adaptive import Backward, Filter
from bench.suite.specs.base import Name, Spec
from bench.suite.specs.budgets import EpsList

Count = Annotated[int, Field(ge=1)]
Precision = Literal["fp32", "tf32", "bf16"]
Share = Annotated[float, Field(gt=0, lt=1)]


class AttackSpec(Spec):
    """What all attacks share: budgets, each a cell of its own, and a name for the tables.

    A kind whose numbers a change of the code changes gets a higher `version`, which is part of the
    identity of its cells and crafts (`bench.plan.versions`).
    """

    version: ClassVar[int] = 1

    norm: Norm = "linf"
    eps: EpsList
    name: Name | None = None

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
    def gradients(self) -> int:
        """Gradient steps on an image that withstands all of them."""
        return int(self.steps)  # type: ignore[attr-defined]

    @property
    def surrogates(self) -> tuple[str, ...]:
        """Models of the suite that gradients come from in place of the attacked one."""
        return ()


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


class _Repeated(NativeSpec):
    """An attack that may begin again elsewhere, and average over several forward passes.

    `restarts` is the number of runs in all. `eot` passes per step are averaged, for models
    that answer at random.
    """

    restarts: Count = 1
    eot: Count = 1

    @property
    def gradients(self) -> int:
        """Gradient steps on an image that withstands all runs."""
        return int(self.steps) * self.restarts * self.eot  # type: ignore[attr-defined]


class _FromNoise(_Repeated):
    """A repeated attack that may begin at the image itself instead of a random point."""

    random_start: bool = True

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


class Pgd(_FromNoise):
    """Native PGD on the cross-entropy. `step` is the step size times `steps` over eps.

    `halve` names shares of the steps after which the step size halves, `momentum` is the
    decay of accumulated gradients, and `keep` says which iterate a craft that others are
    scored on hands out.
    """

    kind: Literal["pgd"]
    steps: Count = 10
    step: Annotated[float, Field(gt=0)] = 2.5
    momentum: Annotated[float, Field(ge=0)] = 0.0
    halve: tuple[Share, ...] = ()
    keep: Literal["last", "best"] = "last"


class MiFgsm(NativeSpec):
    """Native MI-FGSM: momentum from the image itself; `step` as in `pgd`."""

    kind: Literal["mi-fgsm"]
    steps: Count = 10
    step: Annotated[float, Field(gt=0)] = 1.0
    momentum: Annotated[float, Field(ge=0)] = 1.0


class Cw(_FromNoise):
    """Native PGD on Carlini and Wagner's margin, capped at `kappa`."""

    kind: Literal["cw"]
    steps: Count = 30
    step: Annotated[float, Field(gt=0)] = 2.5
    kappa: Annotated[float, Field(ge=0)] = 0.0


class ApgdSpec(_Repeated):
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


class ApgdCe(ApgdSpec):
    """Native Auto-PGD on the cross-entropy; with `rescale`, of logits over their deviation."""

    kind: Literal["apgd-ce"]
    rescale: bool = False


class ApgdEmbedding(ApgdSpec):
    """Native Auto-PGD on the cosine distance from the clean image's embedding; knows no classes."""

    kind: Literal["apgd-embedding"]


class ApgdDlr(ApgdSpec):
    """Native Auto-PGD on the difference of logits ratio; at least 3 classes."""

    kind: Literal["apgd-dlr"]


class ApgdT(ApgdSpec):
    """Native Auto-PGD towards the `targets` likeliest wrong classes in turn; at least 4 classes."""

    kind: Literal["apgd-t"]
    targets: Count = 9

    @property
    def gradients(self) -> int:
        """Gradient steps on an image that withstands all targets."""
        return super().gradients * self.targets


class ApgdText(ApgdSpec):
    """Native Auto-PGD on how unlikely what is known to be right is as the answer.

    So many `references` are attacked in turn: captions in their order, answers by how many gave
    them. With a `precision` below fp32 each is attacked at that, and what is left then once more
    in the model's own from its best point, on the reference that served best (RobustVLM). What
    scores no more than `threshold`, in the units of the metric, is not attacked further.
    """

    kind: Literal["apgd-text"]
    references: Count = 1
    threshold: Annotated[float, Field(ge=0)] = 0.0

    @property
    def gradients(self) -> int:
        """Gradient steps on an image that withstands all references."""
        return super().gradients * self.references


class ApgdTextTargeted(ApgdSpec):
    """Native Auto-PGD on how likely the `target` is as the answer; the dataset's decoy if none."""

    # 2: it keeps the lowest score instead of the answer with the target, and `reached` asks for the
    # target's whole words, in any answer that the attack got
    version: ClassVar[int] = 2

    kind: Literal["apgd-text-targeted"]
    target: Annotated[str, Field(min_length=1)] | None = None


class ValueFeatures(NativeSpec):
    """V-Attack: steps on how far a CLIP's value features lean from what is shown to the decoy.

    From the image, each step on a random crop of at least `crop` of either side; the last iterate
    is handed out. `step` is as in `pgd`: at 16/255 it is 3/255. `blocks` counts from the last.
    """

    kind: Literal["value-features"]
    steps: Count = 200
    step: Annotated[float, Field(gt=0)] = 37.5
    blocks: Count = 4
    crop: Annotated[float, Field(gt=0, le=1)] = 0.75


class Noise(AttackSpec):
    """Random points of the ball, on its surface in L2; a control: the best of `draws` counts."""

    kind: Literal["noise"]
    draws: Count = 10

    @property
    def gradients(self) -> int:
        """None: only forward passes."""
        return 0
