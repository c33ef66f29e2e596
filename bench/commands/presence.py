"""What a suite needs and has here already; asks no network and decodes nothing."""

from collections.abc import Iterator
from pathlib import Path

from bench import catalogue
from bench.core.errors import CellError
from bench.data.annotation_files import files_of
from bench.data.remote import cached_root, hub_shards, is_complete, torchvision_folder
from bench.data.webdataset import shard_paths
from bench.hub.files import find
from bench.hub.weights import hub_files
from bench.suite.load import Suite
from bench.suite.specs import (
    DatasetSpec,
    FolderDataset,
    HubDataset,
    LanguageDataset,
    ModelSpec,
    NanoDataset,
    TorchvisionDataset,
    WebDataset,
)
from bench.suite.specs.model_base import LocalFile, RepositoryFiles


def missing_data(spec: DatasetSpec, seed: int) -> str | None:
    """Return what a dataset lacks here, or None where all of it is here."""
    match spec:
        case NanoDataset():
            return None
        case HubDataset():
            return _missing_shards(spec, seed)
        case TorchvisionDataset():
            folder = torchvision_folder(spec)
            return None if is_complete(folder) else f"{folder} is missing or incomplete"
        case FolderDataset():
            return None if Path(spec.path).is_dir() else f"{spec.path}: no such dataset folder"
        case LanguageDataset():
            missing = [str(path) for path in files_of(spec) if not path.exists()]
            return f"{', '.join(missing)}: no such file or folder" if missing else None
        case WebDataset():
            try:
                shard_paths(Path(spec.path), spec.split)
            except CellError as error:
                return str(error)
            return None


def missing_weights(spec: ModelSpec) -> str | None:
    """Return what a model lacks here, or None. Tags of open_clip bring torch."""
    for path in _local_files(spec):
        if not path.exists():
            return f"{path}: no such file or folder; it is the suite's own"
    for alternatives in hub_files(spec):
        if not any(find(file) for file in alternatives):
            names = " or ".join(file.path for file in alternatives)
            return f"{alternatives[0].repo}: {names} is not in the hub's cache"
    return None


def download_line(suite: Suite) -> str:
    """Say how much data of a suite is still to be downloaded, as far as that is known."""
    sizes = {
        dataset.name: facts.megabytes if (facts := catalogue.datasets().get(dataset.name)) else None
        for dataset in suite.datasets
        if isinstance(dataset, HubDataset | TorchvisionDataset)
        and missing_data(dataset, suite.seed)
    }
    if not sizes:
        return "no data"
    known = sum(size for size in sizes.values() if size)
    unknown = sum(1 for size in sizes.values() if size is None)
    rest = f", and {unknown} of unknown size" if unknown else ""
    return f"{len(sizes)} datasets, about {known / 1000:.1f} GB{rest}; `fetch` tells exactly"


def _local_files(spec: ModelSpec) -> Iterator[Path]:
    """Yield the files and folders of this machine that a model comes from."""
    for source in spec.weight_sources():
        if isinstance(source, LocalFile):
            yield source.path
        elif isinstance(source, RepositoryFiles) and source.folder is not None:
            yield source.folder


def _missing_shards(spec: HubDataset, seed: int) -> str | None:
    root = cached_root(spec)
    if root is None:
        return f"{spec.repository} is not in the hub's cache"
    try:
        shards = hub_shards(spec, root, seed).values()
    except CellError as error:
        return str(error)
    missing = sum(1 for file in shards if find(file) is None)
    if missing == 0:
        return None
    return f"{missing} of {len(shards)} shards of {spec.repository} are missing"
