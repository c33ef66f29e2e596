"""Specs of datasets: embedded sets, datasets of the hub or torchvision, and local folders."""

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from bench import catalogue
from bench.catalogue.clip_benchmark_names import wds_name
from bench.catalogue.embedded_names import EMBEDDED, EMBEDDED_SUBSET, EmbeddedName
from bench.core.suggestions import suggestion
from bench.suite.specs.base import Dataset, Name, RelativePath, Repository, UserPath
from bench.suite.specs.language_datasets import LanguageDataset

ArchiveTask = Literal["classification", "retrieval"]
Column = Annotated[str, Field(min_length=1, max_length=80)]
TaskName = ArchiveTask | Literal["answering", "captioning"]


class NanoDataset(Dataset):
    """An embedded test set."""

    kind: Literal["nano"] = "nano"
    name: EmbeddedName

    @property
    def deviation(self) -> str:
        """Return that the images are a subset of the published ones."""
        return EMBEDDED_SUBSET


class HubDataset(Dataset):
    """A dataset of the Hugging Face hub in CLIP_benchmark's webdataset layout.

    Attributes:
        name: Name in tables; for a dataset of the catalogue, its name there.
        repo: Repository of the hub; not needed for a dataset of the catalogue.
        revision: A branch, a tag or a commit.
        split: The split that is measured.
        task: Not needed for a dataset of the catalogue.
        shards: Number of the split's shards that are read, chosen by the suite's seed; all by
            default.
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
    def _has_repository(self) -> Self:
        if self.repo is None and self.name not in catalogue.names_by_repo().values():
            elsewhere = "" if self.name not in catalogue.datasets() else _ELSEWHERE
            allowed = ", ".join(catalogue.names_by_repo().values())
            raise PydanticCustomError(
                "repo",
                "the catalogue has no repository for it{elsewhere}; give `repo`, or name one of: "
                "{allowed}",
                {"elsewhere": elsewhere, "allowed": allowed},
            )
        return self

    @property
    def repository(self) -> str:
        """The repository, `owner/name`."""
        return self.repo or str(catalogue.datasets()[self.name].repo)

    @property
    def deviation(self) -> str:
        """Return how repository, shards and split differ from the catalogue's."""
        facts = catalogue.datasets().get(self.name)
        published = facts.repo if facts else None
        copy = f"the copy {self.repository}" if self.repository != published else ""
        shards = f"{self.shards} of its shards" if self.shards is not None else ""
        return ", ".join(filter(None, (copy, shards, _split_deviation(self.split))))

    def remarks(self) -> Iterator[str]:
        """Yield a warning if only a few shards are read and they are sorted by class."""
        facts = catalogue.datasets().get(self.name)
        if self.shards and facts and facts.order == "class":
            yield (
                f"datasets.{self.name}: its shards are sorted by class, so {self.shards} of them "
                f"contain few of the {facts.classes} classes; remove `shards` to sample from all"
            )


class TorchvisionDataset(Dataset):
    """A dataset that torchvision downloads into the folder `root`."""

    kind: Literal["torchvision"]
    name: Literal["caltech256"]
    root: UserPath = "data/torchvision"


class WebDataset(Dataset):
    """A local folder in CLIP_benchmark's webdataset layout.

    Attributes:
        name: Name in tables.
        path: The folder.
        split: The split that is measured.
        task: `retrieval` for images with captions, where the file `dataset_type.txt` says so.
    """

    has_own_class_names: ClassVar[bool] = True

    kind: Literal["webdataset"]
    name: Name
    path: UserPath
    split: RelativePath = "test"
    task: ArchiveTask = "classification"

    @property
    def deviation(self) -> str:
        """Return the split, if papers measure another."""
        return _split_deviation(self.split)


class FolderDataset(Dataset):
    """A local folder with one folder of images per class, as for torchvision's ImageFolder."""

    kind: Literal["folder"]
    name: Name
    path: UserPath


