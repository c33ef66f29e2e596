"""Recipes of adversarial fine-tuning, read from YAML files."""

from fractions import Fraction
from pathlib import Path
from typing import Annotated, Literal, Self

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from radapt.clip import Clip
from radapt.finetune import InnerAttack
from radapt.loop import Optimiser, Schedule
from radapt.objectives import NormAxis, Objective, fare, tecoa, tga
from radapt.text_files import read_text

SHIPPED = Path(__file__).parent / "recipes"


def _fraction(value: object) -> object:
    """Convert a fraction such as `4/255` to a float; return other values unchanged."""
    try:
        return float(Fraction(value)) if isinstance(value, str) else value
    except (ValueError, ZeroDivisionError):
        return value


Pixels = Annotated[float, BeforeValidator(_fraction), Field(gt=0, le=1)]


class _Spec(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class AttackSpec(_Spec):
    """The training attack; `eps` and `step` are in [0,1] pixels, such as `4/255`."""

    eps: Pixels
    steps: int = Field(gt=0)
    step: Pixels


class GuidanceSpec(_Spec):
    """TGA's loss on attention maps: its weights at 224 pixels, and the normalisation axis."""

    attacked_weight: float = Field(0.08, ge=0)
    clean_weight: float = Field(0.05, ge=0)
    norm_axis: NormAxis = "tokens"


class Recipe(_Spec):
    """A recipe of adversarial fine-tuning; the shipped recipes have the papers' hyper-parameters.

    Attributes:
        method: Objective: `fare`, `tecoa` or `tga`.
        steps: Number of optimiser steps.
        warmup: Number of steps of linear warm-up; a half-cosine decay follows.
        batch: Number of images per step, over all processes and accumulated parts.
        accumulate: Number of parts that a step's batch is split into, to save memory.
        optimiser: `adamw`, or `sgd` with momentum 0.9.
        lr: Peak learning rate.
        weight_decay: Weight decay of all parameters, with biases and norms, as in the authors'
            code.
        betas: Betas of AdamW.
        attack: The training attack.
        template: Prompt template with `{c}` for the class; for TeCoA and TGA.
        guidance: TGA's loss on attention maps.
        precision: `no` for fp32, or `bf16` for autocast to bfloat16.
        seed: Seed of the order of images and of the attacks.
    """

    method: Literal["fare", "tecoa", "tga"]
    steps: int = Field(gt=0)
    warmup: int = Field(ge=0)
    batch: int = Field(gt=0)
    accumulate: int = Field(1, gt=0)
    optimiser: Optimiser
    lr: float = Field(gt=0)
    weight_decay: float = Field(ge=0)
    betas: tuple[float, float] = (0.9, 0.999)
    attack: AttackSpec
    template: str = Field("This is a photo of a {c}", pattern=r".*\{c\}.*")
    guidance: GuidanceSpec = GuidanceSpec()
    precision: Literal["no", "bf16"] = "no"
    seed: int = 0

    @model_validator(mode="after")
    def _warms_up_within(self) -> Self:
        if self.warmup >= self.steps:
            raise ValueError(f"`warmup` must be below `steps`, which is {self.steps}")
        return self

    def schedule(self) -> Schedule:
        """Return the schedule: optimiser, number of steps and learning rate."""
        return Schedule(
            self.steps,
            self.warmup,
            self.lr,
            self.weight_decay,
            self.optimiser,
            self.betas,
            decay="all",
            accumulate=self.accumulate,
        )

    def inner_attack(self) -> InnerAttack:
        """Return the training attack."""
        return InnerAttack(**self.attack.model_dump())

    def objective(self, clip: Clip, classes: tuple[str, ...]) -> Objective:
        """Return the objective for the class names `classes`; `clip` is the frozen original."""
        if self.method == "fare":
            return fare(clip.tower, mean=clip.mean, std=clip.std)
        text = clip.classes(classes, self.template)
        if self.method == "tecoa":
            return tecoa(text, scale=clip.scale)
        return tga(
            clip.tower,
            text,
            scale=clip.scale,
            mean=clip.mean,
            std=clip.std,
            **self.guidance.model_dump(),
        )


def load_recipe(name: str) -> Recipe:
    """Read a recipe from a YAML file, or a shipped recipe by its name.

    Raises:
        ValueError: The recipe does not exist or has faults; the message lists all faults.
    """
    path = Path(name)
    if not path.suffix:
        path = SHIPPED / f"{name}.yaml"
    if not path.exists():
        known = ", ".join(sorted(file.stem for file in SHIPPED.glob("*.yaml")))
        raise ValueError(f"{name}: no such recipe; give a YAML file or one of {known}")
    try:
        return Recipe.model_validate(yaml.safe_load(read_text(path)))
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: not YAML: {error}") from error
    except ValidationError as error:
        faults = [
            f"  {'.'.join(map(str, fault['loc']))}: {fault['msg']} (got {fault['input']!r})"
            for fault in error.errors()
        ]
        raise ValueError("\n".join([f"{path}: {len(faults)} fault(s)", *faults])) from error
