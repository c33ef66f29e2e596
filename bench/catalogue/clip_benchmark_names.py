"""Names of datasets in CLIP_benchmark: `wds/vtab/cifar10`, `imagenet1k`."""

from functools import cache

from bench.catalogue import datasets, names_by_repo

_WDS, _VTAB = "wds/", "vtab/"


def wds_name(repo: str) -> str:
    """Return CLIP_benchmark's name of a repository: `wds/vtab/cifar10`."""
    return f"{_WDS}{_key(repo).replace('vtab-', _VTAB)}"


def catalogue_name(text: str) -> str:
    """Return the catalogue's name of a dataset that CLIP_benchmark names.

    Args:
        text: A name, from the hub (`wds/vtab/dtd`) or of another source (`vtab/dtd`). A name that
            the catalogue lacks loses its source.
    """
    name = text.removeprefix(_WDS)
    known = _names().get(name.replace("/", "-"))
    if known is not None:
        return known
    last = name.rpartition("/")[2]
    return last if last in datasets() or text.startswith((_WDS, _VTAB)) else text


@cache
def _names() -> dict[str, str]:
    return {_key(repo): name for repo, name in names_by_repo().items()}


def _key(repo: str) -> str:
    return repo.partition("wds_")[2]
