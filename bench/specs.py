"""What a suite may say: typed, frozen, and closed to keys that do not exist."""

from fractions import Fraction
from typing import Annotated, Any, Literal, Self, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    PlainSerializer,
    StringConstraints,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

Name = Annotated[str, StringConstraints(min_length=1, max_length=80, pattern=r"^[^\x00-\x1f]+$")]


class Spec(BaseModel):
    """Base of all specs."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)


def _eps(value: Any) -> str:
    text = str(value).strip()
    try:
        number = float(Fraction(text)) if not isinstance(value, bool) else -1.0
    except (ValueError, ZeroDivisionError, OverflowError):
        number = -1.0
    if not 0 <= number <= 1:
        raise PydanticCustomError(
            "eps", "a radius in [0,1] pixels is needed, written like 4/255 or 0.0157"
        )
    return text


def eps_value(text: str) -> float:
    """Return the number that a radius written as in a suite stands for."""
    return float(Fraction(text))


Eps = Annotated[str, BeforeValidator(_eps)]


def _many(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else [value]


def _distinct(budgets: tuple[str, ...]) -> tuple[str, ...]:
    if len({eps_value(eps) for eps in budgets}) < len(budgets):
        raise PydanticCustomError("eps", "the same radius appears twice")
    return budgets


EpsList = Annotated[
    tuple[Eps, ...], BeforeValidator(_many), Field(min_length=1), AfterValidator(_distinct)
]


# --- models ---------------------------------------------------------------------------


class NanoModel(Spec):
    """One of the embedded models."""

    kind: Literal["nano"]
    weights: Literal["clip", "fare", "tecoa"]


class OpenClipModel(Spec):
    """A model of open_clip: by name and pretrained tag, `hf-hub:` name, or local checkpoint.

    `tower` is a checkpoint of the vision tower alone, as RobustVLM and TeCoA publish them.
    """

    kind: Literal["open_clip"]
    name: str
    pretrained: str | None = None
    tower: str | None = None

    @model_validator(mode="after")
    def _has_weights(self) -> Self:
        if self.pretrained is None and not self.name.startswith("hf-hub:"):
            raise PydanticCustomError(
                "weights", "`pretrained` is needed: a tag or a file; only hf-hub: names imply one"
            )
        return self


class Anchor(Spec):
    """Where a robustness anchor comes from: a white image through a model, or a file."""

    white: Name | None = None
    file: str | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.file is None) == (self.white is None):
            raise PydanticCustomError("anchor", "exactly one of `white` and `file` is needed")
        return self


class RAdaptModel(Spec):
    """R-Adapt over a declared model (arXiv 2603.12799)."""

    kind: Literal["radapt"]
    base: Name
    anchor: Anchor
    alpha: Annotated[float, Field(ge=0, le=2)]
    cutoff: Annotated[float, Field(gt=0)] | None
    mix: Literal["interpolate", "add"] = "interpolate"
    cutoff_at: Literal[224, "image"] = 224


class GraftModel(Spec):
    """A declared model with some modules of another's tower.

    `modules` names one or several: `Emb`, `B1-Attn`, `B3`, `Head`; `..B2` is all from the
    input through B2, `B3..` all from B3 on.
    """

    kind: Literal["graft"]
    base: Name
    donor: Name
    modules: Annotated[tuple[str, ...], BeforeValidator(_many), Field(min_length=1)]


class PythonModel(Spec):
    """A factory of the user's own, `package.module:function`; runs only with `--trust`."""

    kind: Literal["python"]
    target: Annotated[str, StringConstraints(pattern=r"^[\w.]+:[\w.]+$")]
    args: dict[str, JsonValue] = {}


ModelSpec = Annotated[
    NanoModel | OpenClipModel | RAdaptModel | GraftModel | PythonModel,
    Field(discriminator="kind"),
]

# --- datasets -------------------------------------------------------------------------


class NanoDataset(Spec):
    """One of the embedded test sets."""

    kind: Literal["nano"] = "nano"
    name: Literal["cifar10", "cifar100", "fashion-mnist", "digits"]


class WebDataset(Spec):
    """A folder in CLIP_benchmark's webdataset layout."""

    kind: Literal["webdataset"]
    name: Name
    path: str
    split: str = "test"


def _dataset(value: Any) -> Any:
    return {"kind": "nano", "name": value} if isinstance(value, str) else value


DatasetSpec = Annotated[
    Annotated[NanoDataset | WebDataset, Field(discriminator="kind")], BeforeValidator(_dataset)
]

# --- attacks --------------------------------------------------------------------------


