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

MAX_TEMPLATE = 1 << 20  # bytes; the longest published chat templates have 20,000
Find = Callable[[str], Path | None]  # returns a local file by its name, or None if it is not here
Files = list[tuple[str, ...]]  # for each file, its alternative names; the first that exists is used

OPEN_CLIP_CONFIG = "open_clip_config.json"
INDEX = ".index.json"  # end of the names of files that list the files of sharded weights
# in the order in which open_clip and transformers look for them
OPEN_CLIP_WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
_WHOLE, _WHOLE_PICKLED = "model.safetensors", "pytorch_model.bin"
_TRANSFORMERS_WEIGHTS = (_WHOLE, _WHOLE + INDEX, _WHOLE_PICKLED, _WHOLE_PICKLED + INDEX)
_CONFIG = "config.json"
_LARGEST = (256 << 20, MAX_TEMPLATE)  # bytes of other text files, and of chat templates
_TOKENIZER_CONFIG = "tokenizer_config.json"
# `tokenizer.json` is complete; one of the others is read if it is missing
_VOCABULARIES: tuple[str, ...] = (
    *("tokenizer.json", "vocab.json", "tokenizer.model", "spiece.model"),
    *("sentencepiece.bpe.model", "vocab.txt"),
)
_QFORMER = "qformer_tokenizer"  # a folder
_SPECIAL_TOKENS = ("special_tokens_map.json", "added_tokens.json")
MORE_TEMPLATES = "additional_chat_templates/*.jinja"  # read by transformers from a local folder
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
        model_types: Allowed values of `model_type` in the configuration; empty for any.
        auto_table: Name of transformers' table of allowed model types; empty for none.
        purpose: What the models of that table do, for messages.
    """

    config: str
    needed: Callable[[Find], Files]
    optional: tuple[str, ...] = ()
    model_types: tuple[str, ...] = ()
    auto_table: str = ""
    purpose: str = ""


def refuse_large(path: Path) -> None:
    """Refuse a text file of a repository that is too large to be read into memory, or is a pipe.

    Raises:
        CellError: It is not a regular file, or larger than any published file of its kind.
    """
    largest = _LARGEST[path.suffix == ".jinja" or path.stem == "chat_template"]
    if path.exists() and not (path.is_file() and path.stat().st_size <= largest):
        raise CellError(f"{path}: not a file of at most {largest >> 20} MiB")


def read_json(path: Path | None) -> dict[str, Any]:
    """Return the mapping in a JSON file; an empty mapping for None.

    Raises:
        CellError: The file cannot be read, is not valid JSON, is too large or nested too deeply, or
            does not contain a mapping.
    """
    if path is None:
        return {}
    refuse_large(path)
    try:
        content = text_files.read_json(path)
    except ValueError as error:
        raise CellError(str(error)) from error
    if not isinstance(content, dict):
        raise CellError(f"{path}: got a {type(content).__name__}; a mapping is needed")
    return content


def section(config: object, *keys: str) -> dict[str, Any]:
    """Return the mapping under a key path of a configuration; empty if there is none."""
    for key in keys:
        config = config.get(key) if isinstance(config, dict) else None
    return config if isinstance(config, dict) else {}


def _open_clip_files(find: Find) -> Files:
    text = section(read_json(find(OPEN_CLIP_CONFIG)), "model_cfg", "text_cfg")
    tokenizer = _text_files(find) if "hf_tokenizer_name" in text else []
    return [OPEN_CLIP_WEIGHTS, (OPEN_CLIP_CONFIG,), *tokenizer]


def _transformers_files(find: Find) -> Files:
    weights, config, *shards = _weight_files(find)
    return [weights, config, *_processor_files(find), *shards]


def _weight_files(find: Find) -> Files:
    first = next((name for name in _TRANSFORMERS_WEIGHTS if find(name)), "")
    shards = _shards(find(first)) if first.endswith(INDEX) else []
    return [_TRANSFORMERS_WEIGHTS, (_CONFIG,), *shards]


def _processor_files(find: Find) -> Files:
    # the settings for images may be in either file
    return [(_IMAGES, _PROCESSOR), *_text_files(find)]


def _chat_files(find: Find) -> Files:
    found = _transformers_files(find)
    if str(read_json(find(_CONFIG)).get("model_type")).startswith("instructblip"):
        # its Q-Former reads the question with a tokenizer of its own
        inner = _text_files(lambda name: find(f"{_QFORMER}/{name}"))
        found += [tuple(f"{_QFORMER}/{name}" for name in names) for names in inner]
    return found


def _language_files(find: Find) -> Files:
    weights, config, *shards = _weight_files(find)
    return [weights, config, *_text_files(find), *shards]


def _text_files(find: Find) -> Files:
    tokenizer = find(_TOKENIZER_CONFIG)
    kind = read_json(tokenizer).get("tokenizer_class")
    return [(_TOKENIZER_CONFIG,), *(_vocabulary(find, kind) if tokenizer else [])]


def _vocabulary(find: Find, kind: object) -> Files:
    """Return the files with a tokenizer's vocabulary.

    Args:
        find: Finds files that are already here.
        kind: Name of the tokenizer's class. transformers accepts a configuration without it.
    """
    names = _VOCABULARIES
    if str(kind).startswith("SiglipTokenizer"):
        names = ("spiece.model", *(name for name in names if name != "spiece.model"))
    first = next((name for name in names if find(name)), "")
    return [names, *([("merges.txt",)] if first == "vocab.json" else [])]


def _tokenizer_files(find: Find) -> Files:
    # not every such repository has a configuration that names the class
    return _vocabulary(find, None)


def _config_files(find: Find) -> Files:
    return [(_CONFIG,)]


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
_CLIP_TYPES = ("clip", "siglip")
CLIP = RepositoryLayout(  # CLIP and SigLIP of transformers
    _CONFIG, _transformers_files, optional=(_PROCESSOR,), model_types=_CLIP_TYPES
)
CLIP_WEIGHTS = RepositoryLayout(_CONFIG, _weight_files, model_types=_CLIP_TYPES)
LANGUAGE = RepositoryLayout(  # text models of transformers
    _CONFIG,
    _language_files,
    optional=("generation_config.json", "chat_template.jinja", *_SPECIAL_TOKENS),
    auto_table="MODEL_FOR_CAUSAL_LM_MAPPING_NAMES",
    purpose="that writes text",
)
CHAT = RepositoryLayout(  # vision-language models of transformers
    _CONFIG,
    _chat_files,
    optional=(
        "generation_config.json",
        _PROCESSOR,
        "video_preprocessor_config.json",
        "chat_template.jinja",
        "chat_template.json",
        *_SPECIAL_TOKENS,
    ),
    auto_table="MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES",
    purpose="that answers questions about images",
)
# parts of a model in another repository, as a configuration of open_clip names them
TOKENIZER = RepositoryLayout(
    _TOKENIZER_CONFIG, _tokenizer_files, optional=(_TOKENIZER_CONFIG, _CONFIG, *_SPECIAL_TOKENS)
)
ARCHITECTURE = RepositoryLayout(_CONFIG, _config_files)  # without its weights
# the processor of a `CLIP_WEIGHTS`; transformers may take the tokenizer's class from `_CONFIG`
CLIP_PROCESSOR = RepositoryLayout(
    _TOKENIZER_CONFIG, _processor_files, optional=(_PROCESSOR, _CONFIG, *_SPECIAL_TOKENS)
)
