"""Loading a model of open_clip: by name and tag, from a file, from the hub, or from a folder."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from radapt.compat import ensure_torchvision
from radapt.remote_code import no_remote_code, refuse_remote_code
from radapt.state_dicts import VISION, read_state

_CONFIG = "open_clip_config.json"
_FOLDER, _HUB = "local-dir:", "hf-hub:"
_BIG_VISION = (".npz", ".npy")  # which open_clip reads by itself


def pretrained_tag(name: str, tag: str) -> dict[str, Any]:
    """Return what open_clip knows of a pretrained tag, after a check of the activation.

    Raises:
        ValueError: There is no such model or tag, or the weights were trained with QuickGELU,
            which the model of that name lacks. open_clip only warns, and computes with GELU;
            before 2.29 the plain name of OpenAI's models had QuickGELU.
    """
    ensure_torchvision()  # which open_clip imports
    from open_clip import factory, pretrained

    config = factory.get_model_config(name)
    if config is None:
        raise ValueError(f"open_clip has no model {name!r}; `open_clip.list_models()` names all")
    known: dict[str, Any] = pretrained.get_pretrained_cfg(name, tag)
    if not known:
        tags = ", ".join(pretrained.list_pretrained_tags_by_model(name)) or "none"
        raise ValueError(f"{name} has no pretrained tag {tag!r}; known: {tags}")
    if known.get("quick_gelu") and not config.get("quick_gelu"):
        raise ValueError(
            f"{name}: the weights {tag!r} were trained with QuickGELU, which {name} lacks in "
            f"today's open_clip; allowed: {name}-quickgelu"
        )
    return known


def load_open_clip(name: str, pretrained: str | None = None) -> tuple[Any, Any]:
    """Return a model of open_clip and its tokenizer; no code of theirs runs.

    Args:
        name: A name that open_clip knows, `hf-hub:OWNER/NAME`, or `local-dir:FOLDER`.
        pretrained: A tag, or a file of weights in any layout of `radapt.state_dicts`; None where
            the name stands for them.

    Raises:
        RemoteCodeError: A file of the checkpoint asks for its own code.
        Exception: Of any kind, as open_clip raises them: it cannot be loaded.
    """
    ensure_torchvision()
    import open_clip

    path = _config_file(name)
    config = json.loads(path.read_text("utf-8")) if path else {}
    refuse_remote_code(config, path or name)
    text = config.get("model_cfg", {}).get("text_cfg", {})
    # a text tower and a tokenizer of transformers may be of another folder or repository
    places = [str(path.parent) if path else name]
    places += [str(text[key]) for key in ("hf_model_name", "hf_tokenizer_name") if text.get(key)]
    with no_remote_code(*places), _plain(name, pretrained) as weights:
        model = open_clip.create_model(name, pretrained=weights)
        return model, open_clip.get_tokenizer(name)


@contextmanager
def _plain(name: str, pretrained: str | None) -> Iterator[str | None]:
    """Yield a tag after its check, or a file in a layout that open_clip reads."""
    file = Path(pretrained or "")
    if pretrained is None or (file.is_file() and file.suffix in _BIG_VISION):
        yield pretrained
        return
    if not file.is_file():
        pretrained_tag(name, pretrained)
        yield pretrained
        return
    state, wrapped = read_state(file)
    if not any(key.startswith(VISION) for key in state) and {"proj", "conv1.weight"} & set(state):
        raise ValueError(
            f"{file}: holds a vision tower alone, where a whole CLIP is needed; name it as the "
            "tower over the weights that it was fine-tuned from"
        )
    if not wrapped:
        yield pretrained
        return
    with TemporaryDirectory() as folder:
        rewritten = Path(folder) / "weights.pt"
        torch.save(state, rewritten)
        del state
        yield str(rewritten)


def _config_file(name: str) -> Path | None:
    """Return the configuration that a checkpoint brings; None for a model that open_clip knows."""
    if name.startswith(_FOLDER):
        return Path(name.removeprefix(_FOLDER)) / _CONFIG
    if name.startswith(_HUB):
        from open_clip.pretrained import download_pretrained_from_hf

        return Path(download_pretrained_from_hf(name.removeprefix(_HUB), filename=_CONFIG))
    return None
