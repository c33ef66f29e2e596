"""A suite's protocol in the words in which published numbers state theirs."""

from collections.abc import Sequence
from pathlib import Path

from bench.core.types import Mode
from bench.results.attack_summary import settings
from bench.suite.load import Suite
from bench.suite.specs import (
    AnyAttack,
    HuggingFaceModel,
    LvlmModel,
    NanoModel,
    OpenClipModel,
    RAdaptModel,
    Storage,
)
from bench.suite.specs.models import HUB


def protocol(
    suite: Suite, model: str, datasets: Sequence[str], attack: AnyAttack | None, mode: Mode
) -> dict[str, str]:
    """Return the fields that a number of a model on datasets depends on."""
    templates = suite.protocol.templates
    found = {
        "weights": weights(suite, model),
        "pixels": pixels(suite, datasets),
        "resize": str(suite.protocol.resize),
        "templates": templates if templates == "dataset" else " | ".join(templates),
    }
    if attack is not None:
        found |= {"storage": judged_as(suite.protocol.storage, mode), **settings(attack)}
    return found


def judged_as(storage: Storage, mode: Mode) -> str:
    """Return the form in which attacked images were judged: 8 bits, or nearer to the attack."""
    return "float32" if storage == "float16" and mode == "success" else storage


def weights(suite: Suite, name: str) -> str:
    """Return where a model's weights come from, `ViT-L-14-quickgelu openai + filter`."""
    match spec := suite.models[name]:
        case OpenClipModel():
            tower = Path(spec.tower).name if spec.tower else None
            parts = (spec.name.removeprefix(HUB), spec.pretrained, tower)
            return " ".join(part for part in parts if part)
        case RAdaptModel():
            white = spec.anchor.white
            anchor = f"white {weights(suite, white)}" if white else "fitted"
            parts = (
                weights(suite, spec.base),
                f"anchor({anchor})" if spec.alpha else "",
                "filter" if spec.cutoff else "",
            )
            return " + ".join(part for part in parts if part)
        case NanoModel():
            return f"nano {spec.weights}"
        case HuggingFaceModel():
            return spec.name
        case LvlmModel():
            tower = f" with the tower of {weights(suite, spec.tower)}" if spec.tower else ""
            return f"{spec.name}{tower}"
        case _:
            return spec.kind


def pixels(suite: Suite, datasets: Sequence[str]) -> str:
    """Return at what size datasets are attacked, `224 crop; native: cifar10 stl10`."""
    sizes = {name: str(suite.protocol.pixels_of(name)) for name in datasets}
    if len(set(sizes.values())) == 1:
        return next(iter(sizes.values()))
    native = " ".join(sorted(name for name, size in sizes.items() if size == "native"))
    return f"{suite.protocol.pixels}; native: {native}"