class TableDataset(Dataset):
    """A list or table of images with labels: text, CSV, Parquet, or saved by `datasets`.

    Attributes:
        name: Name in tables; a dataset of the catalogue gets its prompts.
        path: A list (.txt, .csv, .tsv); a Parquet file or a folder with such files; or a folder
            that `save_to_disk` of Hugging Face's `datasets` wrote.
        images: Folder that the paths in a list start from; the list's folder by default.
        split: Split of a folder that has several.
        image: Column of the images; by default the first of two in a list, and the only column of
            images in other tables.
        label: Column of the labels; by default the second of two in a list, else `label`.
        classes: File with a class name per line, for labels that are numbers (in their order) or
            names.
        order: Order in which the labels count ImageNet's classes: `wordnet` (0 to 999, sorted
            WordNet ids) or `devkit` (1 to 1000, ILSVRC2012_ID). Not needed for a list with the
            first ten images of the validation set, which show it.
    """

    has_own_class_names: ClassVar[bool] = True

    kind: Literal["table"]
    name: Name
    path: UserPath
    images: UserPath | None = None
    split: RelativePath | None = None
    image: Column | None = None
    label: Column | None = None
    classes: UserPath | None = None
    order: Literal["wordnet", "devkit"] | None = None

    @property
    def is_list(self) -> bool:
        """Whether the file has paths of images, and not the images themselves."""
        return self.path.lower().endswith(_LISTS)

    @model_validator(mode="after")
    def _has_keys_of_file(self) -> Self:
        unused: tuple[str, ...] = ("split",) if self.is_list else ("images",)
        if self.path.lower().endswith(".txt"):
            unused = (*unused, "image", "label")
        if self.classes is not None:
            unused = (*unused, "order")
        given = [key for key in unused if getattr(self, key) is not None]
        if given:
            raise PydanticCustomError(
                "keys",
                "not used for this path, or together with `classes`: {given}",
                {"given": ", ".join(given)},
            )
        return self


def _split_deviation(split: str) -> str:
    return f"the split {split}" if split != _PUBLISHED_SPLIT else ""


_LISTS = (".txt", ".csv", ".tsv")
_PUBLISHED_SPLIT = "test"  # also of ImageNet, whose validation set CLIP_benchmark calls `test`
# Caltech-256 and Tiny ImageNet are the two datasets of the catalogue without a repository.
_ELSEWHERE = " (use `torchvision/caltech256`, or `kind: folder` for tiny-imagenet)"


def expand_dataset(value: Any) -> Any:
    """Return the entry of a dataset that is given by its name only; other values as they are.

    `wds/NAME` is CLIP_benchmark's name of a dataset on the hub, `torchvision/NAME` a dataset that
    torchvision downloads, and any other name an embedded set.
    """
    if not isinstance(value, str):
        return value
    source, _, rest = value.partition("/")
    if source == "wds" and rest:
        repo = f"clip-benchmark/wds_{rest.replace('/', '-')}"
        name = catalogue.names_by_repo().get(repo)
        fields = {"name": name} if name else {"name": rest.rpartition("/")[2], "repo": repo}
        return {"kind": "hub", **fields}
    if source == "torchvision" and rest:
        return {"kind": "torchvision", "name": rest}
    return {"kind": "nano", "name": value}


def _expand_known(value: Any) -> Any:
    """Expand a name; raise a fault for a name without source that is not an embedded set."""
    has_source = isinstance(value, str) and value.startswith(("wds/", "torchvision/"))
    if isinstance(value, str) and not has_source and value not in EMBEDDED:
        on_hub = [wds_name(repo) for repo in catalogue.names_by_repo()]
        raise PydanticCustomError(
            "dataset",
            "allowed: embedded: {embedded}; on the hub: {hub}; of torchvision: "
            "torchvision/caltech256{near}",
            {
                "embedded": ", ".join(EMBEDDED),
                "hub": ", ".join(on_hub),
                "near": suggestion(value, (*EMBEDDED, *on_hub)),
            },
        )
    return expand_dataset(value)


def task_of(spec: "DatasetSpec") -> TaskName:
    """Return the name of a dataset's task."""
    if isinstance(spec, LanguageDataset):
        # V-Attack's captions are scored by the object that they name, not by CIDEr.
        is_captioning = spec.question_type == "caption" and spec.format != "v-attack"
        return "captioning" if is_captioning else "answering"
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
        | TableDataset
        | LanguageDataset,
        Field(discriminator="kind"),
    ],
    BeforeValidator(_expand_known),
]
