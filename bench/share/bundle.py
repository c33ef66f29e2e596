"""A suite's results in one zip, to be sent to others; and such a zip read with suspicion.

    bundle.json         format, suite, and the versions of identities, attacks, metrics and tasks
    suite.json          the suite
    lock.json           what its names stood for
    results.jsonl       one result a line, image by image
    cells.csv, leaderboard.csv, manifest.json, environment.json
    check.csv           beside published numbers, where the suite names any

Nothing is ever unpacked to disk: members are read by these names, up to a size.
"""

import importlib.metadata
import json
import platform
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from tempfile import TemporaryFile

from pydantic import TypeAdapter, ValidationError

from bench.compare.published_table import check
from bench.core.errors import UserError
from bench.core.identifiers import shown
from bench.core.locks import Lock
from bench.core.types import CellResult
from bench.plan.identity import IDENTITY_FORM
from bench.plan.versions import versions_of
from bench.store.portable_records import first_fault, read_result, result_line
from bench.store.reading import MAX_FILE_BYTES
from bench.store.results_folder import write_atomically
from bench.store.snapshot import Results

FORMAT = 1
TABLES = ("cells.csv", "leaderboard.csv", "manifest.json")
CHECK = "check.csv"
_HEAD, _SUITE, _LOCK, _RESULTS = "bundle.json", "suite.json", "lock.json", "results.jsonl"
_ENVIRONMENT = "environment.json"
_KNOWN = (_HEAD, _SUITE, _LOCK, _RESULTS, _ENVIRONMENT, *TABLES, CHECK)
MAX_RESULTS_BYTES = 1 << 30  # bytes of all results: some 40,000 cells of 1,000 images
_LOCKS: TypeAdapter[Lock] = TypeAdapter(Lock)
_VERSIONS: TypeAdapter[dict[str, int]] = TypeAdapter(dict[str, int])
_DATE = (1980, 1, 1, 0, 0, 0)  # none, so that equal results are equal bytes


@dataclass(frozen=True, slots=True)
class Bundle:
    """What a bundle has of a suite.

    Attributes:
        suite: Name of the suite.
        lock: What names stood for.
        results: By cell.
        versions: Of the attacks, metrics and tasks that its numbers depend on
            (`bench.plan.versions`); 1 where one is missing.
    """

    suite: str
    lock: Lock
    results: dict[str, CellResult]
    versions: dict[str, int]


def write_bundle(results: Results, path: Path) -> None:
    """Write what is stored of a suite, whose tables have been exported, as a zip.

    Raises:
        UserError: The published numbers that the suite names cannot be read, or a result has a
            value that no bundle may have.
    """
    suite, store = results.suite, results.store
    names: tuple[str, ...] = TABLES
    if suite.against is not None:
        check(results, None)
        names = (*TABLES, CHECK)
    head = {
        "format": FORMAT,
        "suite": suite.suite,
        "protocol": IDENTITY_FORM,
        "versions": versions_of(suite),
    }
    members = {
        _HEAD: json.dumps(head),
        _SUITE: suite.model_dump_json(indent=1),
        _LOCK: _LOCKS.dump_json(results.lock, indent=1).decode(),
        _RESULTS: "".join(_line(results, result) for result in results.by_id.values()),
        _ENVIRONMENT: json.dumps(_environment(), indent=1),
        **{name: (store.folder / name).read_text("utf-8") for name in names},
    }

    def write(part: Path) -> None:
        with zipfile.ZipFile(part, "w") as archive:
            for name, text in members.items():
                info = zipfile.ZipInfo(name, _DATE)
                info.compress_type = zipfile.ZIP_DEFLATED
                info.external_attr = 0o644 << 16
                archive.writestr(info, text)

    write_atomically(path, write)


def _line(results: Results, result: CellResult) -> str:
    try:
        return result_line(result)
    except ValidationError as error:
        path = results.store.folder / "cells" / f"{result.cell_id}.json"
        raise UserError(f"{path}: cannot be sent: {first_fault(error)}") from error


def check_bundle_path(path: Path) -> None:
    """Refuse a place where no bundle can be written, before anything else is.

    Raises:
        UserError: It is a folder, or lies in none that can be written to.
    """
    if path.is_dir():
        raise UserError(f"--bundle: {path}: is a folder; the name of a file is needed")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise UserError(f"--bundle: {path}: cannot be written ({error.strerror})") from error


def read_bundle(path: Path) -> Bundle:
    """Read a bundle; nothing of it is trusted.

    Raises:
        UserError: It cannot be read, is no bundle, or a part of it is damaged or too large.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            _refuse_others(path, archive.infolist())
            head = json.loads(_read(path, archive, _HEAD))
            if not isinstance(head, dict) or head.get("format") != FORMAT:
                raise UserError(f"{path}: {_HEAD}: a bundle of format {FORMAT} is needed")
            if head.get("protocol") != IDENTITY_FORM:
                raise UserError(
                    f"{path}: {_HEAD}: got protocol {head.get('protocol')!r}, here it is "
                    f"{IDENTITY_FORM}; the two give other ids to the same cells"
                )
            lock = _LOCKS.validate_json(_read(path, archive, _LOCK))
            results = {result.cell_id: result for result in _results(path, archive)}
            versions = _VERSIONS.validate_python(head.get("versions", {}))
            return Bundle(str(head.get("suite")), lock, results, versions)
    except (OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(f"{path}: cannot be read as a bundle ({error})") from error
    except (ValidationError, ValueError) as error:
        raise UserError(f"{path}: damaged ({error})") from error


def _refuse_others(path: Path, members: Sequence[zipfile.ZipInfo]) -> None:
    names = [member.filename for member in members]
    for member in members:
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise UserError(
                f"{path}: {shown(member.filename)}: got compression {member.compress_type}; "
                "allowed: stored (0) or deflated (8)"
            )
    for name in names:
        if name not in _KNOWN:
            raise UserError(f"{path}: got the member {shown(name)}; allowed: {', '.join(_KNOWN)}")
        if names.count(name) > 1:
            raise UserError(f"{path}: {name} is there {names.count(name)} times")
    for name in (_HEAD, _LOCK, _RESULTS):
        if name not in names:
            raise UserError(f"{path}: no bundle of results: {name} is missing")


def _read(path: Path, archive: zipfile.ZipFile, name: str) -> bytes:
    with archive.open(name) as file:
        content = file.read(MAX_FILE_BYTES + 1)  # what the zip says of its size may be a lie
    if len(content) > MAX_FILE_BYTES:
        raise UserError(f"{path}: {name} is larger than {MAX_FILE_BYTES >> 20} MiB")
    return content


def _results(path: Path, archive: zipfile.ZipFile) -> Iterator[CellResult]:
    read = 0
    known: dict[tuple[str, ...], tuple[str, ...]] = {}  # cells of one dataset share their ids
    with archive.open(_RESULTS) as file:
        for number in count(1):
            line = file.readline(MAX_FILE_BYTES + 1)
            if not line:
                return
            read += len(line)
            if len(line) > MAX_FILE_BYTES or read > MAX_RESULTS_BYTES:
                raise UserError(f"{path}: {_RESULTS} line {number}: too large")
            try:
                result = read_result(line)
            except ValidationError as error:
                raise UserError(
                    f"{path}: {_RESULTS} line {number}: {first_fault(error)}"
                ) from error
            yield replace(result, sample_ids=known.setdefault(result.sample_ids, result.sample_ids))


def _environment() -> dict[str, object]:
    named = ((d.metadata["Name"], d.version) for d in importlib.metadata.distributions())
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": dict(sorted((name, version) for name, version in named if name)),
    }
