"""Which files of the hub hold a model's weights; the first of each that exists is the one."""

from pathlib import Path

from bench.hub import HubFile
from bench.specs import ModelSpec, OpenClipModel

_WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
_CONFIG = "open_clip_config.json"


def hub_files(spec: ModelSpec) -> list[tuple[HubFile, ...]]:
    """Return what a model needs of the hub, each with its alternatives, as open_clip seeks them.

    Models that are made of others, of local files or of weights from elsewhere need nothing.
    """
    if not isinstance(spec, OpenClipModel):
        return []
    if spec.name.startswith("hf-hub:"):
        repo = spec.name.removeprefix("hf-hub:")
        return [_any_of(repo, *_WEIGHTS), _any_of(repo, _CONFIG)]
    if spec.pretrained is None or Path(spec.pretrained).exists():
        return []
    from bench.compat import ensure_torchvision  # brings torch: sizes of data need none

    ensure_torchvision()
    from open_clip.pretrained import get_pretrained_cfg

    published = get_pretrained_cfg(spec.name, spec.pretrained)
    repo, _, name = str(published.get("hf_hub", "")).rpartition("/")
    if not repo:
        return []
    return [_any_of(repo, name) if name else _any_of(repo, *_WEIGHTS)]


def _any_of(repo: str, *names: str) -> tuple[HubFile, ...]:
    return tuple(HubFile(repo, name, kind="model") for name in names)
