"""The weight files of a model: on the hub, in a folder with the hub's layout, or a single file."""

from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from bench.catalogue.repository_layouts import OPEN_CLIP_WEIGHTS, Find, read_json
from bench.core.errors import CellError
from bench.hub.files import HubFile, NoSuchFile, fetch_file, find
from bench.suite.specs import ModelSpec
from bench.suite.specs.model_base import (
    HubCheckpoint,
    LocalFile,
    OpenClipFile,
    OpenClipTag,
    RepositoryFiles,
    WeightSource,
)

Alternatives = tuple[HubFile, ...]  # a model needs the first of these files that exists


def hub_files(spec: ModelSpec) -> list[Alternatives]:
    """Return the hub files that a model needs, with alternatives; download nothing.

    The list has a tokenizer's files only after the configuration that names it was downloaded,
    and shards of weights only after their index was downloaded. It is empty for models without
    files on the hub.
    """
    return [each for source in spec.weight_sources() for each in _needed(source)]


def weight_files(spec: ModelSpec) -> list[Path]:
    """Return a model's files on this machine; missing files are downloaded from the hub.

    The files of a repository are in this order: weights or their index, configurations and
    tokenizers, shards of weights, optional files. The checkpoint of a `tower` comes last, and so
    do the files of a `processor`.

    Raises:
        CellError: A file is missing and cannot be downloaded, or a file needs settings that the
            suite does not have.
    """
    sources = spec.weight_sources()
    for source in sources:  # check local files before any download
        if isinstance(source, LocalFile) and not source.path.exists():
            raise CellError(source.absent)
        if isinstance(source, OpenClipFile):
            _refuse_undecided(source)
    return [path for source in sources for path in _files(source)]


def origin(spec: ModelSpec) -> str:
    """Return `REPOSITORY@COMMIT` of a model in the hub's cache, else an empty text."""
    for alternatives in hub_files(spec):
        for file in alternatives:
            path = find(file)
            if path is not None:
                return f"{file.repo}@{path.parent.name}"  # snapshots/COMMIT/FILE
    return ""


def remote_sources(spec: ModelSpec) -> tuple[WeightSource, ...]:
    """Return the sources of a model's weights that are not local files."""
    return tuple(each for each in spec.weight_sources() if not isinstance(each, LocalFile))


def in_cache(source: WeightSource) -> bool:
    """Return whether the cache has all files of a source; False for an open_clip tag.

    A tag is not resolved to files here.
    """
    if isinstance(source, OpenClipTag):
        return False
    return all(any(find(file) for file in alternatives) for alternatives in _needed(source))


def local_config(spec: ModelSpec) -> dict[str, Any]:
    """Return a model's configuration from its folder or the cache; empty if it is not there."""
    for source in spec.weight_sources():
        if isinstance(source, RepositoryFiles):
            return read_json(_finder(source)(source.layout.config))
    return {}


def local_processor(spec: ModelSpec) -> dict[str, Any]:
    """Return the configuration of a model's image processor; empty if it is not here."""
    for source in spec.weight_sources():
        if isinstance(source, RepositoryFiles):
            names = ("preprocessor_config.json", "processor_config.json")
            image, combined = (read_json(_finder(source)(name)) for name in names)
            return image or dict(combined.get("image_processor") or {})
    return {}


def published_tag(name: str, tag: str) -> dict[str, Any]:
    """Return open_clip's configuration of a pretrained tag.

    Raises:
        CellError: The model or tag does not exist, or the weights need a different activation.
    """
    from radapt.from_open_clip import pretrained_tag  # here, since it imports torch

    try:
        return pretrained_tag(name, tag)
    except ValueError as error:
        raise CellError(str(error)) from error


def _refuse_undecided(source: OpenClipFile) -> None:
    """Raise an error with the lines that the suite needs, if other values than CLIP's are known.

    So weights under one name that are normalised in two ways always have two identities: a file
    has its `preprocess` in the identity unless all tags of the name have CLIP's values.
    """
    from radapt.file_settings import (  # here, since it imports torch
        undecided_activations,
        undecided_normalisations,
    )

    wanted = []
    if not source.preprocess and (known := undecided_normalisations(source.model)):
        lines = {
            f"preprocess: {{mean: {list(mean)}, std: {list(std)}}}": tags
            for (mean, std), tags in known.items()
        }
        wanted.append(f"the normalisation of images; add {_choices(lines)}")
    if not source.activation and (activations := undecided_activations(source.model)):
        lines = {f"activation: {name}": tags for name, tags in activations.items()}
        wanted.append(f"the activation; add {_choices(lines)}")
    if wanted:
        raise CellError(
            f"{source.path}: weights of {source.model} in a file do not tell "
            f"{', nor '.join(wanted)}"
        )


