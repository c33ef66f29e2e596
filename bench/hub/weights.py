"""Which files a model's weights come from: on the hub, in a folder in a hub's layout, or alone."""

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from bench.core.errors import CellError
from bench.core.identifiers import is_beside, is_repository, shown
from bench.hub.files import HubFile, NoSuchFile, bring, find
from bench.suite.specs import HuggingFaceModel, LvlmModel, ModelSpec, OpenClipModel
from bench.suite.specs.models import FOLDER

OPEN_CLIP_CONFIG = "open_clip_config.json"
# the first that exists is the one, as open_clip and transformers seek them
_OPEN_CLIP_WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
_WHOLE = "model.safetensors"
SHARD_INDEX = "model.safetensors.index.json"  # names the files of weights that are in parts
_HUGGING_FACE_WEIGHTS = (_WHOLE, SHARD_INDEX, "pytorch_model.bin")
_TOKENIZER_CONFIG = "tokenizer_config.json"

# of a model that answers in words, which need not have all of them
_OF_CHATS = (
    "generation_config.json",
    "processor_config.json",
    "video_preprocessor_config.json",
    "chat_template.jinja",
    "chat_template.json",
    "special_tokens_map.json",
    "added_tokens.json",
)

_Published = OpenClipModel | HuggingFaceModel | LvlmModel
_Find = Callable[[str], Path | None]  # a file by its name; None where it is not here


def hub_files(spec: ModelSpec) -> list[tuple[HubFile, ...]]:
    """Return what a model needs of the hub, each with its alternatives; brings nothing.

    A tokenizer's files are among them as soon as the configuration that names it is here, and
    parts of weights as soon as their index is.
    Models made of others, of local files or of weights from elsewhere need nothing.
    """
    if isinstance(spec, OpenClipModel) and spec.pretrained is not None:
        return _of_tag(spec.name, spec.pretrained)
    if not isinstance(spec, _Published) or not is_of_hub(spec):
        return []
    return [tuple(_hub_file(spec, name) for name in names) for names in _needs(spec, _cached(spec))]


def weight_files(spec: _Published) -> list[Path]:
    """Return the local files that a model comes from, brought from the hub where need be.

    Weights or their index come first, then configurations and tokenizers, then parts of weights,
    then a tower's own checkpoint.

    Raises:
        CellError: A file is not there and cannot be had.
    """
    tower = [Path(spec.tower)] if isinstance(spec, OpenClipModel) and spec.tower else []
    for path in tower:
        if not path.exists():
            raise CellError(f"{path}: no such checkpoint")
    folder = _folder(spec)
    if folder is not None and spec.revision is not None:
        raise CellError(f"{spec.name}: a folder has no revision {spec.revision!r}")
    if folder is not None:
        return [*_in_folder(spec, folder), *tower, *_extras(spec)]
    if isinstance(spec, OpenClipModel) and spec.pretrained is not None:
        if Path(spec.pretrained).exists():
            return [Path(spec.pretrained), *tower]
        if not hub_files(spec):
            return [_download(spec.name, spec.pretrained), *tower]
    if isinstance(spec, HuggingFaceModel | LvlmModel) and not is_of_hub(spec):
        raise CellError(f"{spec.name}: no such folder, and no OWNER/NAME of the hub")
    here: dict[tuple[HubFile, ...], Path] = {}
    while missing := [each for each in hub_files(spec) if each not in here]:
        here |= {each: _bring_any(each) for each in missing}  # which may name further files
    return [*(here[each] for each in hub_files(spec)), *tower, *_extras(spec)]


def origin(spec: ModelSpec) -> str:
    """Return `REPOSITORY@COMMIT` of a model that is in the hub's cache, else nothing."""
    for alternatives in hub_files(spec):
        for file in alternatives:
            path = find(file)
            if path is not None:
                return f"{file.repo}@{path.parent.name}"  # snapshots/COMMIT/FILE
    return ""


def in_cache(spec: _Published) -> bool:
    """Return whether all files of a model are here; of a tag that is not known: False."""
    if isinstance(spec, OpenClipModel) and spec.pretrained is not None:
        return Path(spec.pretrained).exists()
    return all(any(find(file) for file in alternatives) for alternatives in hub_files(spec))


def local_config(spec: _Published) -> dict[str, Any]:
    """Return a model's configuration where it is here, in a folder or in the cache."""
    name = OPEN_CLIP_CONFIG if isinstance(spec, OpenClipModel) else "config.json"
    if isinstance(spec, OpenClipModel) and spec.pretrained is not None:
        return {}
    folder = _folder(spec)
    if folder is not None:
        return _json(folder / name) if (folder / name).exists() else {}
    return _read(_cached(spec)(name))


def local_processor(spec: LvlmModel) -> dict[str, Any]:
    """Return a model's image processor's configuration where it is here."""
    folder = _folder(spec)
    alone, whole = (
        _read(_cached(spec)(name) if folder is None else _present(folder / name))
        for name in ("preprocessor_config.json", "processor_config.json")
    )
    return alone or dict(whole.get("image_processor") or {})


def _present(path: Path) -> Path | None:
    return path if path.exists() else None


