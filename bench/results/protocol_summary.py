"""A suite's protocol in the terms in which papers state theirs."""

from collections.abc import Sequence
from functools import partial

from bench.core.types import Mode
from bench.results.attack_summary import settings
from bench.suite.load import Suite
from bench.suite.specs import AnyAttack, ExternalImages, Storage


def protocol(
    suite: Suite, model: str, datasets: Sequence[str], attack: AnyAttack | None, mode: Mode
) -> dict[str, str]:
    """Return the protocol fields that a model's number on datasets depends on."""
    templates = suite.protocol.templates
    found = {
        "weights": weights(suite, model),
        "pixels": pixels(suite, datasets),
        "resize": str(suite.protocol.resize),
        "templates": templates if templates == "dataset" else " | ".join(templates),
    }
    if attack is not None:
        found |= {"storage": judged_as(suite.protocol.storage, mode, attack), **settings(attack)}
    return found


def judged_as(storage: Storage, mode: Mode, attack: AnyAttack | None) -> str:
    """Return the storage format in which attacked images are scored."""
    if isinstance(attack, ExternalImages):
        return "as given"
    return "float32" if storage == "float16" and mode == "success" else storage


def weights(suite: Suite, name: str) -> str:
    """Return the source of a model's weights: `ViT-L-14-quickgelu openai + filter`."""
    return suite.models[name].description(partial(weights, suite))


def pixels(suite: Suite, datasets: Sequence[str]) -> str:
    """Return the attacked image size of datasets: `224 crop; native: cifar10 stl10`."""
    named: dict[str, list[str]] = {}
    for name in sorted(datasets):
        named.setdefault(str(suite.protocol.pixels_of(name)), []).append(name)
    if len(named) == 1:
        return next(iter(named))
    usual = str(suite.protocol.pixels)
    unusual = sorted(named.keys() - {usual})
    return "; ".join((usual, *(f"{size}: {' '.join(named[size])}" for size in unusual)))
