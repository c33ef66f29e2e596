"""Specs of test-time defences: models that are made of a base model and treat images before it.

Each spec names its implementation in `radapt.defences`, which has the same parameters and defaults.
"""

from collections.abc import Callable, Collection
from typing import Annotated, Any, ClassVar, Literal, Self, get_args

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from bench.suite.specs.base import Name
from bench.suite.specs.model_base import Component, Model

Gradient = Literal["exact", "identity", "base"]
Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Steps = Annotated[int, Field(ge=0, le=1000)]
Views = Annotated[int, Field(ge=1, le=1000)]
Width = Annotated[int, Field(ge=1, le=99)]

_ALL: tuple[Gradient, ...] = ("exact", "identity", "base")
_NO_IDENTITY: tuple[Gradient, ...] = ("exact", "base")
_STAND_INS: tuple[Gradient, ...] = ("identity", "base")


class DefenceModel(Model):
    """Base class of all defences.

    Attributes:
        implementation: The class in `radapt.defences`, `MODULE:CLASS`.
        random: Whether two embeddings of an image differ.
        gradients: The ways in which gradients can be taken, the usual way first.
        version: Version of the defence's numbers; raised when a change of the code changes them.
        base: Name of the model that is defended.
        gradient: How gradients are taken: through all that the defence computes (`exact`), with the
            defence's change of the image as a constant (`identity`), or the base's (`base`). The
            defence's usual way if None. It changes no prediction.
    """

    model_keys: ClassVar = ("base",)
    implementation: ClassVar[str]
    random: ClassVar[bool] = False
    gradients: ClassVar[tuple[Gradient, ...]] = _ALL
    version: ClassVar[int] = 1

    base: Name
    gradient: Gradient | None = None

    @model_validator(mode="after")
    def _gradient_exists(self) -> Self:
        if self.gradient is not None and self.gradient not in self.gradients:
            raise PydanticCustomError(
                "gradient", "`gradient`: allowed for this defence: {allowed}",
                {"allowed": ", ".join(self.gradients)},
            )  # fmt: skip
        return self

    def parameters(self) -> dict[str, Any]:
        """Return the parameters of the implementation."""
        return self.model_dump(exclude={"kind", "gpus", "base", "gradient"})

    @property
    def architecture_of(self) -> str:
        """Name of the model that is defended."""
        return self.base

    @property
    def components(self) -> tuple[Component, ...]:
        """What a surrogate's gradient can leave out: the defence, or its derivative."""
        return ("defence", *(("unrolling",) if "identity" in self.gradients else ()))

    def without_components(self, components: Collection[Component]) -> Self:
        """Return a copy of the model whose gradient leaves out a component."""
        way = "base" if "defence" in components else "identity"
        return self.model_copy(update={"gradient": way}) if components else self

    def identity(self, fingerprint: str, of: Callable[[str], dict[str, Any]]) -> dict[str, Any]:
        """Return the defence and its parameters, with the identity of the base."""
        return {
            "defence": str(self.kind),
            "parameters": self.parameters(),
            "base": of(self.base),
            **({"gradient": self.gradient} if self.gradient else {}),
            **({"version": self.version} if self.version > 1 else {}),
        }

    def description(self, of: Callable[[str], str]) -> str:
        """Return the base and the defence: `nano clip + ttc`."""
        return f"{of(self.base)} + {self.kind}"


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


class NoiseSmoothingModel(DefenceModel):
    """Mean embedding of `draws` copies with Gaussian noise of standard deviation `sigma`."""

    implementation: ClassVar = "radapt.defences.noise_smoothing:NoiseSmoothing"
    random: ClassVar = True
    gradients: ClassVar = _NO_IDENTITY

    kind: Literal["noise-smoothing"]
    sigma: Annotated[float, Field(ge=0)]
    draws: Views

    @property
    def forwards(self) -> int:
        """One per copy."""
        return self.draws


class TtcModel(DefenceModel):
    """TTC, test-time counterattacks (Xing et al. 2025, arXiv:2503.03613)."""

    implementation: ClassVar = "radapt.defences.ttc:Ttc"
    random: ClassVar = True

    kind: Literal["ttc"]
    eps: Share = 4 / 255
    step: Share = 1 / 255
    steps: Steps = 2
    threshold: Annotated[float, Field(ge=0)] = 0.2
    beta: float = 2.0

    @property
    def forwards(self) -> int:
        """The image, the random start, a gradient per step, the result."""
        return 3 + 2 * self.steps


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


class TransformEnsembleModel(DefenceModel):
    """TTE, the mean over mirror images and crops (Perez et al. 2021, arXiv:2107.14110)."""

    implementation: ClassVar = "radapt.defences.transform_ensemble:TransformEnsemble"
    gradients: ClassVar = _NO_IDENTITY

    kind: Literal["transform-ensemble"]
    flip: bool = True
    crops: Annotated[int, Field(ge=0, le=1000)] = 4
    pad: Annotated[int, Field(ge=0, le=1000)] = 4
    seed: int = 0

    @property
    def forwards(self) -> int:
        """One per view."""
        return (1 + self.crops) * (1 + self.flip)


class GeodesicCorrectionModel(DefenceModel):
    """AGC, adaptive geodesic correction (Li et al. 2026, arXiv:2605.15584)."""

    implementation: ClassVar = "radapt.defences.geodesic_correction:GeodesicCorrection"
    random: ClassVar = True
    gradients: ClassVar = _NO_IDENTITY

    kind: Literal["geodesic-correction"]
    views: Views = 32
    distortion: Share = 0.5
    least: float = 0.45
    most: float = 2.25
    power: Positive = 0.9

    @property
    def forwards(self) -> int:
        """The image and its views."""
        return 1 + self.views


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
)

DEFENCES: tuple[type[DefenceModel], ...] = get_args(DefenceSpec)