def published_tag(name: str, tag: str) -> dict[str, Any]:
    """Return what open_clip knows of a pretrained tag.

    Raises:
        CellError: There is no such model or tag, or it was trained with another activation.
    """
    from bench.core.torchvision_shim import ensure_torchvision  # brings torch

    ensure_torchvision()
    from open_clip import factory, pretrained

    config = factory.get_model_config(name)
    if config is None:
        raise CellError(f"open_clip has no model {name!r}; `open_clip.list_models()` names all")
    known: dict[str, Any] = pretrained.get_pretrained_cfg(name, tag)
    if not known:
        tags = ", ".join(pretrained.list_pretrained_tags_by_model(name)) or "none"
        raise CellError(f"{name} has no pretrained tag {tag!r}; known: {tags}")
    if known.get("quick_gelu") and not config.get("quick_gelu"):
        # open_clip only warns, and computes with GELU
        raise CellError(
            f"{name}: the weights {tag!r} were trained with QuickGELU; name {name}-quickgelu"
        )
    return known


def _of_tag(name: str, tag: str) -> list[tuple[HubFile, ...]]:
    if Path(tag).exists():
        return []
    repo, _, file = str(published_tag(name, tag).get("hf_hub", "")).rpartition("/")
    names = (file,) if file else _OPEN_CLIP_WEIGHTS
    return [tuple(HubFile(repo, each, kind="model") for each in names)] if repo else []


def _download(name: str, tag: str) -> Path:
    from open_clip.pretrained import download_pretrained

    try:
        return Path(download_pretrained(published_tag(name, tag)))
    except Exception as error:  # of the network, in many kinds
        raise CellError(f"{name}: the weights {tag!r} cannot be had: {error}") from error


def _needs(spec: _Published, found: _Find) -> list[tuple[str, ...]]:
    if isinstance(spec, OpenClipModel):
        text = _read(found(OPEN_CLIP_CONFIG)).get("model_cfg", {}).get("text_cfg", {})
        named = [(_TOKENIZER_CONFIG,), ("tokenizer.json",)] if "hf_tokenizer_name" in text else []
        return [_OPEN_CLIP_WEIGHTS, (OPEN_CLIP_CONFIG,), *named]
    pictures = ("preprocessor_config.json", "processor_config.json")
    alone = isinstance(spec, HuggingFaceModel)  # else the latter may hold what the former does
    needs = [_HUGGING_FACE_WEIGHTS, ("config.json",), pictures[:1] if alone else pictures]
    tokenizer = found(_TOKENIZER_CONFIG)
    vocabulary = [_vocabulary(_read(tokenizer).get("tokenizer_class"))] if tokenizer else []
    parts = [] if found(_WHOLE) else _parts(found(SHARD_INDEX))
    return [*needs, (_TOKENIZER_CONFIG,), *vocabulary, *parts]


def _vocabulary(kind: object) -> tuple[str, ...]:
    """Return where a tokenizer's words may be; transformers needs no name of its class."""
    if not kind:
        return "tokenizer.json", "spiece.model"
    return ("spiece.model" if str(kind).startswith("SiglipTokenizer") else "tokenizer.json",)


def _extras(spec: _Published) -> list[Path]:
    """Return the local files of those that a model may have, brought from the hub where need be."""
    if not isinstance(spec, LvlmModel):
        return []
    folder = _folder(spec)
    if folder is not None:
        return [path for name in _OF_CHATS if (path := folder / name).exists()]
    found = []
    for name in _OF_CHATS:
        with suppress(NoSuchFile):
            found.append(bring(_hub_file(spec, name)))
    return found


def _parts(index: Path | None) -> list[tuple[str, ...]]:
    """Return the files that an index of weights names, none where it is not here."""
    if index is None:
        return []
    files = _json(index).get("weight_map")
    names = list(files.values()) if isinstance(files, dict) else []
    wrong = [name for name in names if not isinstance(name, str) or not is_beside(name)]
    if wrong or not names:
        got = f", got {shown(wrong[0])}" if wrong else ""
        raise CellError(f"{index}: `weight_map` must name a file beside it for each tensor{got}")
    return [(name,) for name in sorted(set(names))]


def is_of_hub(spec: _Published) -> bool:
    """Return whether a model's name is a repository's, and not a folder's."""
    if isinstance(spec, OpenClipModel):
        return spec.repository is not None
    return _folder(spec) is None and is_repository(spec.name)


def _hub_file(spec: _Published, name: str) -> HubFile:
    repo = (spec.repository if isinstance(spec, OpenClipModel) else spec.name) or ""
    return HubFile(repo, name, spec.revision or "main", "model")


def _cached(spec: _Published) -> _Find:
    return lambda name: find(_hub_file(spec, name)) if is_of_hub(spec) else None


def _folder(spec: _Published) -> Path | None:
    if isinstance(spec, OpenClipModel):
        return None if spec.folder is None else Path(spec.folder)
    place = Path(spec.name.removeprefix(FOLDER) if isinstance(spec, LvlmModel) else spec.name)
    return place if place.is_dir() else None


def _in_folder(spec: _Published, folder: Path) -> list[Path]:
    def found(name: str) -> Path | None:
        return folder / name if (folder / name).exists() else None

    files = []
    for names in _needs(spec, found):
        here = [path for name in names if (path := found(name))]
        if not here:
            raise CellError(f"{folder}: {' or '.join(names)} is missing")
        files.append(here[0])
    return files


def _bring_any(alternatives: tuple[HubFile, ...]) -> Path:
    for file in alternatives[:-1]:
        try:
            return bring(file)
        except NoSuchFile:
            continue
    return bring(alternatives[-1])


def _read(path: Path | None) -> dict[str, Any]:
    return _json(path) if path else {}


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise CellError(f"{path}: not valid JSON ({error})") from error
    if not isinstance(content, dict):
        raise CellError(f"{path}: a mapping is needed, got a {type(content).__name__}")
    return content
