"""Specs of test-time defences: models that are made of a base model and treat images before it.

Each spec names its implementation in `radapt.defences`, which has the same parameters and defaults.
"""

from typing import Annotated, ClassVar, Literal, Self, get_args

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from bench.suite.specs.base import Name
from bench.suite.specs.model_base import DefenceModel, Gradient

Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Steps = Annotated[int, Field(ge=0, le=1000)]
Views = Annotated[int, Field(ge=1, le=1000)]
Width = Annotated[int, Field(ge=1, le=99)]

_NO_IDENTITY: tuple[Gradient, ...] = ("exact", "base")
_STAND_INS: tuple[Gradient, ...] = ("identity", "base")


class AveragingModel(DefenceModel):
    """Base class of defences that average several passes, all of which a gradient goes through."""

    @property
    def kept(self) -> int:
        """All."""
        return self.forwards


class GaussianBlurModel(DefenceModel):
    """Gaussian blur of a window of `kernel` pixels, with `sigma` in pixels."""

    implementation: ClassVar = "radapt.defences.gaussian_blur:GaussianBlur"

    kind: Literal["gaussian-blur"]
    kernel: Width = 5
    sigma: Positive = 1.0

    @model_validator(mode="after")
    def _odd(self) -> Self:
        if self.kernel % 2 == 0:
            raise PydanticCustomError("kernel", "`kernel`: allowed: odd numbers")
        return self


class MedianBlurModel(DefenceModel):
    """Median of a window of `kernel` pixels (Xu et al. 2018, arXiv:1704.01155)."""

    implementation: ClassVar = "radapt.defences.median_blur:MedianBlur"

    kind: Literal["median-blur"]
    kernel: Width = 2


class BitDepthModel(DefenceModel):
    """Rounding to `bits` bits per channel (Guo et al. 2018, arXiv:1711.00117)."""

    implementation: ClassVar = "radapt.defences.bit_depth:BitDepth"
    gradients: ClassVar = _STAND_INS

    kind: Literal["bit-depth"]
    bits: Annotated[int, Field(ge=1, le=16)] = 3


class JpegModel(DefenceModel):
    """JPEG compression (Guo et al. 2018, arXiv:1711.00117)."""

    implementation: ClassVar = "radapt.defences.jpeg:Jpeg"
    gradients: ClassVar = _STAND_INS

    kind: Literal["jpeg"]
    quality: Annotated[int, Field(ge=1, le=95)] = 75


class ResizePadModel(DefenceModel):
    """Random resizing and padding (Xie et al. 2018, arXiv:1711.01991); sizes as factors."""

    implementation: ClassVar = "radapt.defences.resize_pad:ResizePad"
    random: ClassVar = True
    gradients: ClassVar = _NO_IDENTITY

    kind: Literal["resize-pad"]
    smallest: Annotated[float, Field(gt=0, le=4)] = 310 / 299
    largest: Annotated[float, Field(gt=0, le=4)] = 331 / 299
    fill: Share = 0.5

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.smallest > self.largest:
            raise PydanticCustomError("resize", "`smallest` must be at most `largest`")
        return self


class NoiseSmoothingModel(AveragingModel):
    """Mean embedding of `draws` copies with Gaussian noise of standard deviation `sigma`."""

    implementation: ClassVar = "radapt.defences.noise_smoothing:NoiseSmoothing"
    random: ClassVar = True
    gradients: ClassVar = _NO_IDENTITY

    kind: Literal["noise-smoothing"]
    sigma: Annotated[float, Field(ge=0)]
    draws: Views

    @property
    def copies(self) -> int:
        """The noisy copies."""
        return self.draws

    @property
    def forwards(self) -> int:
        """One per copy."""
        return self.draws


class TtcModel(DefenceModel):
    """TTC, test-time counterattacks (Xing et al. 2025, arXiv:2503.03613).

    `gate` names the model that measures the gate's ratio, if it is not the base.
    """

    implementation: ClassVar = "radapt.defences.ttc:Ttc"
    random: ClassVar = True
    model_keys: ClassVar = ("base", "gate")
    newer: ClassVar = frozenset({"gate"})

    kind: Literal["ttc"]
    eps: Share = 4 / 255
    step: Share = 1 / 255
    steps: Steps = 2
    threshold: Annotated[float, Field(ge=0)] = 0.2
    beta: float = 2.0
    gate: Name | None = None

    @property
    def forwards(self) -> int:
        """The image, the random start, a gradient per step, the result.

        A gate of its own embeds the random start in place of the base, and the image once more.
        """
        return 3 + 2 * self.steps + (self.gate is not None)


