"""Datasets that are downloaded: which files they need, and where these lie afterwards."""

from dataclasses import replace
from pathlib import Path

from bench import catalogue
from bench.core.errors import CellError
from bench.data.folder import open_folder
from bench.data.split import Split, check_labels, choose_shards
from bench.data.webdataset import open_webdataset, shard_count
from bench.hub.files import HubFile, NoSuchFile, bring, find
from bench.suite.metrics import TASKS
from bench.suite.specs import HubDataset, TorchvisionDataset, task_of

_COUNT = "nshards.txt"


def hub_root(spec: HubDataset) -> Path:
    """Bring what describes a dataset, and return its folder in the hub's cache.

    The folder's name is the commit that the revision stands for; all files are of that commit.

    Raises:
        CellError: The hub cannot be reached, or the dataset is not in CLIP_benchmark's layout.
    """
    count = bring(HubFile(spec.repository, f"{spec.split}/{_COUNT}", spec.revision))
    root = count.parents[len(Path(spec.split).parts)]
    try:
        bring(HubFile(spec.repository, "classnames.txt", root.name))
    except NoSuchFile:
        if TASKS[task_of(spec)].labels == "classes":
            raise
        bring(HubFile(spec.repository, "dataset_type.txt", root.name))  # and captions
    else:
        bring(HubFile(spec.repository, "zeroshot_classification_templates.txt", root.name))
    return root


def hub_shards(spec: HubDataset, root: Path, seed: int) -> dict[int, HubFile]:
    """Return the archives that a subset needs, where what describes the dataset is here.

    Those are all of the split, or as many as `shards` says, chosen by the seed.
    """
    numbers = choose_shards(shard_count(root, spec.split), spec.shards, seed)
    return {n: HubFile(spec.repository, f"{spec.split}/{n}.tar", root.name) for n in numbers}


def open_hub(spec: HubDataset, seed: int) -> Split:
    """Bring what a subset needs, and read its keys and labels.

    Raises:
        CellError: It cannot be had, or is not what its name says.
    """
    root = hub_root(spec)
    shards = hub_shards(spec, root, seed)
    for file in shards.values():
        bring(file)
    split = open_webdataset(root, spec.split, tuple(shards))
    facts = catalogue.datasets().get(spec.name) if spec.repo is None else None
    return check_labels(
        replace(split, origin=f"{spec.repository}@{root.name}"),
        facts.classes if facts else None,
        whole=spec.split == "test" and len(shards) == shard_count(root, spec.split),
    )


def open_cached(spec: HubDataset) -> Split:
    """Read keys and labels of all shards in the hub's cache; asks no network.

    Raises:
        CellError: The dataset is not there.
    """
    root = cached_root(spec)
    if root is None:
        raise CellError(f"{spec.repository} is not in the hub's cache; run `fetch`")
    every = range(shard_count(root, spec.split))
    here = [number for number in every if (root / spec.split / f"{number}.tar").exists()]
    return check_labels(open_webdataset(root, spec.split, here))


def cached_root(spec: HubDataset) -> Path | None:
    """Return a dataset's folder in the hub's cache, or None where it is not there."""
    count = find(HubFile(spec.repository, f"{spec.split}/{_COUNT}", spec.revision))
    return count and count.parents[len(Path(spec.split).parts)]


def open_torchvision(spec: TorchvisionDataset, *, download: bool) -> Split:
    """Read keys and labels of a dataset of torchvision.

    Raises:
        CellError: It is not here and cannot be had.
    """
    folder = torchvision_folder(spec)
    if download:
        bring_torchvision(folder)
    elif not is_complete(folder):
        raise CellError(f"{folder} is missing or incomplete; run `fetch`")
    # torchvision's own class counts what lies directly in a class's folder, too
    split = open_folder(folder / "256_ObjectCategories", spec.name, nested=False)
    return check_labels(split, catalogue.datasets()[spec.name].classes)


def torchvision_folder(spec: TorchvisionDataset) -> Path:
    """Return where a dataset of torchvision lies or will lie."""
    return Path(spec.root) / spec.name


def is_complete(folder: Path) -> bool:
    """Return whether a dataset of torchvision was brought and unpacked to the end."""
    return (folder / _MARK).exists()


def bring_torchvision(folder: Path) -> None:
    """Download Caltech-256, check its MD5 and unpack it, unless that was done.

    An archive that was cut short fails its check and is downloaded anew; one that was being
    unpacked has no mark beside it, and is unpacked anew.

    Raises:
        CellError: It cannot be had.
    """
    if is_complete(folder):
        return
    from bench.core.torchvision_shim import ensure_torchvision

    ensure_torchvision()
    from torchvision.datasets.utils import download_and_extract_archive

    try:
        download_and_extract_archive(_CALTECH256, str(folder), md5=_CALTECH256_MD5)
    except (OSError, RuntimeError) as error:
        raise CellError(
            f"{_CALTECH256} could not be brought to {folder} ({error}); run again, or unpack the "
            f"archive there yourself and make the empty file {folder / _MARK}"
        ) from error
    (folder / _MARK).touch()


_MARK = ".complete"
# as torchvision.datasets.Caltech256 has them
_CALTECH256 = "https://data.caltech.edu/records/nyy15-4j048/files/256_ObjectCategories.tar"
_CALTECH256_MD5 = "67b4f42ca05d46448c6bb8ecd2220f6d"
