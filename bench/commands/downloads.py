"""Bring a suite's models and data ahead of time: first how much, then the files themselves.

What has come whole stays, so that a fetch that was stopped goes on where it was.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from bench.catalogue.repository_layouts import SHARD_INDEX
from bench.core.errors import CellError, UserError
from bench.core.locks import Lock
from bench.data.source_kinds import source_of
from bench.hub.download import Download, hub_download
from bench.hub.files import HubFile, unreachable
from bench.hub.weights import hub_files
from bench.plan.resolve import resolve
from bench.suite.load import Suite
from bench.suite.specs import ModelSpec


@dataclass(frozen=True, slots=True)
class Want:
    """One file that a suite needs, and the key path of what needs it: `datasets.NAME`, say."""

    key: str
    file: Download


@dataclass(frozen=True, slots=True)
class Wants:
    """What a suite needs, and by key path what cannot be had, with the reason."""

    files: tuple[Want, ...]
    problems: dict[str, str]

    @property
    def left(self) -> int:
        """Bytes that are still to come."""
        return sum(want.file.left for want in self.files)


class Watcher:
    """Is told how a fetch goes; this one does not care."""

    def begin(self, wants: Wants) -> None:
        """How much there is to bring is known."""

    def starting(self, want: Want) -> None:
        """A file begins."""

    def arrived(self, count: int) -> None:
        """So many bytes have come; fewer than none where a server made a file begin again."""


def wanted(suite: Suite) -> Wants:
    """Ask the hub for the sizes of all that a suite needs; brings small texts only."""
    found: dict[str, Want] = {}
    problems: dict[str, str] = {}
    needs = {
        **{
            f"datasets.{d.name}": partial(source_of(d).downloads, suite.seed)
            for d in suite.datasets
        },
        **{f"models.{name}": partial(_of_model, spec) for name, spec in suite.models.items()},
    }
    for key, find in needs.items():
        try:
            found |= {file.name: Want(key, file) for file in find()}
        except CellError as error:
            problems[key] = str(error)
    return Wants(tuple(found.values()), problems)


def _of_model(spec: ModelSpec) -> Iterator[Download]:
    seen: set[tuple[HubFile, ...]] = set()
    while missing := [each for each in hub_files(spec) if each not in seen]:
        for alternatives in missing:
            file = hub_download(*alternatives)
            if file.name.endswith(SHARD_INDEX):  # it names further files
                file.fetch(lambda _: None)
                file = replace(file, left=0)
            yield file
        seen.update(missing)


def fetch(suite: Suite, watcher: Watcher) -> tuple[Lock, dict[str, str]]:
    """Bring all that a suite needs, and resolve its names as a run does.

    Returns:
        The lock, and by key path the reasons of what could not be had.

    Raises:
        UserError: The hub cannot be asked, or the disk is too small for what is to come.
    """
    wants = wanted(suite)
    if wants.problems and (reason := unreachable()):
        raise UserError(
            f"{reason}, and these are not here: {', '.join(wants.problems)}; see to the network, "
            "to HTTPS_PROXY or to HF_ENDPOINT for a mirror, or copy the hub's cache from elsewhere"
        )
    watcher.begin(wants)
    _check_space(wants)
    problems = dict(wants.problems)
    for want in wants.files:
        if want.file.left and want.key not in problems:  # one reason per dataset or model is enough
            watcher.starting(want)
            try:
                want.file.fetch(watcher.arrived)
            except CellError as error:
                problems[want.key] = str(error)
    lock, unresolved = resolve(suite)
    return lock, {**unresolved, **problems}


def _check_space(wants: Wants) -> None:
    """Raise UserError unless every disk has room for what comes onto it."""
    needed: dict[int, tuple[Path, int]] = {}
    for want in wants.files:
        place = want.file.folder
        folder = next(path for path in (place, *place.parents) if path.exists())
        disk = folder.stat().st_dev
        needed[disk] = folder, needed.get(disk, (folder, 0))[1] + want.file.left
    for folder, size in needed.values():
        free = shutil.disk_usage(folder).free
        if size > free:
            raise UserError(
                f"{folder}: {in_bytes(free)} are free, {in_bytes(size)} are to come; free some, "
                "or set HF_HOME to a folder on a larger disk"
            )


def in_bytes(count: int) -> str:
    """Return a number of bytes as a reader wants it."""
    for unit, size in (("GB", 1e9), ("MB", 1e6)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count / 1e3:.1f} kB"