def _choices(lines: dict[str, list[str]]) -> str:
    """Return lines of a suite, each with up to two pretrained tags of open_clip that have it."""
    parts = []
    for line, tags in lines.items():
        more = ", ..." if len(tags) > 2 else ""
        parts.append(f"`{line}`" + (f" (as {', '.join(tags[:2])}{more})" if tags else ""))
    return " or ".join(parts)


def _needed(source: WeightSource) -> list[Alternatives]:
    """Return the hub files that a source needs, with alternatives."""
    match source:
        case OpenClipTag():
            location = str(published_tag(source.model, source.tag).get("hf_hub", ""))
            repo, _, file = location.rpartition("/")
            names = (file,) if file else OPEN_CLIP_WEIGHTS
            return [tuple(HubFile(repo, each, kind="model") for each in names)] if repo else []
        case HubCheckpoint():
            return [(HubFile(source.repository, source.path, kind="model"),)]
        case RepositoryFiles() if source.folder is None:
            needed = source.layout.needed(_finder(source))
            return [tuple(_hub_file(source, name) for name in names) for names in needed]
        case _:
            return []


def _files(source: WeightSource) -> list[Path]:
    match source:
        case LocalFile():
            return [source.path]
        case OpenClipTag():
            return [*map(_fetch_first, _needed(source))] or [_download_tag(source)]
        case HubCheckpoint():
            return [*map(_fetch_first, _needed(source))]
        case RepositoryFiles():
            own = _fetch_all(source) if source.folder is None else _in_folder(source, source.folder)
            return [*own, *_optional(source)]


def _download_tag(source: OpenClipTag) -> Path:
    from open_clip.pretrained import download_pretrained

    try:
        return Path(download_pretrained(published_tag(source.model, source.tag)))
    except Exception as error:  # open_clip raises many kinds of network errors
        tag = f"{source.model}: the weights {source.tag!r}"
        raise CellError(f"{tag} cannot be downloaded: {error}") from error


def _fetch_all(source: RepositoryFiles) -> list[Path]:
    here: dict[Alternatives, Path] = {}
    # downloaded files may name further files, such as the shards of an index
    while missing := [each for each in _needed(source) if each not in here]:
        here |= {each: _fetch_first(each) for each in missing}
    return [here[each] for each in _needed(source)]


def _fetch_first(alternatives: Alternatives) -> Path:
    for file in alternatives[:-1]:
        with suppress(NoSuchFile):
            return fetch_file(file)
    return fetch_file(alternatives[-1])


def _in_folder(source: RepositoryFiles, folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise CellError(
            f"{source.name}: no such folder; allowed: a folder, or OWNER/NAME of the hub"
        )
    if source.revision is not None:
        raise CellError(
            f"{source.name}: got revision {source.revision!r}, but a folder has no revisions"
        )
    files = []
    for names in source.layout.needed(_finder(source)):
        here = [path for name in names if (path := _finder(source)(name))]
        if not here:
            raise CellError(f"{folder}: {' or '.join(names)} is missing")
        files.append(here[0])
    return files


def _optional(source: RepositoryFiles) -> list[Path]:
    """Return the optional files that a source has; missing files are downloaded from the hub."""
    names = source.layout.optional
    if source.folder is not None:
        return [path for name in names if (path := _finder(source)(name))]
    found = []
    for name in names:
        with suppress(NoSuchFile):
            found.append(fetch_file(_hub_file(source, name)))
    return found


def _finder(source: RepositoryFiles) -> Find:
    """Return a function from a file's name to its path on this machine, or None if missing."""
    if source.folder is not None:
        return partial(_present, source.folder)
    return lambda name: find(_hub_file(source, name))


def _present(folder: Path, name: str) -> Path | None:
    return folder / name if (folder / name).exists() else None


def _hub_file(source: RepositoryFiles, name: str) -> HubFile:
    return HubFile(source.repository, name, source.revision or "main", "model")
