"""Bundles: write a suite's results as a zip file for other people, and read their bundles safely.

    bundle.json         format, suite, and the versions of identities, attacks, metrics and tasks
    suite.json          the suite
    lock.json           the lock of the suite
    results.jsonl       a result per line, with values for each image
    cells.csv, leaderboard.csv, manifest.json, environment.json
    check.csv           comparison with published numbers, if the suite names any

Bundles are never unpacked to disk: only these members are read, up to a maximal size.
"""

import importlib.metadata
import json
import platform
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from pathlib import Path
from tempfile import TemporaryFile

from pydantic import TypeAdapter, ValidationError

from bench.compare.published_table import check
from bench.core.errors import UserError
from bench.core.identifiers import shown
from bench.core.resolved_names import Lock
from bench.core.types import CellResult
from bench.plan.identity import IDENTITY_FORM
from bench.plan.versions import versions_of
from bench.store.portable_records import first_fault, read_result, result_line
from bench.store.reading import MAX_FILE_BYTES
from bench.store.snapshot import Results
from bench.store.writing import write_atomically

FORMAT = 1
TABLES = ("cells.csv", "leaderboard.csv", "manifest.json")
CHECK = "check.csv"
_HEADER, _SUITE, _LOCK, _RESULTS = "bundle.json", "suite.json", "lock.json", "results.jsonl"
_ENVIRONMENT = "environment.json"
_MEMBERS = (_HEADER, _SUITE, _LOCK, _RESULTS, _ENVIRONMENT, *TABLES, CHECK)
MAX_RESULTS_BYTES = 1 << 30  # bytes of all results: some 40,000 cells of 1,000 images
_BLOCK = 1 << 20  # bytes
_LOCK_ADAPTER: TypeAdapter[Lock] = TypeAdapter(Lock)
_VERSIONS_ADAPTER: TypeAdapter[dict[str, int]] = TypeAdapter(dict[str, int])
_FIXED_DATE = (1980, 1, 1, 0, 0, 0)  # fixed, so that equal results give equal bytes


@dataclass(frozen=True, slots=True)
class Bundle:
    """The contents of a bundle.

    Attributes:
        suite: Name of the suite.
        lock: Lock of the suite.
        results: Results by cell id.
        versions: Versions of the attacks, metrics and tasks that the numbers depend on
            (`bench.plan.versions`); a missing version is 1.
    """

    suite: str
    lock: Lock
    results: dict[str, CellResult]
    versions: dict[str, int]


def write_bundle(results: Results, path: Path) -> None:
    """Write the stored results of a suite as a zip file; its tables must exist already.

    Raises:
        UserError: The published numbers that the suite names cannot be read, a result has a value
            that is not allowed in a bundle, or there are too many results for one.
    """
    suite, store = results.suite, results.store
    names: tuple[str, ...] = TABLES
    if suite.against is not None:
        check(results, None)
        names = (*TABLES, CHECK)
    header = {
        "format": FORMAT,
        "suite": suite.suite,
        "protocol": IDENTITY_FORM,
        "versions": versions_of(suite),
    }
    members = {
        _HEADER: json.dumps(header),
        _SUITE: suite.as_json(),
        _LOCK: _LOCK_ADAPTER.dump_json(results.lock, indent=1).decode(),
        _ENVIRONMENT: json.dumps(_environment(), indent=1),
    }

    def write(part: Path) -> None:
        with zipfile.ZipFile(part, "w") as archive:
            for name, text in members.items():
                _write_member(archive, results, name, [text.encode()], MAX_FILE_BYTES)
            _write_member(archive, results, _RESULTS, _result_lines(results), MAX_RESULTS_BYTES)
            for name in names:
                with (store.folder / name).open("rb") as file:
                    blocks = iter(partial(file.read, _BLOCK), b"")
                    _write_member(archive, results, name, blocks, MAX_FILE_BYTES)

    write_atomically(path, write)


def _write_member(
    archive: zipfile.ZipFile, results: Results, name: str, content: Iterable[bytes], most: int
) -> None:
    """Write a member block by block, and refuse one that `read_bundle` would refuse."""
    info = zipfile.ZipInfo(name, _FIXED_DATE)
    info.compress_type = zipfile.ZIP_DEFLATED
    info.external_attr = 0o644 << 16
    written = 0
    with archive.open(info, "w") as file:
        for block in content:
            written += len(block)
            if written > most:
                raise UserError(
                    f"{results.store.folder}: too large for a bundle: {name} has more than "
                    f"{most >> 20} MiB; give others the folder itself, which `merge`, `compare` "
                    "and `site` read too"
                )
            file.write(block)


