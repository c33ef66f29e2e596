"""How images and prompts become a number, and the presets of it."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from bench.suite.specs.base import Name, Spec
from bench.suite.specs.judge import JudgeSpec, MatchJudge

Kernel = Literal["bicubic", "bilinear"]


class Pixels(Spec):
    """Size of the images that are attacked, and how other sizes are brought to it.

    With `crop` the shorter side becomes `short` (else `size`) before the middle is cut out.
    """

    size: Annotated[int, Field(ge=8)]
    fit: Literal["crop", "squash"]
    short: Annotated[int, Field(ge=8)] | None = None
    kernel: Kernel = "bicubic"

    @model_validator(mode="after")
    def _holds_the_crop(self) -> Self:
        if self.short is not None and (self.fit == "squash" or self.short < self.size):
            raise PydanticCustomError("short", "`short` is at least `size`, and for `fit: crop`")
        return self

    def __str__(self) -> str:
        """Return it in a few words: `224 crop`, `224 crop of 256 bilinear`."""
        short = f" of {self.short}" if self.short else ""
        kernel = "" if self.kernel == "bicubic" else f" {self.kernel}"
        return f"{self.size} {self.fit}{short}{kernel}"


class Resize(Spec):
    """How a model brings images of another size to its own; attacks see through it.

    With antialiasing the bicubic kernel is PIL's. `clamp` cuts what overshoots [0,1].
    """

    kernel: Kernel = "bicubic"
    antialias: bool = True
    clamp: bool = True

    def __str__(self) -> str:
        """Return it in a few words: `bicubic antialias clamp`."""
        given = ("antialias" * self.antialias, "clamp" * self.clamp)
        return " ".join([self.kernel, *filter(None, given)])


Storage = Literal["float16", "uint8-truncate", "uint8-round"]


class Protocol(Spec):
    """How images and prompts become a number, whatever the model.

    `native` names datasets that keep the size they have, whatever `pixels` says of the others.
    `templates` is a list of prompts, or `dataset` for those in the dataset's folder.
    `storage` is the form in which adversarial images are kept: as float16 perturbations
    where others are scored on them, or all of them as 8-bit images, cut or rounded. `clean`
    says whether clean accuracy is that of the images that are attacked, or of all. `judge`
    decides whether an answer in words names the object that the image shows; an answer has so
    many `answer_tokens`.
    """

    pixels: Pixels | Literal["native"]
    native: tuple[Name, ...] = ()
    templates: Annotated[tuple[str, ...], Field(min_length=1)] | Literal["dataset"]
    storage: Storage = "float16"
    resize: Resize = Resize()
    clean: Literal["sample", "all"] = "sample"
    answer_tokens: Annotated[int, Field(ge=1)] = 20
    judge: JudgeSpec = MatchJudge()

    def pixels_of(self, dataset: str) -> Pixels | Literal["native"]:
        """Return at what size a dataset's images are attacked."""
        return "native" if dataset in self.native else self.pixels

    @field_validator("templates")
    @classmethod
    def _placeholder(cls, templates: Any) -> Any:
        if templates != "dataset" and any("{c}" not in text for text in templates):
            raise PydanticCustomError("templates", "each template needs the placeholder {c}")
        return templates


# FARE and TeCoA attack small images at the size that they have, with torch's plain resizing
# inside the model.
_SMALL = ("cifar10", "cifar100", "stl10")
_PLAIN = Resize(antialias=False, clamp=False)

PRESETS = {
    # R-Adapt (arXiv:2603.12799) states none; these are the settings of its authors' CSR code.
    "radapt-paper": Protocol(
        pixels=Pixels(size=224, fit="squash"), templates=("a photo of a {c}",)
    ),
    "clip-benchmark": Protocol(pixels=Pixels(size=224, fit="crop"), templates="dataset"),
    # Schlarmann et al. 2024 (arXiv:2402.12336), as their code has it.
    "fare-paper": Protocol(
        pixels=Pixels(size=224, fit="crop"),
        native=_SMALL,
        templates="dataset",
        resize=_PLAIN,
        clean="all",
    ),
    # Mao et al. 2023 (arXiv:2212.07016), as their code has it.
    "tecoa-paper": Protocol(
        pixels=Pixels(size=224, fit="crop", short=256, kernel="bilinear"),
        native=_SMALL,
        templates=("This is a photo of a {c}",),
        resize=_PLAIN,
    ),
    # One size for all models, so that images crafted on one are images to any other: LLaVA-1.5's
    # own, at which its processor leaves images as they are, and twelve of Qwen2.5-VL's merged
    # patches. Squashed as in V-Attack's code: nothing that is asked about is cut off.
    "lvlm": Protocol(pixels=Pixels(size=336, fit="squash"), templates=("a photo of a {c}",)),
}


def native_faults(value: Any, datasets: Sequence[str]) -> Iterator[str]:
    """Say which names of a suite's own `native` are none of its datasets; a preset's may be."""
    native = value.get("native") if isinstance(value, dict) else None
    known = ", ".join(datasets) or "none"
    for place, name in enumerate(native if isinstance(native, list) else []):
        if isinstance(name, str) and name not in datasets:
            yield f"protocol.native.{place}: got {name!r}; datasets of the suite: {known}"


def expand_preset(value: Any) -> Any:
    """Turn a preset's name, or a mapping with `preset` and overrides, into all fields."""
    given = {"preset": value} if isinstance(value, str) else value
    if not isinstance(given, dict) or "preset" not in given:
        return given
    if not isinstance(given["preset"], str) or given["preset"] not in PRESETS:
        raise PydanticCustomError(
            "preset", "unknown preset; allowed: {allowed}", {"allowed": ", ".join(PRESETS)}
        )
    overrides = {key: item for key, item in given.items() if key != "preset"}
    return {**PRESETS[given["preset"]].model_dump(), **overrides}