class AntiAdversaryModel(DefenceModel):
    """The anti-adversary layer (Alfarra et al. 2022, arXiv:2103.14347)."""

    implementation: ClassVar = "radapt.defences.anti_adversary:AntiAdversary"

    kind: Literal["anti-adversary"]
    steps: Steps = 2
    step: Share = 0.15

    @property
    def forwards(self) -> int:
        """The image, a gradient per step, the result."""
        return 2 + 2 * self.steps


class ClipureCosModel(DefenceModel):
    """CLIPure-Cos, purification of the embedding (Zhang et al. 2025, arXiv:2502.18176)."""

    implementation: ClassVar = "radapt.defences.clipure_cos:ClipureCos"
    gradients: ClassVar = _NO_IDENTITY

    kind: Literal["clipure-cos"]
    steps: Steps = 10
    step: Positive = 30.0
    prompts: Annotated[tuple[str, ...], Field(min_length=1)] = ("a photo of a {c}.",)


class CsrModel(DefenceModel):
    """CSR, contrastive spectral rectification (public code Summu77/CSR)."""

    implementation: ClassVar = "radapt.defences.csr:Csr"

    kind: Literal["csr"]
    cutoff: Positive = 40.0
    cutoff_at: Annotated[int, Field(ge=1)] | None = 224
    threshold: Annotated[float, Field(ge=-1, le=1)] = 0.85
    steps: Steps = 3
    step: Share = 2 / 255
    eps: Share = 4 / 255

    @property
    def forwards(self) -> int:
        """The image, the filtered image, a gradient per step, all points, the result."""
        return 4 + 3 * self.steps


class TransformEnsembleModel(AveragingModel):
    """TTE, the mean over mirror images and crops (Perez et al. 2021, arXiv:2107.14110)."""

    implementation: ClassVar = "radapt.defences.transform_ensemble:TransformEnsemble"
    gradients: ClassVar = _NO_IDENTITY

    kind: Literal["tte"]
    flip: bool = True
    crops: Annotated[int, Field(ge=0, le=1000)] = 4
    pad: Annotated[int, Field(ge=0, le=1000)] = 4
    seed: int = 0

    @property
    def forwards(self) -> int:
        """One per view."""
        return (1 + self.crops) * (1 + self.flip)


class GeodesicCorrectionModel(AveragingModel):
    """AGC, adaptive geodesic correction (Li et al. 2026, arXiv:2605.15584)."""

    implementation: ClassVar = "radapt.defences.geodesic_correction:GeodesicCorrection"
    random: ClassVar = True
    gradients: ClassVar = _NO_IDENTITY

    kind: Literal["agc"]
    views: Views = 32
    distortion: Share = 0.5
    least: float = 0.45
    most: float = 2.25
    power: Positive = 0.9

    @property
    def copies(self) -> int:
        """The views."""
        return self.views

    @property
    def forwards(self) -> int:
        """The image and its views."""
        return 1 + self.views


class PromptTuningModel(AveragingModel):
    """R-TPT, prompt tuning per image and a vote of views (Sheng et al. 2025, arXiv:2504.11195)."""

    implementation: ClassVar = "radapt.defences.prompt_tuning:PromptTuning"
    random: ClassVar = True
    newer: ClassVar = frozenset({"augmix"})

    kind: Literal["r-tpt"]
    views: Views = 64
    selected: Share = 0.1
    steps: Steps = 1
    rate: Positive = 5e-3
    neighbours: Views = 20
    temperature: Positive = 0.01
    words: Annotated[str, Field(min_length=1)] = "a photo of a"
    augmix: bool = False

    @model_validator(mode="after")
    def _enough_views(self) -> Self:
        if int(self.views * self.selected) < 1 or self.neighbours >= self.views:
            raise PydanticCustomError(
                "views",
                "`views` times `selected` must be at least 1, and `neighbours` below `views`",
            )
        return self

    @property
    def gives_logits(self) -> bool:
        """Whether the model has no embeddings: always."""
        return True

    @property
    def copies(self) -> int:
        """The views."""
        return self.views

    @property
    def forwards(self) -> int:
        """One per view; `text_forwards` has the passes of the text encoder."""
        return self.views

    @property
    def text_forwards(self) -> int:
        """A gradient per step, and the result."""
        return 1 + 2 * self.steps


DefenceSpec = (
    GaussianBlurModel
    | MedianBlurModel
    | BitDepthModel
    | JpegModel
    | ResizePadModel
    | NoiseSmoothingModel
    | TtcModel
    | AntiAdversaryModel
    | ClipureCosModel
    | CsrModel
    | TransformEnsembleModel
    | GeodesicCorrectionModel
    | PromptTuningModel
)

DEFENCES: tuple[type[DefenceModel], ...] = get_args(DefenceSpec)
