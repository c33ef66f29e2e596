"""The files that a model's weights come from: on the hub, in a folder in its layout, or alone."""

from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from bench.catalogue.repository_layouts import OPEN_CLIP_WEIGHTS, Find, read_json
from bench.core.errors import CellError
from bench.hub.files import HubFile, NoSuchFile, bring, find
from bench.suite.specs import ModelSpec
from bench.suite.specs.model_base import LocalFile, OpenClipTag, RepositoryFiles, WeightSource

Alternatives = tuple[HubFile, ...]  # files of which a model needs the first that exists


def hub_files(spec: ModelSpec) -> list[Alternatives]:
    """Return what a model needs of the hub, each with its alternatives; brings nothing.

    A tokenizer's files are among them as soon as the configuration that names it is here, and
    parts of weights as soon as their index is.
    Models made of others, of local files or of weights from elsewhere need nothing.
    """
    return [each for source in spec.weight_sources() for each in _of_hub(source)]


def weight_files(spec: ModelSpec) -> list[Path]:
    """Return the local files that a model comes from, brought from the hub where need be.

    Of a repository, weights or their index come first, then configurations and tokenizers, then
    parts of weights, then what it need not have. A tower's own checkpoint comes last.

    Raises:
        CellError: A file is not there and cannot be had.
    """
    sources = spec.weight_sources()
    for source in sources:  # before anything is downloaded
        if isinstance(source, LocalFile) and not source.path.exists():
            raise CellError(f"{source.path}: no such {source.what}")
    return [path for source in sources for path in _files(source)]


def origin(spec: ModelSpec) -> str:
    """Return `REPOSITORY@COMMIT` of a model that is in the hub's cache, else nothing."""
    for alternatives in hub_files(spec):
        for file in alternatives:
            path = find(file)
            if path is not None:
                return f"{file.repo}@{path.parent.name}"  # snapshots/COMMIT/FILE
    return ""


def fetched(spec: ModelSpec) -> tuple[WeightSource, ...]:
    """Return those sources of a model's weights that are not files of this machine."""
    return tuple(each for each in spec.weight_sources() if not isinstance(each, LocalFile))


def in_cache(source: WeightSource) -> bool:
    """Return whether all files of a source are here; of a tag: False, as it is not looked up."""
    if isinstance(source, OpenClipTag):
        return False
    return all(any(find(file) for file in alternatives) for alternatives in _of_hub(source))


def local_config(spec: ModelSpec) -> dict[str, Any]:
    """Return a model's configuration where it is here, in a folder or in the cache."""
    for source in spec.weight_sources():
        if isinstance(source, RepositoryFiles):
            return read_json(_find(source)(source.layout.config))
    return {}


def local_processor(spec: ModelSpec) -> dict[str, Any]:
    """Return a model's image processor's configuration where it is here."""
    for source in spec.weight_sources():
        if isinstance(source, RepositoryFiles):
            names = ("preprocessor_config.json", "processor_config.json")
            alone, whole = (read_json(_find(source)(name)) for name in names)
            return alone or dict(whole.get("image_processor") or {})
    return {}


def published_tag(name: str, tag: str) -> dict[str, Any]:
    """Return what open_clip knows of a pretrained tag.

    Raises:
        CellError: There is no such model or tag, or it was trained with another activation.
    """
    from radapt.from_open_clip import pretrained_tag  # brings torch

    try:
        return pretrained_tag(name, tag)
    except ValueError as error:
        raise CellError(str(error)) from error


def _of_hub(source: WeightSource) -> list[Alternatives]:
    match source:
        case OpenClipTag():
            known = str(published_tag(source.model, source.tag).get("hf_hub", ""))
            repo, _, file = known.rpartition("/")
            names = (file,) if file else OPEN_CLIP_WEIGHTS
            return [tuple(HubFile(repo, each, kind="model") for each in names)] if repo else []
        case RepositoryFiles() if source.folder is None:
            needed = source.layout.needed(_find(source))
            return [tuple(_hub_file(source, name) for name in names) for names in needed]
        case _:
            return []


def _files(source: WeightSource) -> list[Path]:
    match source:
        case LocalFile():
            return [source.path]
        case OpenClipTag():
            return [*map(_bring_any, _of_hub(source))] or [_download(source)]
        case RepositoryFiles():
            own = _bring_all(source) if source.folder is None else _in_folder(source, source.folder)
            return [*own, *_optional(source)]


def _download(source: OpenClipTag) -> Path:
    from open_clip.pretrained import download_pretrained

    try:
        return Path(download_pretrained(published_tag(source.model, source.tag)))
    except Exception as error:  # of the network, in many kinds
        tag = f"{source.model}: the weights {source.tag!r}"
        raise CellError(f"{tag} cannot be had: {error}") from error


def _bring_all(source: RepositoryFiles) -> list[Path]:
    here: dict[Alternatives, Path] = {}
    while missing := [each for each in _of_hub(source) if each not in here]:
        here |= {each: _bring_any(each) for each in missing}  # which may name further files
    return [here[each] for each in _of_hub(source)]


def _bring_any(alternatives: Alternatives) -> Path:
    for file in alternatives[:-1]:
        with suppress(NoSuchFile):
            return bring(file)
    return bring(alternatives[-1])


def _in_folder(source: RepositoryFiles, folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise CellError(f"{source.name}: no such folder, and no OWNER/NAME of the hub")
    if source.revision is not None:
        raise CellError(f"{source.name}: a folder has no revision {source.revision!r}")
    files = []
    for names in source.layout.needed(_find(source)):
        here = [path for name in names if (path := _find(source)(name))]
        if not here:
            raise CellError(f"{folder}: {' or '.join(names)} is missing")
        files.append(here[0])
    return files


def _optional(source: RepositoryFiles) -> list[Path]:
    """Return the files that a model need not have, brought from the hub where need be."""
    names = source.layout.optional
    if source.folder is not None:
        return [path for name in names if (path := _find(source)(name))]
    found = []
    for name in names:
        with suppress(NoSuchFile):
            found.append(bring(_hub_file(source, name)))
    return found


def _find(source: RepositoryFiles) -> Find:
    """Return how to find a file of a source that is here; None is found for any other."""
    if source.folder is not None:
        return partial(_present, source.folder)
    return lambda name: find(_hub_file(source, name))


def _present(folder: Path, name: str) -> Path | None:
    return folder / name if (folder / name).exists() else None


def _hub_file(source: RepositoryFiles, name: str) -> HubFile:
    return HubFile(source.repository, name, source.revision or "main", "model")