class AttackSpec(Spec):
    """What all attacks share: budgets, each a cell of its own, and a name for the tables."""

    eps: EpsList
    name: Name | None = None

    @property
    def label(self) -> str:
        """Name of the attack in tables."""
        return self.name or str(self.kind)  # type: ignore[attr-defined]

    @property
    def gradients(self) -> int:
        """Gradient steps on an image that withstands all of them."""
        return int(self.steps)  # type: ignore[attr-defined]


class Pgd(AttackSpec):
    """Native PGD on the cross-entropy. `step` is the step size times `steps` over eps."""

    kind: Literal["pgd"]
    steps: Annotated[int, Field(ge=1)] = 10
    step: Annotated[float, Field(gt=0)] = 2.5
    random_start: bool = True


class Cw(AttackSpec):
    """Native PGD on Carlini and Wagner's margin, capped at `kappa`."""

    kind: Literal["cw"]
    steps: Annotated[int, Field(ge=1)] = 30
    step: Annotated[float, Field(gt=0)] = 2.5
    random_start: bool = True
    kappa: Annotated[float, Field(ge=0)] = 0.0


class ApgdCe(AttackSpec):
    """Native Auto-PGD on the cross-entropy, one run."""

    kind: Literal["apgd-ce"]
    steps: Annotated[int, Field(ge=1)] = 100
    rho: Annotated[float, Field(gt=0, lt=1)] = 0.75


class PyAutoAttack(AttackSpec):
    """An attack of the official AutoAttack code, in chunks of a fixed size."""

    kind: Literal["pyautoattack"]
    attack: Literal["apgd-ce"] = "apgd-ce"
    steps: Annotated[int, Field(ge=1)] = 100
    restarts: Annotated[int, Field(ge=1)] = 1
    chunk: Annotated[int, Field(ge=1)] = 100

    @property
    def gradients(self) -> int:
        """Gradient steps on an image that withstands all restarts."""
        return self.restarts * self.steps


class TorchAttacks(AttackSpec):
    """An attack of torchattacks with an `eps` argument, in chunks of a fixed size."""

    kind: Literal["torchattacks"]
    attack: Literal["PGD"] = "PGD"
    args: dict[str, JsonValue] = {}
    chunk: Annotated[int, Field(ge=1)] = 100

    @field_validator("args")
    @classmethod
    def _whole_steps(cls, args: dict[str, JsonValue]) -> dict[str, JsonValue]:
        steps = args.get("steps", 1)
        if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
            raise PydanticCustomError("steps", "`steps` must be a whole number of at least 1")
        return args

    @property
    def gradients(self) -> int:
        """Gradient steps on an image, the library's default where `args` name none."""
        return cast(int, self.args.get("steps", 10))


AnyAttack = Annotated[Pgd | Cw | ApgdCe | PyAutoAttack | TorchAttacks, Field(discriminator="kind")]

# --- threats and protocol -------------------------------------------------------------


class Threat(Spec):
    """Who the attacker knows: the target itself, or a named source model (`transfer`)."""

    kind: Literal["white-box", "transfer"]
    source: Name | None = None


def _threat(value: Any) -> Any:
    if value == "white-box":
        return {"kind": "white-box"}
    if isinstance(value, dict) and set(value) == {"transfer"} and value["transfer"] is not None:
        return {"kind": "transfer", "source": value["transfer"]}
    raise PydanticCustomError("threat", "allowed: white-box, or {transfer: MODEL}")


AnyThreat = Annotated[
    Threat,
    BeforeValidator(_threat),
    PlainSerializer(lambda t: {"transfer": t.source} if t.source else t.kind),
]


class Pixels(Spec):
    """Size of the images that are attacked, and how other sizes are brought to it."""

    size: Annotated[int, Field(ge=8)]
    fit: Literal["crop", "squash"]


class Protocol(Spec):
    """How images and prompts become a number, whatever the model.

    `templates` is a list of prompts, or `dataset` for those in the dataset's folder.
    """

    pixels: Pixels | Literal["native"]
    templates: Annotated[tuple[str, ...], Field(min_length=1)] | Literal["dataset"]

    @field_validator("templates")
    @classmethod
    def _placeholder(cls, templates: Any) -> Any:
        if templates != "dataset" and any("{c}" not in text for text in templates):
            raise PydanticCustomError("templates", "each template needs the placeholder {c}")
        return templates


PRESETS = {
    "radapt-paper": Protocol(
        pixels=Pixels(size=224, fit="squash"), templates=("a photo of a {c}",)
    ),
    "clip-benchmark": Protocol(pixels=Pixels(size=224, fit="crop"), templates="dataset"),
}


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
