"""Files of the Hugging Face hub: brought once, checked, and found again without network.

They lie in the hub's own cache (`HF_HOME`, else `~/.cache/huggingface`), which other tools share.
The cache shows a file only once it is whole; what it shows has its checksum compared here before
it is used.
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
from bench.core.identifiers import inside_fault, is_repository, shown

Kind = Literal["dataset", "model"]


class NoSuchFile(CellError):
    """A file is not in its repository or, where the hub cannot be asked, not in the cache."""


_PATIENCE = 5.0  # seconds
_SHA256 = re.compile("[0-9a-f]{64}")  # so the cache calls large files, and small ones by a SHA-1


@dataclass(frozen=True, slots=True)
class HubFile:
    """One file of a repository.

    Attributes:
        repo: The repository, `owner/name`.
        path: Path of the file within it.
        revision: A branch, a tag or a commit.
        kind: What the repository holds.
    """

    repo: str
    path: str
    revision: str = "main"
    kind: Kind = "dataset"

    def __post_init__(self) -> None:
        """Refuse what would lead out of the cache, as such texts may come from files.

        Raises:
            CellError: One of them has not the form of its kind.
        """
        if not is_repository(self.repo):
            raise CellError(f"got the repository {shown(self.repo)}; allowed: OWNER/NAME")
        for what, text in (("file", self.path), ("revision", self.revision)):
            if why := inside_fault(text):
                raise CellError(f"{self.repo}: got the {what} {shown(text)}; it {why}")


@dataclass(frozen=True, slots=True)
class Offered:
    """What the hub says of a file: the commit it is of, its size in bytes, whether it is here."""

    commit: str
    size: int
    here: bool


def bring(file: HubFile, arrived: Callable[[int], None] | None = None) -> Path:
    """Return a file's local path; it is downloaded unless the cache has it whole.

    A connection that breaks is taken up where it broke. A process that ends leaves whole files;
    the one that it was at begins anew.

    Args:
        file: Which one.
        arrived: Is told how many bytes came; the hub's own bar is shown where None.

    Raises:
        CellError: It cannot be had, or its content is not what the hub promised.
    """
    path = Path(_ask(file, tqdm_class=_counting(arrived) if arrived else None))
    check(file, path)
    return path


def cache() -> Path:
    """Return the folder of the hub's cache."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def offered(file: HubFile) -> Offered:
    """Return what the hub says of a file, without its content.

    Raises:
        CellError: The hub cannot be reached, or has no such file.
    """
    said = _ask(file, dry_run=True)
    return Offered(str(said.commit_hash), int(said.file_size or 0), not said.will_download)


def unreachable() -> str | None:
    """Return why the hub cannot be asked, or None where it can.

    It is tried once in a process, for some seconds: its client's own patience is half a minute
    for every file.
    """
    from huggingface_hub import constants

    if constants.is_offline_mode():
        return "HF_HUB_OFFLINE forbids to ask the hub"
    return _unreachable(constants.ENDPOINT)


@functools.cache
def _unreachable(endpoint: str) -> str | None:
    from huggingface_hub import get_session

    try:
        get_session().head(endpoint, timeout=_PATIENCE)
    except Exception as error:  # of the HTTP library, which differs between versions of the client
        return f"{endpoint} cannot be reached ({type(error).__name__}: {error})"
    return None


def find(file: HubFile) -> Path | None:
    """Return a file's path in the cache, or None where it is not there; asks no network."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(
        file.repo, file.path, revision=file.revision, repo_type=file.kind
    )
    return Path(found) if isinstance(found, str) else None


def check(file: HubFile, path: Path) -> None:
    """Compare a cached file with the checksum that the hub promised for it.

    The file is a link to one that is called by the checksum. That may be a link in turn, to one
    that several repositories share and that is called otherwise.

    Raises:
        CellError: They differ; the damaged copy is removed.
    """
    if not path.is_symlink():
        return  # a system without links keeps no checksums
    blob = path.parent / path.readlink()
    if not _SHA256.fullmatch(blob.name):
        return
    found = sha256(path).hex()
    if found != blob.name:
        for copy in (path.resolve(), blob, path):
            if copy.parent.resolve().is_relative_to(cache().resolve()):  # links may lead anywhere
                copy.unlink(missing_ok=True)
        raise CellError(
            f"{file.repo}: {file.path} has the checksum {found[:12]}, where the hub promised "
            f"{blob.name[:12]}; the damaged copy is removed, run again to download it anew"
        )


def _counting(arrived: Callable[[int], None]) -> type[Any]:
    """Return a progress bar that shows nothing and tells what it is told."""
    from tqdm import tqdm

    class Counting(tqdm):  # type: ignore[misc]  # it carries no types
        def __init__(self, *_: Any, **options: Any) -> None:
            super().__init__(disable=True, total=options.get("total"))

        def update(self, n: float | None = 1) -> None:
            arrived(int(n or 0))

    return Counting


def _ask(file: HubFile, **options: Any) -> Any:
    """Call the hub's client, and say in one sentence what went wrong."""
    from huggingface_hub import errors, hf_hub_download

    options["local_files_only"] = unreachable() is not None
    try:
        return hf_hub_download(
            file.repo, file.path, revision=file.revision, repo_type=file.kind, **options
        )
    except errors.LocalEntryNotFoundError as error:
        # its client's word for a hub that failed, and for a file that is not in the cache
        kind = NoSuchFile if unreachable() else CellError
        raise kind(f"{file.repo}: {_reason(error, file)}") from error
    except errors.EntryNotFoundError as error:
        raise NoSuchFile(f"{file.repo}: {_reason(error, file)}") from error
    except Exception as error:  # of the client, of its HTTP library or of the system
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
            return f"no revision {file.revision!r}; those that exist are listed at {place}/commits"
        case errors.LocalEntryNotFoundError() | errors.OfflineModeIsEnabled():
            return (
                f"{file.path} is not in the cache, and {unreachable() or error}; run `fetch` where "
                "there is a network, with the same HF_HOME"
            )
        case errors.EntryNotFoundError():
            return f"no file {file.path} at revision {file.revision!r}; see {place}/tree"
        case OSError() if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return (
                f"no space left for {file.path} in {constants.HF_HUB_CACHE}; free some, or set "
                "HF_HOME to a larger disk, and run again: whole files are kept"
            )
        case _:
            return (
                f"{file.path} could not be downloaded ({type(error).__name__}: {error}); run again "
                "to go on: whole files are kept"
            )
