"""The files of a model's repository on the hub, in the layouts of open_clip and transformers.

A local folder in the layout of a repository has the same files.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.core.errors import CellError
from bench.core.identifiers import is_file_name, shown
from radapt import text_files

Find = Callable[[str], Path | None]  # returns a local file by its name, or None if it is not here
Files = list[tuple[str, ...]]  # for each file, its alternative names; the first that exists is used

OPEN_CLIP_CONFIG = "open_clip_config.json"
SHARD_INDEX = "model.safetensors.index.json"  # lists the files of sharded weights
_WHOLE = "model.safetensors"
# in the order in which open_clip and transformers look for them
OPEN_CLIP_WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
_TRANSFORMERS_WEIGHTS = (_WHOLE, SHARD_INDEX, "pytorch_model.bin")
_TOKENIZER_CONFIG = "tokenizer_config.json"
_IMAGES, _PROCESSOR = "preprocessor_config.json", "processor_config.json"


@dataclass(frozen=True, slots=True)
class RepositoryLayout:
    """The layout of a model's repository.

    Attributes:
        config: Name of the file with the model's configuration.
        needed: Returns the files that a model needs: the weights or their index, then the
            configuration, then others. Its argument finds files that are already here, since a
            configuration names a tokenizer and an index lists the files of sharded weights.
        optional: Files that not every repository has. They are downloaded and hashed if present.
    """

    config: str
    needed: Callable[[Find], Files]
    optional: tuple[str, ...] = ()


def read_json(path: Path | None) -> dict[str, Any]:
    """Return the mapping in a JSON file; an empty mapping for None.

    Raises:
        CellError: The file cannot be read, is not valid JSON, or does not contain a mapping.
    """
    if path is None:
        return {}
    try:
        content = text_files.read_json(path)
    except ValueError as error:
        raise CellError(str(error)) from error
    if not isinstance(content, dict):
        raise CellError(f"{path}: got a {type(content).__name__}; a mapping is needed")
    return content


def _open_clip_files(find: Find) -> Files:
    text = read_json(find(OPEN_CLIP_CONFIG)).get("model_cfg", {}).get("text_cfg", {})
    tokenizer: Files = [(_TOKENIZER_CONFIG,), ("tokenizer.json",)]
    return [
        OPEN_CLIP_WEIGHTS,
        (OPEN_CLIP_CONFIG,),
        *(tokenizer if "hf_tokenizer_name" in text else []),
    ]


def _clip_files(find: Find) -> Files:
    return _transformers_files(find, (_IMAGES,))


def _chat_files(find: Find) -> Files:
    # the settings for images may be in either file
    return _transformers_files(find, (_IMAGES, _PROCESSOR))


def _transformers_files(find: Find, images: tuple[str, ...]) -> Files:
    weights, config, *shards = _weight_files(find)
    return [weights, config, *_processor_files(find, images), *shards]


def _weight_files(find: Find) -> Files:
    shards = [] if find(_WHOLE) else _shards(find(SHARD_INDEX))
    return [_TRANSFORMERS_WEIGHTS, ("config.json",), *shards]


def _processor_files(find: Find, images: tuple[str, ...] = (_IMAGES,)) -> Files:
    tokenizer = find(_TOKENIZER_CONFIG)
    vocabulary = [_vocabulary(read_json(tokenizer).get("tokenizer_class"))] if tokenizer else []
    return [images, (_TOKENIZER_CONFIG,), *vocabulary]


def _vocabulary(kind: object) -> tuple[str, ...]:
    """Return the files that may contain a tokenizer's vocabulary.

    Args:
        kind: Name of the tokenizer's class. transformers accepts a configuration without it.
    """
    if not kind:
        return "tokenizer.json", "spiece.model"
    return ("spiece.model" if str(kind).startswith("SiglipTokenizer") else "tokenizer.json",)


def _shards(index: Path | None) -> Files:
    """Return the files that an index of sharded weights lists; empty if the index is not here."""
    if index is None:
        return []
    files = read_json(index).get("weight_map")
    names = list(files.values()) if isinstance(files, dict) else []
    invalid = [name for name in names if not isinstance(name, str) or not is_file_name(name)]
    if invalid or not names:
        got = f"; got {shown(invalid[0])}" if invalid else ""
        raise CellError(
            f"{index}: `weight_map` must name a file in the same folder for each tensor{got}"
        )
    return [(name,) for name in sorted(set(names))]


OPEN_CLIP = RepositoryLayout(OPEN_CLIP_CONFIG, _open_clip_files)
CLIP = RepositoryLayout("config.json", _clip_files)  # CLIP and SigLIP of transformers
CLIP_WEIGHTS = RepositoryLayout("config.json", _weight_files)  # the same without a processor
CLIP_PROCESSOR = RepositoryLayout(_IMAGES, _processor_files)  # only the processor
CHAT = RepositoryLayout(  # vision-language models of transformers
    "config.json",
    _chat_files,
    optional=(
        "generation_config.json",
        _PROCESSOR,
        "video_preprocessor_config.json",
        "chat_template.jinja",
        "chat_template.json",
        "special_tokens_map.json",
        "added_tokens.json",
    ),
)