def _result_lines(results: Results) -> Iterator[bytes]:
    for result in results.by_id.values():
        whole = result.whole()
        if whole is None:
            raise UserError(
                f"{results.store.folder / 'cells'}: cell {result.cell_id}: its result is damaged; "
                "run the suite again, which computes it again, and then bundle the results"
            )
        yield _result_line(results, whole).encode()


def _result_line(results: Results, result: CellResult) -> str:
    try:
        return result_line(result)
    except ValidationError as error:
        cell = f"{results.store.folder / 'cells'}: cell {result.cell_id}"
        raise UserError(f"{cell}: cannot be bundled: {first_fault(error)}") from error


def check_bundle_path(path: Path) -> None:
    """Check that a bundle can be written to a path, before anything else is written.

    Raises:
        UserError: The path is a folder, or its folder is not writable.
    """
    if path.is_dir():
        raise UserError(f"--bundle: {path}: is a folder; give the name of a file")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise UserError(f"--bundle: {path}: cannot be written ({error.strerror})") from error


def is_bundle(path: Path) -> bool:
    """Return whether a file is a zip file with the header of a bundle."""
    try:
        with zipfile.ZipFile(path) as archive:
            return _HEADER in archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return False


def read_bundle(path: Path) -> Bundle:
    """Read a bundle from an untrusted source.

    Raises:
        UserError: The file cannot be read or is no bundle, or a member is damaged or too large.
    """
    with _opened(path) as archive:
        header = json.loads(_read(path, archive, _HEADER))
        if not isinstance(header, dict) or header.get("format") != FORMAT:
            raise UserError(f"{path}: {_HEADER}: not a bundle of format {FORMAT}")
        if header.get("protocol") != IDENTITY_FORM:
            raise UserError(
                f"{path}: {_HEADER}: got protocol {header.get('protocol')!r}; allowed: "
                f"{IDENTITY_FORM}, since other protocols give the same cells other ids"
            )
        lock = _LOCK_ADAPTER.validate_json(_read(path, archive, _LOCK))
        results = {result.cell_id: result for result in _results(path, archive)}
        versions = _VERSIONS_ADAPTER.validate_python(header.get("versions", {}))
        return Bundle(str(header.get("suite")), lock, results, versions)


def read_tables(path: Path) -> tuple[str, dict[str, bytes]]:
    """Return the name of a bundle's suite, and the suite and the tables as they were written.

    The results are not read.

    Raises:
        UserError: As for `read_bundle`.
    """
    with _opened(path) as archive:
        header = dict(json.loads(_read(path, archive, _HEADER)))
        names = [name for name in (_SUITE, *TABLES) if name in archive.namelist()]
        return str(header.get("suite")), {name: _read(path, archive, name) for name in names}


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open a bundle whose members are allowed; what is wrong with it becomes a UserError."""
    try:
        with zipfile.ZipFile(path) as archive:
            _check_members(path, archive.infolist())
            yield archive
    except (OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(f"{path}: cannot be read as a bundle ({error})") from error
    except (ValidationError, ValueError, TypeError) as error:
        raise UserError(f"{path}: damaged ({error})") from error


def _check_members(path: Path, members: Sequence[zipfile.ZipInfo]) -> None:
    names = [member.filename for member in members]
    for member in members:
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise UserError(
                f"{path}: {shown(member.filename)}: got compression {member.compress_type}; "
                "allowed: stored (0) or deflated (8)"
            )
    for name in names:
        if name not in _MEMBERS:
            raise UserError(f"{path}: got the member {shown(name)}; allowed: {', '.join(_MEMBERS)}")
        if names.count(name) > 1:
            raise UserError(
                f"{path}: got the member {name} {names.count(name)} times; allowed: once"
            )
    for name in (_HEADER, _LOCK, _RESULTS):
        if name not in names:
            raise UserError(f"{path}: not a bundle of results: {name} is missing")


def _read(path: Path, archive: zipfile.ZipFile, name: str) -> bytes:
    with archive.open(name) as file:
        content = file.read(MAX_FILE_BYTES + 1)  # the size in the zip header may be wrong
    if len(content) > MAX_FILE_BYTES:
        raise UserError(f"{path}: {name} is larger than {MAX_FILE_BYTES >> 20} MiB")
    return content


def _results(path: Path, archive: zipfile.ZipFile) -> Iterator[CellResult]:
    read = 0
    known: dict[tuple[str, ...], tuple[str, ...]] = {}  # cells of a dataset share one tuple of ids
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
    distributions = ((d.metadata["Name"], d.version) for d in importlib.metadata.distributions())
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": dict(sorted((name, version) for name, version in distributions if name)),
    }
