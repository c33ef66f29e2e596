"""Load a model of open_clip: by name and tag, from a file, from the hub, or from a folder."""

import pickle
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any

import torch

from radapt.activations import Activation, activation
from radapt.compat import ensure_torchvision
from radapt.file_settings import UNSET, FileSettings
from radapt.remote_code import no_remote_code, refuse_remote_code
from radapt.state_dicts import VISION, State, mismatch, read_state
from radapt.text_files import read_json
from radapt.weight_files import inert_values, unreadable

_CONFIG = "open_clip_config.json"
_FOLDER, _HUB = "local-dir:", "hf-hub:"
_TOKENIZER, _TEXT_TOWER = "hf_tokenizer_name", "hf_model_name"  # names of other repositories
_BIG_VISION = (".npz", ".npy")  # formats that open_clip reads
_TOWER = ("proj", "conv1.", "trunk.")  # names of a vision tower's weights start with these
# open_clip resizes these silently if a file has another number of positions
_POSITIONS = (f"{VISION}positional_embedding", "positional_embedding", "text.positional_embedding")


def pretrained_tag(name: str, tag: str) -> dict[str, Any]:
    """Return open_clip's configuration of a pretrained tag, after a check of its activation.

    Raises:
        ValueError: The model or tag does not exist, or the weights were trained with QuickGELU
            and the model uses GELU. open_clip only warns and computes with GELU. Before version
            2.29 OpenAI's models had QuickGELU under their plain names.
    """
    ensure_torchvision()  # before open_clip, which imports torchvision
    from open_clip import factory, pretrained

    config = factory.get_model_config(name)
    if config is None:
        raise ValueError(f"open_clip has no model {name!r}; see `open_clip.list_models()`")
    known: dict[str, Any] = pretrained.get_pretrained_cfg(name, tag)
    if not known:
        tags = ", ".join(pretrained.list_pretrained_tags_by_model(name)) or "none"
        raise ValueError(f"{name} has no pretrained tag {tag!r}; allowed: {tags}")
    if known.get("quick_gelu") and not config.get("quick_gelu"):
        raise ValueError(
            f"{name}: the weights {tag!r} were trained with QuickGELU, which {name} lacks in "
            f"today's open_clip; allowed: {name}-quickgelu"
        )
    return known


def load_open_clip(
    name: str,
    pretrained: str | None = None,
    settings: FileSettings = UNSET,
    folders: Mapping[str, str] = MappingProxyType({}),
) -> tuple[Any, Any]:
    """Return a model of open_clip and its tokenizer, without running code of the checkpoint.

    Args:
        name: Name of an open_clip model, `hf-hub:OWNER/NAME`, or `local-dir:FOLDER`.
        pretrained: A tag, or a file of weights in any layout of `radapt.state_dicts`; None for
            `hf-hub:` and `local-dir:`, which include the weights.
        settings: Normalisation and activation in place of those of the tag or configuration. A
            file has no normalisation of its own, so open_clip gives it CLIP's.
        folders: For a name of open_clip: local folders in place of the repositories that its
            configuration names under `hf_tokenizer_name` and `hf_model_name`, by these keys.

    Raises:
        RemoteCodeError: The checkpoint needs its own code.
        Exception: open_clip cannot load the model; it raises errors of many kinds.
    """
    ensure_torchvision()
    import open_clip

    path = _config_file(name)
    config = read_json(path) if path else {}
    refuse_remote_code(config, path or name)
    if path is None:
        config = {"model_cfg": open_clip.get_model_config(name.replace("/", "-")) or {}}
    # a text tower and tokenizer of transformers may be in another folder or repository
    named = (_TEXT_TOWER, _TOKENIZER)
    text = dict(config.get("model_cfg", {}).get("text_cfg", {}))
    text |= {key: folders[key] for key in named if key in folders}
    places = [str(path.parent) if path else name]
    places += [str(text[key]) for key in named if text.get(key)]
    values = settings.normalisation
    forced = None if values is None else dict(mean=values[0], std=values[1])
    # the weights of the text tower are in the checkpoint
    tower = {"text_cfg": {**text, "hf_model_pretrained": False}} if _TEXT_TOWER in folders else {}
    with no_remote_code(*places), _readable_weights(name, pretrained) as (weights, positions):
        with _short_errors(pretrained), inert_values():
            model = open_clip.create_model(
                name,
                pretrained=weights,
                force_quick_gelu=settings.activation == "quick_gelu",
                force_preprocess_cfg=forced,
                **tower,
            )
        _check_positions(pretrained, positions, model.state_dict())
        _check_activation(name, settings.activation, activation(model))
        own = _TOKENIZER not in folders
        return model, open_clip.get_tokenizer(name) if own else _tokenizer(text)


