"""Settings that a file of weights does not contain, by open_clip's table of pretrained tags."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from radapt.activations import Activation
from radapt.compat import ensure_torchvision
from radapt.normalisations import CLIP_MEAN, CLIP_STD

MeanStd = tuple[tuple[float, ...], tuple[float, ...]]


@dataclass(frozen=True, slots=True)
class FileSettings:
    """Settings of a model whose weights are in a file.

    Attributes:
        normalisation: Mean and standard deviation per channel; None for CLIP's.
        activation: The activation function; None for that of the model's configuration.
    """

    normalisation: MeanStd | None = None
    activation: Activation | None = None


UNSET = FileSettings()


def undecided(
    model: str,
    normalisation: Callable[[MeanStd], str] | None,
    activation: Callable[[str], str] | None,
) -> str:
    """Return which settings a file of weights needs, with the values to choose from.

    So weights under one name that are normalised in two ways always say which way is theirs.

    Args:
        model: Name of an open_clip model.
        normalisation: Writes a normalisation as a user sets it; None if it is set.
        activation: Writes the name of an activation as a user sets it; None if it is set.

    Returns:
        The end of a message; empty if the file needs no setting.
    """
    wanted = []
    if normalisation and (values := undecided_normalisations(model)):
        written = {normalisation(value): tags for value, tags in values.items()}
        wanted.append(f"the normalisation of images; add {_choices(written)}")
    if activation and (names := undecided_activations(model)):
        written = {activation(name): tags for name, tags in names.items()}
        wanted.append(f"the activation; add {_choices(written)}")
    return f"weights of {model} in a file do not tell {', nor '.join(wanted)}" if wanted else ""


def _choices(written: Mapping[str, list[str]]) -> str:
    """Return the choices, each with up to two pretrained tags of open_clip that have it."""
    parts = []
    for text, tags in written.items():
        more = ", ..." if len(tags) > 2 else ""
        parts.append(f"`{text}`" + (f" (as {', '.join(tags[:2])}{more})" if tags else ""))
    return " or ".join(parts)


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
