"""The protocol of a suite (image size, prompts, storage, judge), and its presets."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from bench.core.suggestions import listed
from bench.suite.specs.base import Name, Spec
from bench.suite.specs.judge import JudgeSpec, MatchJudge

Kernel = Literal["bicubic", "bilinear"]


class Pixels(Spec):
    """Size of the attacked images, and how images of other sizes are resized to it.

    Attributes:
        size: Height and width in pixels.
        fit: `crop` resizes the shorter side and cuts out the centre; `squash` changes the aspect
            ratio.
        short: With `crop`, the length of the shorter side in pixels before the cut; `size` by
            default.
        kernel: Interpolation.
    """

    size: Annotated[int, Field(ge=8, le=4096)]
    fit: Literal["crop", "squash"]
    short: Annotated[int, Field(ge=8, le=8192)] | None = None
    kernel: Kernel = "bicubic"

    @model_validator(mode="after")
    def _holds_the_crop(self) -> Self:
        if self.short is not None and (self.fit == "squash" or self.short < self.size):
            raise PydanticCustomError(
                "short", "`short` must be at least `size`, and needs `fit: crop`"
            )
        return self

    def __str__(self) -> str:
        """Return a short text: `224 crop`, `224 crop of 256 bilinear`."""
        short = f" of {self.short}" if self.short else ""
        kernel = "" if self.kernel == "bicubic" else f" {self.kernel}"
        return f"{self.size} {self.fit}{short}{kernel}"


class Resize(Spec):
    """How a model resizes images of another size to its own; attacks differentiate through it.

    Attributes:
        kernel: Interpolation.
        antialias: Whether to filter before downsampling; the bicubic kernel is then PIL's.
        clamp: Whether to clamp resized pixels to [0,1].
    """

    kernel: Kernel = "bicubic"
    antialias: bool = True
    clamp: bool = True

    def __str__(self) -> str:
        """Return a short text: `bicubic antialias clamp`."""
        given = ("antialias" * self.antialias, "clamp" * self.clamp)
        return " ".join([self.kernel, *filter(None, given)])


Storage = Literal["float16", "uint8-truncate", "uint8-round"]
VqaRule = Literal["official", "always"]


class Protocol(Spec):
    """The settings of an evaluation that all models share.

    Attributes:
        pixels: Size of the attacked images; `native` keeps the size that each dataset has.
        native: Names of datasets that keep their size, whatever `pixels` is.
        squash: Names of datasets that are squashed to the size and with the kernel of `pixels`,
            if it has a size.
        templates: Prompt templates with the placeholder `{c}`, or `dataset` for the dataset's own.
        storage: How adversarial images are stored: `float16` stores the perturbations of transfer
            crafts; the others store all adversarial images with 8 bits, truncated or rounded.
        resize: How models resize images.
        clean: Whether clean accuracy is over the attacked `sample` or over `all` images.
        answer_tokens: Largest number of tokens of an answer.
        judge: Decides whether an answer in words names the object that the image shows.
        vqa_rule: When VQA accuracy normalises answers: `official` only if annotators disagree, as
            the official evaluation does; `always`, as LLaVA and RobustVLM do.
    """

    pixels: Pixels | Literal["native"]
    native: tuple[Name, ...] = ()
    squash: tuple[Name, ...] = ()
    templates: Annotated[tuple[str, ...], Field(min_length=1)] | Literal["dataset"]
    storage: Storage = "float16"
    resize: Resize = Resize()
    clean: Literal["sample", "all"] = "sample"
    answer_tokens: Annotated[int, Field(ge=1, le=4096)] = 20
    judge: JudgeSpec = MatchJudge()
    vqa_rule: VqaRule = "official"

    def pixels_of(self, dataset: str) -> Pixels | Literal["native"]:
        """Return the size at which the images of a dataset are attacked."""
        if dataset in self.native or self.pixels == "native":
            return "native"
        if dataset in self.squash:
            return Pixels(size=self.pixels.size, fit="squash", kernel=self.pixels.kernel)
        return self.pixels

    def templates_of(self, own: tuple[str, ...]) -> tuple[str, ...]:
        """Return the prompt templates for a dataset whose own templates are `own`."""
        return own if self.templates == "dataset" else self.templates

    @model_validator(mode="after")
    def _one_size_each(self) -> Self:
        if both := sorted({*self.native} & {*self.squash}):
            raise PydanticCustomError(
                "squash", "both `native` and `squash` name {names}", {"names": ", ".join(both)}
            )
        return self

    @field_validator("templates")
    @classmethod
    def _have_placeholder(cls, templates: Any) -> Any:
        if templates != "dataset" and any("{c}" not in text for text in templates):
            raise PydanticCustomError("templates", "each template needs the placeholder {c}")
        return templates


# FARE and TeCoA attack small images at their own size; the model resizes them without antialiasing.
_SMALL = ("cifar10", "cifar100", "stl10")
_PLAIN = Resize(antialias=False, clamp=False)
_OF_256 = Pixels(size=224, fit="crop", short=256, kernel="bilinear")

PRESETS = {
    # R-Adapt (arXiv:2603.12799) states no settings; these are of the code of CSR, by its authors.
    "radapt-paper": Protocol(
        pixels=Pixels(size=224, fit="squash"), templates=("a photo of a {c}",)
    ),
    "clip-benchmark": Protocol(pixels=Pixels(size=224, fit="crop"), templates="dataset"),
    # Schlarmann et al. 2024 (arXiv:2402.12336), as in their code.
    "fare-paper": Protocol(
        pixels=Pixels(size=224, fit="crop"),
        native=_SMALL,
        templates="dataset",
        resize=_PLAIN,
        clean="all",
        vqa_rule="always",
    ),
    # Mao et al. 2023 (arXiv:2212.07016), as in their code.
    "tecoa-paper": Protocol(
        pixels=_OF_256,
        native=_SMALL,
        templates=("This is a photo of a {c}",),
        resize=_PLAIN,
    ),
    # Xing et al. 2025 (arXiv:2503.03613), as in their code.
    "ttc-paper": Protocol(pixels=_OF_256, templates=("This is a photo of a {c}.",)),
    # Yu et al. 2024 (arXiv:2410.21802), as in their code.
    "tga-paper": Protocol(pixels=_OF_256, squash=_SMALL, templates=("This is a photo of a {c}",)),
    # Sheng et al. 2025 (arXiv:2504.11195), as in their code.
    "r-tpt-paper": Protocol(
        pixels=Pixels(size=224, fit="crop"),
        templates=("a photo of a {c}.",),
        storage="uint8-truncate",
    ),
    # All models have one size, so that crafts transfer between them. It is the size of LLaVA-1.5,
    # whose processor then changes no pixel, and of 12 merged patches of Qwen2.5-VL. Images are
    # squashed, as in V-Attack's code, so that no object of a question is cut off. V-Attack asks no
    # questions of VQA; LLaVA and RobustVLM, with which such numbers are compared, always normalise.
    "lvlm": Protocol(
        pixels=Pixels(size=336, fit="squash"),
        templates=("a photo of a {c}",),
        vqa_rule="always",
    ),
}


def size_faults(value: Any, datasets: Sequence[str]) -> Iterator[str]:
    """Yield a fault for each name in `native` and `squash` that is not a dataset of the suite.

    A preset may name other datasets, since it serves many suites.

    Args:
        value: The entry `protocol`, as read from YAML.
        datasets: Names of the suite's datasets.
    """
    for key in ("native", "squash"):
        names = value.get(key) if isinstance(value, dict) else None
        for place, name in enumerate(names if isinstance(names, list) else []):
            if isinstance(name, str) and name not in datasets:
                yield (
                    f"protocol.{key}.{place}: got {name!r}; datasets of the suite: "
                    f"{listed(name, datasets)}"
                )


def expand_preset(value: Any) -> Any:
    """Return all fields for a preset's name, or for a mapping with `preset` and overrides."""
    given = {"preset": value} if isinstance(value, str) else value
    if not isinstance(given, dict) or "preset" not in given:
        return given
    if not isinstance(given["preset"], str) or given["preset"] not in PRESETS:
        raise PydanticCustomError(
            "preset",
            "unknown preset; allowed: {allowed}",
            {"allowed": listed(given["preset"], PRESETS)},
        )
    overrides = {key: item for key, item in given.items() if key != "preset"}
    return {**PRESETS[given["preset"]].model_dump(), **overrides}
