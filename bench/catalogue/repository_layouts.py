"""Which files a repository of a model holds, in the layouts of open_clip and of transformers.

A local folder in the layout of a repository holds the same files.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.core.errors import CellError
from bench.core.identifiers import is_file_name, shown

Find = Callable[[str], Path | None]  # a file by its name; None where it is not here
Files = list[tuple[str, ...]]  # names of files, each with its alternatives; the first that exists

OPEN_CLIP_CONFIG = "open_clip_config.json"
SHARD_INDEX = "model.safetensors.index.json"  # names the files of weights that are in parts
_WHOLE = "model.safetensors"
# in the order in which open_clip and transformers seek them
OPEN_CLIP_WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
_TRANSFORMERS_WEIGHTS = (_WHOLE, SHARD_INDEX, "pytorch_model.bin")
_TOKENIZER_CONFIG = "tokenizer_config.json"
_IMAGES, _PROCESSOR = "preprocessor_config.json", "processor_config.json"


@dataclass(frozen=True, slots=True)
class RepositoryLayout:
    """What a repository of a model holds.

    Attributes:
        config: Name of the file with the model's configuration.
        needed: Returns the files that a model needs. It is given how to find a file that is here
            already, since a configuration names a tokenizer and an index names parts of weights.
            Weights or their index come first, then the configuration.
        optional: Files that a repository need not have, and that count where it has them.
    """

    config: str
    needed: Callable[[Find], Files]
    optional: tuple[str, ...] = ()


def read_json(path: Path | None) -> dict[str, Any]:
    """Return the mapping that a JSON file holds; an empty mapping where there is no file.

    Raises:
        CellError: The file is no valid JSON, or holds something else.
    """
    if path is None:
        return {}
    try:
        content = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise CellError(f"{path}: not valid JSON ({error})") from error
    if not isinstance(content, dict):
        raise CellError(f"{path}: a mapping is needed, got a {type(content).__name__}")
    return content


def _of_open_clip(find: Find) -> Files:
    text = read_json(find(OPEN_CLIP_CONFIG)).get("model_cfg", {}).get("text_cfg", {})
    tokenizer: Files = [(_TOKENIZER_CONFIG,), ("tokenizer.json",)]
    return [
        OPEN_CLIP_WEIGHTS,
        (OPEN_CLIP_CONFIG,),
        *(tokenizer if "hf_tokenizer_name" in text else []),
    ]


def _of_clip(find: Find) -> Files:
    return _of_transformers(find, (_IMAGES,))


def _of_chat(find: Find) -> Files:
    return _of_transformers(find, (_IMAGES, _PROCESSOR))  # the latter may hold the former


def _of_transformers(find: Find, images: tuple[str, ...]) -> Files:
    tokenizer = find(_TOKENIZER_CONFIG)
    vocabulary = [_vocabulary(read_json(tokenizer).get("tokenizer_class"))] if tokenizer else []
    parts = [] if find(_WHOLE) else _parts(find(SHARD_INDEX))
    return [
        *(_TRANSFORMERS_WEIGHTS, ("config.json",), images, (_TOKENIZER_CONFIG,)),
        *(vocabulary + parts),
    ]


def _vocabulary(kind: object) -> tuple[str, ...]:
    """Return where a tokenizer's words may be; transformers needs no name of its class."""
    if not kind:
        return "tokenizer.json", "spiece.model"
    return ("spiece.model" if str(kind).startswith("SiglipTokenizer") else "tokenizer.json",)


def _parts(index: Path | None) -> Files:
    """Return the files that an index of weights names; none where the index is not here."""
    if index is None:
        return []
    files = read_json(index).get("weight_map")
    names = list(files.values()) if isinstance(files, dict) else []
    wrong = [name for name in names if not isinstance(name, str) or not is_file_name(name)]
    if wrong or not names:
        got = f", got {shown(wrong[0])}" if wrong else ""
        raise CellError(f"{index}: `weight_map` must name a file beside it for each tensor{got}")
    return [(name,) for name in sorted(set(names))]


OPEN_CLIP = RepositoryLayout(OPEN_CLIP_CONFIG, _of_open_clip)
CLIP = RepositoryLayout("config.json", _of_clip)  # CLIP and SigLIP of transformers
CHAT = RepositoryLayout(  # vision-language models of transformers
    "config.json",
    _of_chat,
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
