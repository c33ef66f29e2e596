"""Datasets: embedded, of the hub, of torchvision, or files and folders of the user's own."""

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from bench import catalogue
from bench.suite.specs.base import Dataset, Name, RelativePath, Repository, UserPath
from bench.suite.specs.embedded_names import EMBEDDED, EMBEDDED_SUBSET, EmbeddedName
from bench.suite.specs.language_datasets import LanguageDataset

ArchiveTask = Literal["classification", "retrieval"]
TaskName = ArchiveTask | Literal["answering", "captioning"]


class NanoDataset(Dataset):
    """One of the embedded test sets."""

    kind: Literal["nano"] = "nano"
    name: EmbeddedName

    @property
    def deviation(self) -> str:
        """Say that it is a part of the published set."""
        return EMBEDDED_SUBSET


class HubDataset(Dataset):
    """A dataset of the Hugging Face hub in CLIP_benchmark's webdataset layout.

    `repo` is not needed for those of the catalogue, whose `task` is known too. `revision` is a
    branch, a tag or a commit. `shards` reads only so many of the split's shards, as the seed
    chooses.
    """

    has_own_class_names: ClassVar[bool] = True

    kind: Literal["hub"]
    name: Name
    repo: Repository | None = None
    revision: RelativePath = "main"
    split: RelativePath = "test"
    task: ArchiveTask = "classification"
    shards: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _is_known(self) -> Self:
        if self.repo is None and self.name not in catalogue.names_by_repo().values():
            elsewhere = "" if self.name not in catalogue.datasets() else _ELSEWHERE
            allowed = ", ".join(catalogue.names_by_repo().values())
            raise PydanticCustomError(
                "repo",
                "no copy on the hub is known{elsewhere}; known: {allowed}; others need `repo`",
                {"elsewhere": elsewhere, "allowed": allowed},
            )
        return self

    @property
    def repository(self) -> str:
        """The repository, `owner/name`."""
        return self.repo or str(catalogue.datasets()[self.name].repo)

    @property
    def deviation(self) -> str:
        """Name another copy than the catalogue's, a part of the shards, and another split."""
        facts = catalogue.datasets().get(self.name)
        known = facts.repo if facts else None
        copy = f"the copy {self.repository}" if self.repository != known else ""
        shards = f"{self.shards} of its shards" if self.shards is not None else ""
        return ", ".join(filter(None, (copy, shards, _split_deviation(self.split))))

    def remarks(self) -> Iterator[str]:
        """Warn of a few shards of a dataset whose shards are sorted by class."""
        facts = catalogue.datasets().get(self.name)
        if self.shards and facts and facts.order == "class":
            yield (
                f"datasets.{self.name}: its shards are sorted by class, and {self.shards} of them "
                f"hold few of the {facts.classes} classes; without `shards` all are drawn"
            )


class TorchvisionDataset(Dataset):
    """A dataset that torchvision downloads, into a folder of `root`."""

    kind: Literal["torchvision"]
    name: Literal["caltech256"]
    root: UserPath = "data/torchvision"


class WebDataset(Dataset):
    """A folder in CLIP_benchmark's webdataset layout.

    `task: retrieval` is one of images with captions (`dataset_type.txt` says so there).
    """

    has_own_class_names: ClassVar[bool] = True

    kind: Literal["webdataset"]
    name: Name
    path: UserPath
    split: RelativePath = "test"
    task: ArchiveTask = "classification"

    @property
    def deviation(self) -> str:
        """Name another split than the one that papers measure."""
        return _split_deviation(self.split)


class FolderDataset(Dataset):
    """A folder with one folder of images per class, as torchvision's ImageFolder reads."""

    kind: Literal["folder"]
    name: Name
    path: UserPath


def _split_deviation(split: str) -> str:
    return f"the split {split}" if split != _MEASURED else ""


_MEASURED = "test"  # where CLIP_benchmark keeps what is measured, ImageNet's validation set too
_ELSEWHERE = " (`torchvision/caltech256` has one, `kind: folder` reads the other)"


def expand_dataset(value: Any) -> Any:
    """Turn a name into what it stands for.

    `wds/NAME` is CLIP_benchmark's name of a dataset on the hub, `torchvision/NAME` one that
    torchvision downloads, and any other an embedded set.
    """
    if not isinstance(value, str):
        return value
    source, _, rest = value.partition("/")
    if source == "wds" and rest:
        repo = f"clip-benchmark/wds_{rest.replace('/', '-')}"
        known = catalogue.names_by_repo().get(repo)
        named = {"name": known} if known else {"name": rest.rpartition("/")[2], "repo": repo}
        return {"kind": "hub", **named}
    if source == "torchvision" and rest:
        return {"kind": "torchvision", "name": rest}
    return {"kind": "nano", "name": value}


def _expand_known(value: Any) -> Any:
    """Expand a name; one that is neither embedded nor says where it is from is a fault."""
    sourced = isinstance(value, str) and value.startswith(("wds/", "torchvision/"))
    if isinstance(value, str) and not sourced and value not in EMBEDDED:
        raise PydanticCustomError(
            "dataset",
            "embedded: {embedded}; on the hub: {hub}; of torchvision: torchvision/caltech256",
            {
                "embedded": ", ".join(EMBEDDED),
                "hub": ", ".join(map(_wds_name, catalogue.names_by_repo())),
            },
        )
    return expand_dataset(value)


def _wds_name(repo: str) -> str:
    return f"wds/{repo.partition('wds_')[2].replace('vtab-', 'vtab/')}"


def task_of(spec: "DatasetSpec") -> TaskName:
    """Return what a dataset's images are scored by: classes, captions, or what is said of them."""
    if isinstance(spec, LanguageDataset):
        # V-Attack's captions are scored by the object that they name
        captioned = spec.question_type == "caption" and spec.format != "v-attack"
        return "captioning" if captioned else "answering"
    if isinstance(spec, HubDataset) and spec.repo is None:
        return catalogue.datasets()[spec.name].task
    return spec.task if isinstance(spec, HubDataset | WebDataset) else "classification"


DatasetSpec = Annotated[
    Annotated[
        NanoDataset
        | HubDataset
        | TorchvisionDataset
        | WebDataset
        | FolderDataset
        | LanguageDataset,
        Field(discriminator="kind"),
    ],
    BeforeValidator(_expand_known),
]
