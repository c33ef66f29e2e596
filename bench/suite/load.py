"""Read a suite from YAML, and say everything that is wrong with it at once."""

from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BeforeValidator, Field, StringConstraints, ValidationError, field_validator
from pydantic_core import PydanticCustomError

from bench.core.errors import SuiteError
from bench.core.identifiers import path_fault, shown
from bench.suite.applicability import pair_faults
from bench.suite.metrics import TASKS
from bench.suite.references import duplicates, reference_faults
from bench.suite.specs import (
    Against,
    AnyAttack,
    AnyThreat,
    DatasetSpec,
    ModelSpec,
    Name,
    Protocol,
    Spec,
    TaskName,
    expand_preset,
    task_of,
)
from bench.suite.specs.adaptive import surrogate_faults
from bench.suite.specs.presets import expand_attacks, preset_faults
from bench.suite.sweep import Origin, expand_sweeps, sweep_faults

_SHARED = ("crafts", "judged")  # folders beside those of suites, see `bench.store.results_folder`
_LONG = 300  # letters
_VALIDATORS = ("function-", "tagged-union[", "literal[", "tuple[", "constrained-str")


class Suite(Spec):
    """Models x datasets x (clean + attacks x budgets x threats), under one protocol.

    Attributes:
        suite: Name of the suite and of its folder of results.
        protocol: Pixels and prompts.
        samples: Images per dataset; all of a dataset that has fewer.
        seed: Seed of the subset, and of all attacks unless `seeds` says others.
        seeds: Seeds of the attacks, each of which runs once with each of them.
        models: By name, as they appear in tables.
        datasets: In the order of tables.
        attacks: Each at one or more budgets, in one norm.
        threats: Each attack runs under each of them.
        against: The published numbers that it is meant to reproduce.
        note: What a reader must know before any number, shown on the page and in the manifest.
    """

    suite: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][\w.-]*$", max_length=80)]
    protocol: Annotated[Protocol, BeforeValidator(expand_preset)]
    samples: Annotated[int, Field(ge=1)]
    seed: int = 0
    seeds: Annotated[tuple[int, ...], Field(min_length=1)] | None = None
    models: Annotated[dict[Name, ModelSpec], Field(min_length=1)]
    datasets: Annotated[tuple[DatasetSpec, ...], Field(min_length=1)]
    attacks: Annotated[tuple[AnyAttack, ...], Field(min_length=1)] = ()
    threats: Annotated[tuple[AnyThreat, ...], Field(min_length=1)] = ()
    against: Against | None = None
    note: Annotated[str, StringConstraints(min_length=1, max_length=300)] | None = None

    @property
    def attack_seeds(self) -> tuple[int, ...]:
        """The seeds that each attack runs with."""
        return self.seeds or (self.seed,)

    def dataset(self, name: str) -> DatasetSpec:
        """Return what the suite says of one of its datasets."""
        return next(entry for entry in self.datasets if entry.name == name)

    @field_validator("suite")
    @classmethod
    def _names_a_folder(cls, suite: str) -> str:
        if suite.lower() in _SHARED:
            raise PydanticCustomError("suite", "all suites share a folder of that name")
        if why := path_fault(suite):
            raise PydanticCustomError("suite", "it {why}", {"why": why})
        return suite

    @field_validator("seeds")
    @classmethod
    def _different(cls, seeds: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if seeds and len(set(seeds)) < len(seeds):
            raise PydanticCustomError("seeds", "a seed appears twice")
        return seeds

    @field_validator("datasets")
    @classmethod
    def _one_task(cls, datasets: tuple[DatasetSpec, ...]) -> tuple[DatasetSpec, ...]:
        tasks: dict[TaskName, list[str]] = {}
        for entry in datasets:
            tasks.setdefault(task_of(entry), []).append(entry.name)
        if len(tasks) > 1:
            said = (
                f"{', '.join(names)} ({TASKS[task].scored_by})" for task, names in tasks.items()
            )
            raise PydanticCustomError(
                "tasks",
                "these have no mean, so each task needs a suite of its own: {said}",
                {"said": "; ".join(said)},
            )
        return datasets


def load_suite(path: str | Path) -> Suite:
    """Read and check a suite.

    A model with `sweep` becomes one model per combination, and an attack with `preset`
    the attacks that it stands for.

    Relative paths inside it (checkpoints, datasets, anchors) are taken from the
    current folder, as on the command line.

    Raises:
        SuiteError: The file cannot be read, or has faults; all are listed.
    """
    try:
        raw = yaml.load(Path(path).read_text("utf-8"), Loader=_UniqueKeyLoader)
    except OSError as error:
        raise SuiteError(str(path), [f"cannot be read: {error.strerror}"]) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SuiteError(str(path), [f"is not valid YAML: {error}"]) from error
    if not isinstance(raw, dict):
        raise SuiteError(str(path), ["a mapping is needed, with the key `suite` and others"])
    faults: list[str] = []
    origins: dict[str, Origin] = {}
    if isinstance(declared := raw.get("models"), dict):
        expanded = list(expand_sweeps(declared))
        faults += sweep_faults(declared)
        faults += duplicates("models", [str(name) for name, _, _ in expanded])
        raw = {**raw, "models": {name: entry for name, entry, _ in expanded}}
        origins = {str(name): origin for name, _, origin in expanded}
    places: list[int] = []
    if isinstance(listed := raw.get("attacks"), list):
        faults += preset_faults(listed)
        models = raw.get("models")
        faults += surrogate_faults(listed, models if isinstance(models, dict) else {})
        attacks = list(expand_attacks(listed))
        places = [place for place, _ in attacks]
        # where presets are at fault the list may have become empty, which is no fault of its own
        kept = {"attacks": [entry for _, entry in attacks]} if attacks or not listed else {}
        raw = {**{key: value for key, value in raw.items() if key != "attacks"}, **kept}
    faults += reference_faults(raw, origins)
    try:
        suite = Suite.model_validate(raw)
    except ValidationError as error:
        faults = [*_field_faults(error, origins, places), *faults]
    if faults:
        raise SuiteError(str(path), list(dict.fromkeys(faults)))  # sweeps repeat an entry's faults
    parts = (suite.models, suite.datasets, suite.attacks, suite.threats)
    if faults := list(pair_faults(*parts, places)):
        raise SuiteError(str(path), faults)
    return suite


def _field_faults(
    error: ValidationError, origins: dict[str, Origin], places: list[int]
) -> Iterator[str]:
    for item in error.errors():
        # pydantic puts validators and the matched tag of a union into the path
        keys = [str(key) for key in item["loc"] if not str(key).startswith(_VALIDATORS)]
        keys = list(_without_tags(keys))
        if keys[0] == "attacks" and len(keys) > 1:
            if keys[2:3] == ["attacks"] and keys[4:5] in (["eps"], ["norm"]):
                continue  # members have it from their ensemble, whose own fault is told
            keys[1] = str(places[int(keys[1])])
        origin = origins.get(keys[1]) if keys[0] == "models" and len(keys) > 1 else None
        path = origin.path(keys[2:]) if origin else ".".join(keys)
        match item["type"]:
            case "extra_forbidden":
                named = origin.path(keys[2:], value=False) if origin else path
                yield f"{named}: unknown key"
            case "missing" if origin and keys[2] in origin.swept:
                pass  # its values are at fault, which is told
            case "missing":
                yield f"{path}: missing"
            case "union_tag_invalid":
                context = item["ctx"]
                yield f"{path}.kind: got {context['tag']!r}; allowed: {context['expected_tags']}"
            case "union_tag_not_found":
                yield f"{path}: the key `kind` is missing"
            case "too_short" if item["input"]:
                pass  # entries with faults of their own are not counted
            case "too_short":
                yield f"{path}: is empty; at least one entry is needed"
            case _:
                given = item["input"]  # a text may be of any length, and is not said again then
                got = shown(given) if isinstance(given, str) and len(given) > _LONG else repr(given)
                yield f"{path}: got {got}; {item['msg']}"


def _without_tags(keys: list[str]) -> Iterator[str]:
    for index, key in enumerate(keys):
        is_tag = index == 2 and keys[0] in ("models", "datasets", "attacks")
        is_tag = is_tag or (index == 5 and keys[0] == keys[3] == "attacks")
        is_tag = is_tag or (index == 2 and keys[:2] == ["protocol", "judge"])
        is_branch = keys[0] == "protocol" and key in ("Pixels", "tuple")
        if not is_tag and not is_branch:
            yield key


class _UniqueKeyLoader(yaml.SafeLoader):
    """PyYAML's safe loader, which else keeps the last of two equal keys in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                raise yaml.constructor.ConstructorError(
                    None, None, f"a key must be a word, not {key!r}", key_node.start_mark
                )
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} appears twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)
