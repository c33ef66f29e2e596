"""Loading a model of open_clip: by name and tag, from the hub, or from a folder."""

import json
from pathlib import Path
from typing import Any

from radapt.compat import ensure_torchvision
from radapt.remote_code import no_remote_code, refuse_remote_code

_CONFIG = "open_clip_config.json"
_FOLDER, _HUB = "local-dir:", "hf-hub:"


def load_open_clip(name: str, pretrained: str | None = None) -> tuple[Any, Any]:
    """Return a model of open_clip and its tokenizer; no code of theirs runs.

    Args:
        name: A name that open_clip knows, `hf-hub:OWNER/NAME`, or `local-dir:FOLDER`.
        pretrained: A tag or a file of weights; None where the name stands for them.

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
    with no_remote_code(*places):
        model = open_clip.create_model(name, pretrained=pretrained)
        return model, open_clip.get_tokenizer(name)


def _config_file(name: str) -> Path | None:
    """Return the configuration that a checkpoint brings; None for a model that open_clip knows."""
    if name.startswith(_FOLDER):
        return Path(name.removeprefix(_FOLDER)) / _CONFIG
    if name.startswith(_HUB):
        from open_clip.pretrained import download_pretrained_from_hf

        return Path(download_pretrained_from_hf(name.removeprefix(_HUB), filename=_CONFIG))
    return None
