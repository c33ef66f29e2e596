"""Reads a suite from YAML and reports all its faults at once."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, ValidationError, field_validator, model_validator
from pydantic_core import PydanticCustomError

from bench.core.errors import SuiteError
from bench.core.identifiers import path_fault
from bench.core.shipped_files import named_suite
from bench.core.yaml_file import read_yaml
from bench.suite.applicability import applicability_faults, ranked_faults, sequential_faults
from bench.suite.field_faults import field_faults
from bench.suite.metrics import TASKS, metrics_of
from bench.suite.references import duplicates, reference_faults
from bench.suite.specs import (
    AnyAttack,
    AnyThreat,
    DatasetSpec,
    ExternalImages,
    ModelSpec,
    Name,
    Protocol,
    Spec,
    TaskName,
    expand_preset,
    task_of,
)
from bench.suite.specs.adaptive import surrogate_faults
from bench.suite.specs.base import UserPath, matching
from bench.suite.specs.model_names import list_faults, named_models
from bench.suite.specs.presets import expand_attacks, preset_faults
from bench.suite.sweep import Origin, expand_sweeps, sweep_faults

_MOST_CELLS = 5_000_000
_RESERVED = ("crafts", "judged")  # folders that all suites share: `bench.store.results_folder`
Count = Annotated[int, Field(ge=1, le=1_000_000_000)]  # of images
Seed = Annotated[int, Field(ge=-(2**63), le=2**63 - 1)]  # what a column of a table can hold


class Against(Spec):
    """A table of published numbers, with which `check` compares the suite.

    Attributes:
        file: A file that `bench.compare.published` reads, or the name of a table in
            results/published. Its models are compared with the suite's models of the same name.
        table: One table of the file; all of them by default.
    """

    file: UserPath
    table: str | None = None


class Until(Spec):
    """When an attacked cell has enough images: one of two rules.

    Attributes:
        width: Its 95% confidence sequence is at most this wide, as a fraction.
        ranked: The ranks of these models among each other are settled; `all` for all models.
    """

    width: Annotated[float, Field(gt=0, lt=1)] | None = None
    ranked: Literal["all"] | Annotated[tuple[Name, ...], Field(min_length=2)] | None = None

    @property
    def rule(self) -> dict[str, Any]:
        """The rule with its setting."""
        return self.model_dump(exclude_none=True)

    @model_validator(mode="after")
    def _is_one_rule(self) -> Self:
        if (self.width is None) == (self.ranked is None):
            raise PydanticCustomError("until", "needs either `width` or `ranked`")
        return self


class SequentialSamples(Spec):
    """Images that are attacked in random order until a cell has enough.

    Attributes:
        most: Largest number of images per dataset; a smaller dataset is used whole.
        until: When a cell stops before.
    """

    most: Count
    until: Until


class Suite(Spec):
    """Models x datasets x (clean + attacks x budgets x threats), under one protocol.

    Attributes:
        suite: Name of the suite and of its results folder.
        protocol: Image size, prompts, and other settings that all models share.
        samples: Number of images per dataset; a smaller dataset is used whole. Or the largest
            number, and when a cell stops before.
        seed: Seed of the sample of images, and of all attacks unless `seeds` is given.
        seeds: Seeds of the attacks; each attack runs once per seed.
        models: Models by their names in tables.
        datasets: Datasets, in the order of tables.
        attacks: Attacks, each at one or more radii in one norm.
        threats: Threat models; each attack runs under each of them, except given images.
        against: Published numbers that the suite reproduces, for `check`.
        note: A warning for readers, shown on the page, in `plan` and in the manifest.
    """

    suite: Annotated[
        str, matching(r"[A-Za-z0-9][\w.-]{0,79}", "up to 80 letters, digits, `.`, `_` and `-`")
    ]
    protocol: Annotated[Protocol, BeforeValidator(expand_preset)]
    samples: Count | SequentialSamples
    seed: Seed = 0
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1)] | None = None
    models: Annotated[dict[Name, ModelSpec], Field(min_length=1)]
    datasets: Annotated[tuple[DatasetSpec, ...], Field(min_length=1)]
    attacks: Annotated[tuple[AnyAttack, ...], Field(min_length=1)] = ()
    threats: Annotated[tuple[AnyThreat, ...], Field(min_length=1)] = ()
    against: Against | None = None
    note: Annotated[str, Field(min_length=1, max_length=300)] | None = None

    def as_json(self) -> str:
        """Return the suite as a file that `load_suite` reads.

        A preset of a protocol may name datasets that the suite lacks; they are left out. A file has
        no empty list of attacks or threat models.
        """
        names = {dataset.name for dataset in self.datasets}
        kept = {
            key: tuple(name for name in getattr(self.protocol, key) if name in names)
            for key in ("native", "squash")
        }
        protocol = self.protocol.model_copy(update=kept)
        empty = {key for key in ("attacks", "threats") if not getattr(self, key)}
        whole = self.model_copy(update={"protocol": protocol})
        return whole.model_dump_json(indent=1, exclude=empty)

    @property
    def most_samples(self) -> int:
        """Largest number of images per dataset."""
        return self.samples if isinstance(self.samples, int) else self.samples.most

    @property
    def until(self) -> Until | None:
        """When an attacked cell stops before it has all images; None if it never does."""
        return None if isinstance(self.samples, int) else self.samples.until

    @property
    def compared(self) -> tuple[str, ...]:
        """Names of the models whose ranks decide how many images there are."""
        ranked = self.until.ranked if self.until else None
        return tuple(self.models) if ranked == "all" else ranked or ()

    @property
    def attack_seeds(self) -> tuple[int, ...]:
        """Seeds of the attacks."""
        return self.seeds or (self.seed,)

    @property
    def uses_judge(self) -> bool:
        """Whether any metric uses a judge."""
        return any(metric.judged for dataset in self.datasets for metric in metrics_of(dataset))

    def dataset(self, name: str) -> DatasetSpec:
        """Return the suite's dataset with a name."""
        return next(entry for entry in self.datasets if entry.name == name)

    @field_validator("suite")
    @classmethod
    def _names_a_folder(cls, suite: str) -> str:
        if suite.lower() in _RESERVED:
            raise PydanticCustomError(
                "suite", "the name of a folder that all suites share; choose another name"
            )
        if why := path_fault(suite):
            raise PydanticCustomError("suite", "it {why}", {"why": why})
        return suite

    @field_validator("seeds")
    @classmethod
    def _are_distinct(cls, seeds: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if seeds and len(set(seeds)) < len(seeds):
            raise PydanticCustomError("seeds", "a seed appears twice; each may appear once")
        return seeds

    @field_validator("datasets")
    @classmethod
    def _have_one_task(cls, datasets: tuple[DatasetSpec, ...]) -> tuple[DatasetSpec, ...]:
        tasks: dict[TaskName, list[str]] = {}
        for entry in datasets:
            tasks.setdefault(task_of(entry), []).append(entry.name)
        if len(tasks) > 1:
            parts = (
                f"{', '.join(names)} ({TASKS[task].scored_by})" for task, names in tasks.items()
            )
            raise PydanticCustomError(
                "tasks",
                "numbers of different tasks have no mean, so each task needs its own suite: "
                "{parts}",
                {"parts": "; ".join(parts)},
            )
        return datasets


def load_suite(path: str | Path) -> Suite:
    """Read and check a suite.

    A list of models becomes a mapping, a model with `sweep` one model per combination, and an
    attack with `preset` the preset's attacks. Relative paths in the file (checkpoints, datasets,
    anchors) start at the file's folder or, failing that, at the working folder
    (`bench.core.suite_paths`). Modules of `kind: python` are looked for in both, too.

    Args:
        path: The suite's file, or the name of a shipped suite.

    Raises:
        SuiteError: The file cannot be read, or has faults; all are listed.
    """
    path = named_suite(str(path)).path
    raw = read_yaml(path)
    if not isinstance(raw, dict):
        raise SuiteError(str(path), ["a mapping is needed, with the key `suite` and others"])
    faults: list[str] = []
    origins: dict[str, Origin] = {}
    if isinstance(declared := raw.get("models"), dict | list):
        models, origins, faults = _expanded_models(declared)
        raw = {**raw, "models": models}
    places: list[int] = []
    if isinstance(listed := raw.get("attacks"), list):
        faults += preset_faults(listed)
        faults += surrogate_faults(listed, origins)
        attacks = list(expand_attacks(listed))
        places = [place for place, _ in attacks]
        # Invalid presets may leave the list empty; they are reported, and the list is not.
        kept = {"attacks": [entry for _, entry in attacks]} if attacks or not listed else {}
        raw = {**{key: value for key, value in raw.items() if key != "attacks"}, **kept}
    faults += reference_faults(raw, origins)
    try:
        suite = Suite.model_validate(raw, context={"folder": path.absolute().parent})
    except ValidationError as error:
        faults = [*field_faults(error, Suite, origins, places), *faults]
    if faults:
        # each model of a sweep repeats the faults of its entry
        raise SuiteError(str(path), list(dict.fromkeys(faults)))
    if (number := _number_of_cells(suite)) > _MOST_CELLS:
        raise SuiteError(str(path), [f"has up to {number:,} cells; allowed: {_MOST_CELLS:,}"])
    parts = (suite.models, suite.datasets, suite.attacks, suite.threats)
    faults = list(applicability_faults(*parts, places))
    if suite.until:
        faults += sequential_faults(suite.datasets, suite.attacks, suite.attack_seeds, places)
        faults += ranked_faults(suite.models, suite.attacks, suite.compared)
    if faults:
        raise SuiteError(str(path), faults)
    return suite


def _expanded_models(
    declared: dict[Any, Any] | list[Any],
) -> tuple[dict[Any, Any], dict[str, Origin], list[str]]:
    """Return the models that a mapping or list declares, their origins by name, and the faults."""
    if isinstance(declared, list):
        entries, faults = list(named_models(declared)), list(list_faults(declared))
    else:
        entries = [(name, entry, str(name)) for name, entry in declared.items()]
        faults = []
    found = [
        (name, entry, replace(origin, name=place))
        for given, value, place in entries
        for name, entry, origin in expand_sweeps({given: value})
    ]
    faults += sweep_faults({place: entry for _, entry, place in entries})
    faults += duplicates("models", [str(name) for name, _, _ in found])
    models = {name: entry for name, entry, _ in found}
    return models, {str(name): origin for name, _, origin in found}, faults


def _number_of_cells(suite: Suite) -> int:
    """Return the number of cells, each with one metric."""
    each = len(suite.threats) * len(suite.attack_seeds)
    attacked = sum(
        len(attack.eps) * (1 if isinstance(attack, ExternalImages) else each)
        for attack in suite.attacks
    )
    return len(suite.models) * len(suite.datasets) * (1 + attacked)
