"""Downloads a suite's models and data: first the sizes, then the files.

Complete files are kept, so that a stopped fetch continues with the next file.
"""

import shutil
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from bench.catalogue.repository_layouts import INDEX
from bench.catalogue.weight_sources import HasWeights
from bench.core.errors import MALFORMED, CellError, UserError
from bench.core.resolved_names import Lock
from bench.data.source_kinds import source_of
from bench.hub.download import Download, hub_download
from bench.hub.files import HubFile, NoSuchFile, unreachable
from bench.hub.weights import check_before_download, hub_files, weight_files
from bench.plan.resolve import judge_weights, resolve
from bench.suite.load import Suite
from bench.suite.specs import TransformersJudge

# ends of the names of small files that tell which further files are needed
_NAMES_OTHERS = (INDEX, "config.json", "vocab.json")


@dataclass(frozen=True, slots=True)
class NeededFile:
    """A file that a suite needs.

    Attributes:
        key: Key path of the dataset or model that needs it, such as `datasets.NAME`.
        file: The file.
    """

    key: str
    file: Download


@dataclass(frozen=True, slots=True)
class NeededFiles:
    """All files that a suite needs.

    Attributes:
        files: The files, also those that are already here.
        problems: Reasons why files cannot be downloaded, by key path of their dataset or model.
        absent: Those key paths whose files the hub lacks, or are not here if it is unreachable.
    """

    files: tuple[NeededFile, ...]
    problems: dict[str, str]
    absent: tuple[str, ...]

    @property
    def left(self) -> int:
        """Number of bytes that are not yet here."""
        return sum(needed.file.left for needed in self.files)


class FetchWatcher:
    """Receives the progress of a fetch; this base class ignores it."""

    def begin(self, needed: NeededFiles) -> None:
        """Called once all files and sizes are known."""

    def file_started(self, needed: NeededFile) -> None:
        """Called before a file is downloaded."""

    def bytes_received(self, count: int) -> None:
        """Called after a part of a file is downloaded.

        Args:
            count: Number of bytes. Negative if the server made a file start again.
        """


def needed_files(suite: Suite, keys: Collection[str] | None = None) -> NeededFiles:
    """Return all files that a suite needs, with their sizes from the hub.

    It downloads no file but the configurations and indices that name further files. A model that
    cannot be loaded is a problem, and none of its weights are listed.

    Args:
        suite: The suite.
        keys: Key paths of the datasets, models and judge that are asked for; all if None.
    """
    found: dict[str, NeededFile] = {}
    problems: dict[str, str] = {}
    absent: list[str] = []
    needs = {
        **{
            f"datasets.{d.name}": partial(source_of(d).downloads, suite.seed)
            for d in suite.datasets
        },
        **{f"models.{name}": partial(_of_model, spec) for name, spec in suite.models.items()},
        **{key: partial(_of_judge, judge) for key, judge in _judges(suite).items()},
    }
    for key, find in needs.items():
        if keys is not None and key not in keys:
            continue
        try:
            found |= {file.name: NeededFile(key, file) for file in find()}
        except MALFORMED as error:
            problems[key] = str(error) or type(error).__name__
            absent += [key] if isinstance(error, NoSuchFile) else []
    return NeededFiles(tuple(found.values()), problems, tuple(absent))


def _judges(suite: Suite) -> dict[str, TransformersJudge]:
    """Return the judge by its key path, if it is a model on this machine that the suite uses."""
    judge = suite.protocol.judge
    if isinstance(judge, TransformersJudge) and suite.uses_judge:
        return {"protocol.judge": judge}
    return {}


def _of_judge(judge: TransformersJudge) -> Iterator[Download]:
    judge_weights(judge)  # checks the name
    yield from _of_model(judge)


def _of_model(spec: HasWeights) -> Iterator[Download]:
    check_before_download(spec)
    seen: set[tuple[HubFile, ...]] = set()
    while missing := [each for each in hub_files(spec) if each not in seen]:
        for alternatives in missing:
            file = hub_download(*alternatives)
            if file.name.endswith(_NAMES_OTHERS):
                file.fetch(lambda _: None)
                file = replace(file, left=0)
            yield file
        seen.update(missing)


def fetch(suite: Suite, watcher: FetchWatcher) -> tuple[Lock, dict[str, str]]:
    """Download all that a suite needs, and resolve its names as a run does.

    Args:
        suite: The suite.
        watcher: Receives the progress.

    Returns:
        The lock, and the reasons of failed downloads by key path.

    Raises:
        UserError: The hub is unreachable, or the disk is too small for the download.
    """
    needed = needed_files(suite)
    if needed.absent and (reason := unreachable()):
        raise UserError(
            f"{reason}, and these are not here: {', '.join(needed.absent)}; check the network "
            "and HTTPS_PROXY, set HF_ENDPOINT to a mirror, or copy the hub's cache from another "
            "machine"
        )
    watcher.begin(needed)
    _check_space(needed)
    problems = dict(needed.problems)
    for each in needed.files:
        # after a failure, the other files of the same dataset or model are useless
        if each.file.left and each.key not in problems:
            watcher.file_started(each)
            try:
                each.file.fetch(watcher.bytes_received)
            except CellError as error:
                problems[each.key] = str(error)
    lock, unresolved = resolve(suite)
    for key, judge in _judges(suite).items():
        try:
            weight_files(judge)  # also files that not every judge has, such as its chat template
        except CellError as error:
            problems.setdefault(key, str(error))
    return lock, {**unresolved, **problems}


def _check_space(needed: NeededFiles) -> None:
    """Raise UserError if a disk has too little space for the download."""
    by_disk: dict[int, tuple[Path, int]] = {}  # a folder on the disk, and the bytes to download
    for each in needed.files:
        place = each.file.folder
        folder = next(path for path in (place, *place.parents) if path.exists())
        disk = folder.stat().st_dev
        by_disk[disk] = folder, by_disk.get(disk, (folder, 0))[1] + each.file.left
    for folder, size in by_disk.values():
        free = shutil.disk_usage(folder).free
        if size > free:
            raise UserError(
                f"{folder}: {format_bytes(free)} are free, but the download needs "
                f"{format_bytes(size)}; free some space, or set HF_HOME to a folder on a larger "
                "disk"
            )


def format_bytes(count: int) -> str:
    """Return a number of bytes with a unit: `4.2 GB`, `3.1 MB`, `0.5 kB`."""
    for unit, size in (("GB", 1e9), ("MB", 1e6)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count / 1e3:.1f} kB"
