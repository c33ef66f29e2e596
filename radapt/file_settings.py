"""Settings that a file of weights does not contain, by open_clip's table of pretrained tags."""

from typing import Any

from radapt.compat import ensure_torchvision
from radapt.normalisations import CLIP_MEAN, CLIP_STD

MeanStd = tuple[tuple[float, ...], tuple[float, ...]]


def undecided_normalisations(name: str) -> dict[MeanStd, list[str]]:
    """Return means and standard deviations that a file of this model may need, with their tags.

    open_clip gives a file CLIP's values. So the result is empty if all known tags of the model have
    these values, or if it has no tags.

    Args:
        name: Name of an open_clip model.
    """
    found: dict[MeanStd, list[str]] = {}
    for tag, config in _tags(name).items():
        mean, std = config.get("mean") or CLIP_MEAN, config.get("std") or CLIP_STD
        found.setdefault((tuple(mean), tuple(std)), []).append(tag)
    return found if found.keys() - {(CLIP_MEAN, CLIP_STD)} else {}


def undecided_activations(name: str) -> dict[str, list[str]]:
    """Return the activations that a file of this model may need, with the tags that have them.

    The result is empty if the model's configuration has QuickGELU, or if no weights are known that
    need it: no tag has QuickGELU, and no model is called `NAME-quickgelu`.

    Args:
        name: Name of an open_clip model.
    """
    ensure_torchvision()  # before open_clip, which imports torchvision
    from open_clip import factory

    twin = f"{_builtin(name)}-quickgelu"
    config = factory.get_model_config(_builtin(name)) or {}
    found: dict[str, list[str]] = {"quick_gelu": [], "gelu": []}
    for tag, known in _tags(name).items():
        found["quick_gelu" if known.get("quick_gelu") else "gelu"].append(tag)
    needed = found["quick_gelu"] or factory.get_model_config(twin) is not None
    return found if needed and not config.get("quick_gelu") else {}


def _tags(name: str) -> dict[str, dict[str, Any]]:
    ensure_torchvision()
    from open_clip import pretrained

    model = _builtin(name)
    tags = pretrained.list_pretrained_tags_by_model(model)
    return {tag: pretrained.get_pretrained_cfg(model, tag) for tag in tags}


def _builtin(name: str) -> str:
    """Return a model's name as open_clip's tables have it: it also loads `ViT-B/32`."""
    return name.replace("/", "-")
