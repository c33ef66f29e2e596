"""Attacks of other libraries, and adversarial images made by others.

Libraries run on chunks of fixed size, which are in the identity.
"""

from typing import Annotated, Any, ClassVar, Literal, cast, get_args

from pydantic import (
    Field,
    JsonValue,
    PlainValidator,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from bench.catalogue.torchattacks_list import TORCHATTACKS
from bench.core.suggestions import listed
from bench.core.suite_paths import SuitePath
from bench.suite.specs.attack_base import MOST, AttackSpec, Count, LossInput
from bench.suite.specs.base import UserPath

Official = Literal["apgd-ce", "apgd-dlr", "apgd-t", "fab", "fab-t", "square"]
Version = Literal["standard", "rand"]

VERSIONS: dict[Version, tuple[Official, ...]] = {
    "standard": ("apgd-ce", "apgd-t", "fab-t", "square"),
    "rand": ("apgd-ce", "apgd-dlr"),
}
_FIXED = ("steps", "restarts", "targets", "queries", "eot")  # settings that a version fixes
_NATIVE = ("apgd-ce", "apgd-dlr", "apgd-t")  # kinds of this project with the same names
DEFAULT_ATTACK: Official = "apgd-ce"


def pyautoattack_label(attack: object) -> str:
    """Return the default name in tables: of the attack, if it is only one.

    Args:
        attack: The key `attack` of an entry, as read from YAML or validated.
    """
    only = attack[0] if isinstance(attack, list | tuple) and len(attack) == 1 else attack
    if not isinstance(only, str) or only not in get_args(Official):
        return "pyautoattack"
    return f"pyautoattack-{only}" if only in _NATIVE else only


def _official(value: Any) -> Version | Official | tuple[Official, ...]:
    names = get_args(Official)
    listed = value if isinstance(value, list | tuple) else None
    if listed and all(name in names for name in listed) and len(set(listed)) == len(listed):
        return tuple(listed)
    if isinstance(value, str) and value in (*VERSIONS, *names):
        return cast(Official, value)
    known = f"{', '.join(VERSIONS)}, {', '.join(names)}"
    raise PydanticCustomError("attack", f"allowed: {known}, or a list of the last {len(names)}")


class PyAutoAttack(AttackSpec):
    """The official AutoAttack code: a version, one of its attacks, or a list (`custom`).

    Attributes:
        attack: A version, an attack, or a list of attacks.
        steps: Number of steps of APGD and FAB.
        restarts: Number of runs of APGD-CE, APGD-DLR and FAB; targeted attacks run once per target.
        targets: Number of target classes of APGD-T and FAB-T.
        queries: Number of queries of Square.
        eot: Number of forward passes whose gradients APGD averages per step. In an ensemble with
            `eot`, Square averages as many per query.
        chunk: Number of images that the library attacks at once.
    """

    kind: Literal["pyautoattack"]
    attack: Annotated[Version | Official | tuple[Official, ...], PlainValidator(_official)] = (
        DEFAULT_ATTACK
    )
    steps: Count = 100
    restarts: Count = 1
    targets: Count = 9
    queries: Count = 5000
    eot: Count = 1
    chunk: Count = 100

    loss_input: ClassVar[LossInput] = "classes"

    @model_validator(mode="before")
    @classmethod
    def _version_is_fixed(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("attack") in list(VERSIONS):
            fields = cls.model_fields
            changed = [
                key for key in _FIXED if data.get(key, fields[key].default) != fields[key].default
            ]
            if changed:
                raise PydanticCustomError(
                    "attack",
                    f"the version {data['attack']} fixes {', '.join(changed)}; to choose them, "
                    "list the attacks",
                )
        return data

    @property
    def label(self) -> str:
        """Name of the attack in tables."""
        return self.name or pyautoattack_label(self.attack)

    @property
    def members(self) -> tuple[Official, ...]:
        """The attacks that run, in order."""
        if isinstance(self.attack, tuple):
            return self.attack
        return VERSIONS.get(self.attack, (self.attack,))  # type: ignore[arg-type]

    @property
    def passes(self) -> int:
        """Number of forward passes per step; the version `rand`, for randomised models, has 20."""
        return 20 if self.attack == "rand" else self.eot

    @property
    def gradients(self) -> int:
        """Number of gradients for an image that withstands all attacks."""
        runs = {"apgd-t": self.targets, "fab-t": self.targets, "square": 0}
        per_step = {name: self.passes for name in self.members if name.startswith("apgd")}
        return sum(
            self.steps * runs.get(name, self.restarts) * per_step.get(name, 1)
            for name in self.members
        )

    @property
    def forwards(self) -> int:
        """Number of forward passes of Square, at most: one per query outside of an ensemble."""
        return self.queries * self.passes if "square" in self.members else 0


class TorchAttacks(AttackSpec):
    """An attack of torchattacks with an `eps` argument, by the name of its class.

    Attributes:
        attack: Name of the class.
        args: Arguments of the class.
        chunk: Number of images that the library attacks at once.
    """

    kind: Literal["torchattacks"]
    attack: str = "PGD"
    args: dict[str, JsonValue] = Field(default={})
    chunk: Count = 100

    loss_input: ClassVar[LossInput] = "classes"

    @field_validator("attack")
    @classmethod
    def _is_listed(cls, attack: str, info: ValidationInfo) -> str:
        if attack == "AutoAttack":
            raise PydanticCustomError(
                "attack",
                "torchattacks' AutoAttack is not the official attack: it has 10 steps instead of "
                "100 and other targets; use {kind: pyautoattack, attack: standard}",
            )
        norm = info.data.get("norm", "linf")
        allowed = [name for name, entry in TORCHATTACKS.items() if norm in entry.norms]
        if attack not in allowed:
            raise PydanticCustomError(
                "attack", f"allowed at norm {norm}: {listed(attack, allowed)}"
            )
        return attack

    @field_validator("args")
    @classmethod
    def _are_listed(cls, args: dict[str, JsonValue], info: ValidationInfo) -> dict[str, JsonValue]:
        steps = args.get("steps", 1)
        if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
            raise PydanticCustomError("steps", "`steps` must be an integer of at least 1")
        if large := [key for key, value in args.items() if isinstance(value, int) and value > MOST]:
            raise PydanticCustomError(
                "args", f"{', '.join(large)}: allowed: a number of at most {MOST:,}"
            )
        attack = info.data.get("attack")
        if attack is not None and (unknown := args.keys() - set(TORCHATTACKS[attack].args)):
            allowed = ", ".join(TORCHATTACKS[attack].args) or "none"
            raise PydanticCustomError(
                "args", f"{attack} has no {', '.join(sorted(unknown))}; allowed: {allowed}"
            )
        return args

    @property
    def gradients(self) -> int:
        """Number of gradients for an image; the library's default if `args` do not give `steps`."""
        return cast(
            int, self.args.get("steps", 10 if "steps" in TORCHATTACKS[self.attack].args else 1)
        )


class ExternalImages(AttackSpec):
    """Adversarial images made by others, from files; each is checked against the budget.

    They are scored on every model under the threat `external`, once for all threats and seeds.

    Attributes:
        path: A folder of image files, or a `.safetensors`, `.npz` or `.pt` file
            (`bench.attacks.image_files`); `{dataset}` stands for the name of each dataset.
    """

    kind: Literal["images"]
    path: UserPath

    PLACEHOLDER: ClassVar[str] = "{dataset}"

    @property
    def gradients(self) -> int:
        """Number of gradients: 0."""
        return 0

    def fits(self, datasets: int) -> bool:
        """Return whether the path names the images of each of several datasets."""
        return datasets == 1 or self.PLACEHOLDER in self.path

    def path_for(self, dataset: str) -> str:
        """Return the path of the images of a dataset, as a text of the suite."""
        text = self.path.replace(self.PLACEHOLDER, dataset)
        return SuitePath.of(text, self.path.folder) if isinstance(self.path, SuitePath) else text