def _tokenizer(text: Mapping[str, Any]) -> Any:
    """Return the tokenizer of a configuration `text_cfg`, as `open_clip.get_tokenizer` makes it."""
    from open_clip.tokenizer import DEFAULT_CONTEXT_LENGTH, HFTokenizer

    return HFTokenizer(
        text[_TOKENIZER],
        context_length=text.get("context_length", DEFAULT_CONTEXT_LENGTH),
        tokenizer_mode=text.get("tokenizer_mode"),
        **text.get("tokenizer_kwargs", {}),
    )


@contextmanager
def _short_errors(pretrained: str | None) -> Iterator[None]:
    """Shorten errors that list all names of weights, or that recommend unsafe loading."""
    source = f"{pretrained}: " if pretrained else ""
    try:
        yield
    except pickle.UnpicklingError as error:
        raise ValueError(f"{source}{unreadable(error)}") from error
    except RuntimeError as error:
        if "loading state_dict" not in str(error):
            raise
        raise ValueError(f"{source}{mismatch(error)}") from error


def _check_activation(name: str, wanted: Activation | None, built: str) -> None:
    if wanted is not None and built != wanted:
        raise ValueError(
            f"activation: got {wanted!r}, but the layers of {name} have "
            f"{built or 'none of the known activations'}; remove the activation, or use the name "
            "of a model that has it"
        )


@contextmanager
def _readable_weights(
    name: str, pretrained: str | None
) -> Iterator[tuple[str | None, dict[str, int]]]:
    """Yield a checked tag, or a file of weights in a layout that open_clip reads.

    The second value has the numbers of positions in a file, by the names of their embeddings.
    """
    file = Path(pretrained or "")
    if pretrained is None or (file.is_file() and file.suffix in _BIG_VISION):
        yield pretrained, {}
        return
    if not file.is_file():
        pretrained_tag(name, pretrained)
        yield pretrained, {}
        return
    state, wrapped = read_state(file)
    if not any(key.startswith(VISION) for key in state) and any(
        key.startswith(_TOWER) for key in state
    ):
        raise ValueError(
            f"{file}: has only a vision tower, but a whole CLIP is needed; load the CLIP that it "
            "was fine-tuned from, and give this file as its tower"
        )
    positions = {key: len(state[key]) for key in _POSITIONS if key in state}
    with TemporaryDirectory() as folder:
        path = file.absolute()  # open_clip takes the bare name of a tag as the tag
        if wrapped:
            path = Path(folder) / "weights.pt"
            torch.save(state, path)
        del state
        yield str(path), positions


def _check_positions(file: str | None, positions: dict[str, int], model: State) -> None:
    for name, count in positions.items():
        built = f"text.{name}" if name == _POSITIONS[1] and name not in model else name
        if built in model and len(model[built]) != count:
            raise ValueError(
                f"{file}: {name} has {count} positions, but the model has {len(model[built])}; use "
                "the name of a model with the image size and context length of the file"
            )


def _config_file(name: str) -> Path | None:
    """Return a checkpoint's configuration file; None for a model that is built into open_clip."""
    if name.startswith(_FOLDER):
        return Path(name.removeprefix(_FOLDER)) / _CONFIG
    if name.startswith(_HUB):
        from open_clip.pretrained import download_pretrained_from_hf

        return Path(download_pretrained_from_hf(name.removeprefix(_HUB), filename=_CONFIG))
    return None
