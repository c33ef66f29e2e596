"""The weight files of a model: on the hub, in a folder with the hub's layout, or a single file."""

from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from bench.catalogue.repository_layouts import (
    MORE_TEMPLATES,
    OPEN_CLIP,
    OPEN_CLIP_WEIGHTS,
    Find,
    read_json,
    section,
)
from bench.core.errors import MALFORMED, CellError
from bench.hub.companions import companions_of
from bench.hub.files import HubFile, NoSuchFile, fetch_file, find
from bench.hub.model_types import (
    ADAPTER_CONFIG,
    has_model_types,
    refuse_adapter,
    refuse_model_type,
)
from bench.hub.open_clip_tags import builtin_config, download_tag, published_tag
from bench.hub.undecided import refuse_undecided
from bench.suite.specs.model_base import (
    HasWeights,
    HubCheckpoint,
    LocalFile,
    OpenClipFile,
    OpenClipTag,
    RepositoryFiles,
    WeightSource,
)

Alternatives = tuple[HubFile, ...]  # a model needs the first of these files that exists


def hub_files(spec: HasWeights) -> list[Alternatives]:
    """Return the hub files that a model needs, with alternatives; download nothing.

    The list has a tokenizer's files only after the configuration that names it was downloaded,
    and shards of weights only after their index was downloaded. It is empty for models without
    files on the hub.
    """
    return [each for source in _sources(spec) for each in _needed(source)]


def weight_files(spec: HasWeights) -> list[Path]:
    """Return a model's files on this machine; missing files are downloaded from the hub.

    The files of a repository are in this order: weights or their index, configurations and
    tokenizers, shards of weights, optional files. Files of other repositories, which the
    configuration names, are next. The checkpoint of a `tower` comes last, and so do the files of a
    `processor`.

    Raises:
        CellError: A file is missing and cannot be downloaded, or a file needs settings that the
            suite does not have, or the model type is not supported.
    """
    check_before_download(spec)
    # a source's companions are known after its configuration is downloaded
    return [path for source in _sources(spec) for path in _files(source)]


def own_files(spec: HasWeights) -> list[Path]:
    """Return the part of `weight_files` that is in the model's own repository or folder."""
    return _files(spec.weight_sources()[0])


def companion_folders(spec: HasWeights) -> dict[str, Path]:
    """Return folders with the files of other repositories, by the setting that names them.

    They are known after `weight_files` was called. Settings are those of open_clip, such as
    `hf_tokenizer_name`.
    """
    named = [each for source in spec.weight_sources() for each in _companions(source).items()]
    return {key: _files(companion)[0].parent for key, companion in named}


def check_before_download(spec: HasWeights) -> None:
    """Check all that can be known before weights are downloaded: local files and model types.

    Raises:
        CellError: A local file is missing, or a model cannot be loaded.
    """
    for source in spec.weight_sources():
        _check_local(source)
    for source in spec.weight_sources():
        match source:
            case RepositoryFiles(folder=None) if has_model_types(source.layout):
                with suppress(NoSuchFile):
                    fetch_file(_hub_file(source, ADAPTER_CONFIG))
                _check_local(source)
                fetch_file(_hub_file(source, source.layout.config))
                _check_local(source)


def missing_files(spec: HasWeights) -> str | None:
    """Return which files of a model are missing or wrong, or None; use no network.

    For a model of open_clip or transformers this imports torch.
    """
    found = [fault for source in _sources(spec) if (fault := _fault(source))]
    return "; ".join(found) or None


def origin(spec: HasWeights) -> str:
    """Return `REPOSITORY@COMMIT` of a model in the hub's cache, else an empty text."""
    for alternatives in (each for source in spec.weight_sources() for each in _needed(source)):
        for file in alternatives:
            path = find(file)
            if path is not None:  # snapshots/COMMIT/FOLDER/FILE
                return f"{file.repo}@{path.parents[file.path.count('/')].name}"
    return ""


def remote_sources(spec: HasWeights) -> tuple[WeightSource, ...]:
    """Return the sources of a model's weights that are not local files."""
    return tuple(each for each in spec.weight_sources() if not isinstance(each, LocalFile))


def in_cache(source: WeightSource) -> bool:
    """Return whether the cache has all files of a source; False for an open_clip tag.

    A tag is not resolved to files here, which would import torch. A malformed configuration counts
    as not cached; a run reports what is wrong with it.
    """
    if isinstance(source, OpenClipTag):
        return False
    try:
        return all(any(find(file) for file in alternatives) for alternatives in _needed(source))
    except MALFORMED:
        return False


def local_config(spec: HasWeights) -> dict[str, Any]:
    """Return a model's configuration from its folder or the cache; empty if it is not there."""
    for source in spec.weight_sources():
        if isinstance(source, RepositoryFiles):
            return read_json(_finder(source)(source.layout.config))
    return {}


def local_processor(spec: HasWeights) -> dict[str, Any]:
    """Return the configuration of a model's image processor; empty if it is not here."""
    for source in reversed(spec.weight_sources()):  # a `processor` comes last
        if isinstance(source, RepositoryFiles):
            names = ("processor_config.json", "preprocessor_config.json")  # transformers' order
            combined, image = (read_json(_finder(source)(name)) for name in names)
            return section(combined, "image_processor") or image
    return {}


def _sources(spec: HasWeights) -> Iterator[WeightSource]:
    """Yield each source of a model's weights, followed by its companions in other repositories."""
    for source in spec.weight_sources():
        yield source
        yield from _companions(source).values()


def _companions(source: WeightSource) -> dict[str, RepositoryFiles]:
    """Return the parts of other repositories that a source needs, as far as they are known."""
    match source:
        case OpenClipTag() | OpenClipFile():
            return companions_of(builtin_config(source.model))
        case RepositoryFiles() if source.layout is OPEN_CLIP:
            config = read_json(_finder(source)(OPEN_CLIP.config))
            # tokenizers of repositories are in the repositories themselves
            return companions_of(config.get("model_cfg"), own_tokenizer=True)
        case _:
            return {}


def _fault(source: WeightSource) -> str:
    """Return which file of a source is missing or wrong, or an empty text; use no network."""
    try:
        _check_local(source)
        needed = _needed(source)
    except (CellError, ImportError) as error:
        return str(error)
    for alternatives in needed:
        if not any(find(file) for file in alternatives):
            names = " or ".join(file.path for file in alternatives)
            return f"{alternatives[0].repo}: {names} is not in the hub's cache"
    return ""


def _check_local(source: WeightSource) -> None:
    """Check a local file or folder, or what the cache has of a repository."""
    if isinstance(source, LocalFile):
        if not source.path.exists():
            raise CellError(source.absent)
        if isinstance(source, OpenClipFile):
            refuse_undecided(source)
    elif isinstance(source, RepositoryFiles):
        find_file = _finder(source)
        if has_model_types(source.layout):
            refuse_adapter(source.name, find_file(ADAPTER_CONFIG))
        if (config := find_file(source.layout.config)) is not None:
            refuse_model_type(source, config)
        if source.folder is not None:
            _in_folder(source, source.folder)


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
            return [*map(_fetch_first, _needed(source))] or [download_tag(source.model, source.tag)]
        case HubCheckpoint():
            return [*map(_fetch_first, _needed(source))]
        case RepositoryFiles():
            own = _fetch_all(source) if source.folder is None else _in_folder(source, source.folder)
            return [*own, *_optional(source)]


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
        here = [path for name in names if (path := _finder(source)(name))]
        return [*here, *sorted(source.folder.glob(MORE_TEMPLATES))]
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
