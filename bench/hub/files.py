"""Files on the Hugging Face hub: downloaded once, checked, and found without network.

They are stored in the hub's own cache (`HF_HOME`, else `~/.cache/huggingface`), which other tools
share. The cache lists a file only after its download is complete. Its checksum is compared here
before the file is used.
"""

import errno
import functools
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bench.core.digests import sha256
from bench.core.errors import CellError
from bench.core.identifiers import (
    is_old_repository,
    is_repository,
    relative_path_fault,
    shown,
)

Kind = Literal["dataset", "model"]


class NoSuchFile(CellError):
    """A file is not in its repository or, if the hub cannot be reached, not in the cache."""


_TIMEOUT = 5.0  # seconds
_SHA256 = re.compile("[0-9a-f]{64}")  # the cache names large files by SHA-256, small ones by SHA-1


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file of a repository.

    Attributes:
        repo: Name of the repository, `OWNER/NAME`, or an old name of a model without owner.
        path: Path of the file in the repository.
        revision: A branch, a tag or a commit.
        kind: Kind of the repository.
    """

    repo: str
    path: str
    revision: str = "main"
    kind: Kind = "dataset"

    def __post_init__(self) -> None:
        """Refuse texts that would lead out of the cache, since they may come from a file.

        Raises:
            CellError: The repository, path or revision has a wrong form.
        """
        old = self.kind == "model" and is_old_repository(self.repo)
        if not (is_repository(self.repo) or old):
            raise CellError(f"got the repository {shown(self.repo)}; allowed: OWNER/NAME")
        for what, text in (("file", self.path), ("revision", self.revision)):
            if why := relative_path_fault(text):
                raise CellError(f"{self.repo}: got the {what} {shown(text)}; it {why}")


@dataclass(frozen=True, slots=True)
class FileInfo:
    """The hub's record of a file.

    Attributes:
        commit: Commit of the revision.
        size: Size in bytes.
        here: Whether the cache has the file.
    """

    commit: str
    size: int
    here: bool


def fetch_file(file: HubFile, arrived: Callable[[int], None] | None = None) -> Path:
    """Return a file's local path; the file is downloaded if the cache does not have it.

    A broken connection is resumed. If the process ends, complete files stay, and the file of the
    interrupted download starts again.

    Args:
        file: The file.
        arrived: Called with the size of each chunk in bytes; None shows the hub's progress bar.

    Raises:
        CellError: The file cannot be downloaded, or its checksum differs from the hub's.
    """
    path = Path(_request(file, tqdm_class=_progress(arrived) if arrived else None))
    check(file, path)
    return path


def cache() -> Path:
    """Return the folder of the hub's cache."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def file_info(file: HubFile) -> FileInfo:
    """Return commit and size of a file from the hub, without downloading the file.

    Raises:
        CellError: The hub cannot be reached, or does not have the file.
    """
    record = _request(file, dry_run=True)
    return FileInfo(str(record.commit_hash), int(record.file_size or 0), not record.will_download)


def unreachable() -> str | None:
    """Return why the hub cannot be reached, or None if it can.

    The hub is tried once per process with a short timeout, because its client would wait half a
    minute for each file.
    """
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set, so the hub is not contacted"
    return _unreachable(constants.ENDPOINT)


@functools.cache
def _unreachable(endpoint: str) -> str | None:
    from huggingface_hub import get_session

    try:
        get_session().head(endpoint, timeout=_TIMEOUT)
    except Exception as error:  # the HTTP library differs between versions of the client
        return f"{endpoint} cannot be reached ({type(error).__name__}: {error})"
    return None


def find(file: HubFile) -> Path | None:
    """Return a file's path in the cache, or None if it is not there; uses no network."""
    # most repositories of a plan are not here, and importing the hub's client takes long
    if not (cache() / f"{file.kind}s--{file.repo.replace('/', '--')}").is_dir():
        return None
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(
        file.repo, file.path, revision=file.revision, repo_type=file.kind
    )
    return Path(found) if isinstance(found, str) else None


def check(file: HubFile, path: Path) -> None:
    """Compare a cached file with the hub's checksum.

    The cached file is a link to a blob whose name is the checksum. The blob may be a link too, to
    a file with another name that several repositories share.

    Raises:
        CellError: The checksums differ; the damaged copy is removed.
    """
    if not path.is_symlink():
        return  # on a system without links the cache has no checksums
    blob = path.parent / path.readlink()
    if not _SHA256.fullmatch(blob.name):
        return
    found = sha256(path).hex()
    if found != blob.name:
        for copy in (path.resolve(), blob, path):
            # a link may lead out of the cache; never delete a file there
            if copy.parent.resolve().is_relative_to(cache().resolve()):
                copy.unlink(missing_ok=True)
        raise CellError(
            f"{file.repo}: {file.path} has the checksum {found[:12]}, but the hub says "
            f"{blob.name[:12]}; the damaged copy is removed, run again to download it again"
        )


def _progress(arrived: Callable[[int], None]) -> type[Any]:
    """Return a class of progress bars that show nothing and pass on the number of bytes."""
    from tqdm import tqdm

    class Progress(tqdm):  # type: ignore[misc]  # tqdm has no type hints
        def __init__(self, *_: Any, **options: Any) -> None:
            super().__init__(disable=True, total=options.get("total"))

        def update(self, n: float | None = 1) -> None:
            arrived(int(n or 0))

    return Progress


def _request(file: HubFile, **options: Any) -> Any:
    """Call the hub's client, and turn its errors into a CellError with a short reason."""
    from huggingface_hub import errors, hf_hub_download

    options["local_files_only"] = unreachable() is not None
    try:
        return hf_hub_download(
            file.repo, file.path, revision=file.revision, repo_type=file.kind, **options
        )
    except errors.LocalEntryNotFoundError as error:
        # the client raises this for an error of the hub and for a file that is not in the cache
        kind = NoSuchFile if unreachable() else CellError
        raise kind(f"{file.repo}: {_reason(error, file)}") from error
    except errors.EntryNotFoundError as error:
        raise NoSuchFile(f"{file.repo}: {_reason(error, file)}") from error
    except Exception as error:  # errors of the client, of its HTTP library or of the system
        raise CellError(f"{file.repo}: {_reason(error, file)}") from error


def _reason(error: Exception, file: HubFile) -> str:
    from huggingface_hub import constants, errors

    place = f"{constants.ENDPOINT}/{'datasets/' if file.kind == 'dataset' else ''}{file.repo}"
    match error:
        case errors.GatedRepoError():
            return (
                f"access is gated; accept the terms at {place}, then log in with `hf auth login` "
                "or set HF_TOKEN"
            )
        case errors.RepositoryNotFoundError():
            return f"no such {file.kind} at {place}, or it is private; log in with `hf auth login`"
        case errors.RevisionNotFoundError():
            return f"no revision {file.revision!r}; existing revisions: {place}/commits"
        case errors.LocalEntryNotFoundError() | errors.OfflineModeIsEnabled():
            return (
                f"{file.path} is not in the cache, and {unreachable() or error}; run `fetch` with "
                "network access and the same HF_HOME"
            )
        case errors.EntryNotFoundError():
            return (
                f"no file {file.path} at revision {file.revision!r}; existing files: {place}/tree"
            )
        case OSError() if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return (
                f"no space left for {file.path} in {constants.HF_HUB_CACHE}; free space, or set "
                "HF_HOME to a larger disk, and run again: complete files are kept"
            )
        case _:
            return (
                f"{file.path} could not be downloaded ({type(error).__name__}: {error}); run again "
                "to continue: complete files are kept"
            )
