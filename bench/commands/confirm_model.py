"""Confirms a model of the catalogue: downloads, loads and tries it, and hashes its files."""

from datetime import date
from importlib.metadata import version
from typing import Any

import yaml

from bench.catalogue.model_facts import known_models
from bench.core.digests import sha256
from bench.core.errors import CellError, UserError
from bench.core.program import PROGRAM
from bench.core.suggestions import suggestion
from bench.hub.weights import weight_files
from bench.plan.resolve import resolve
from bench.suite.load import Suite
from bench.suite.specs import ModelSpec

_DATASET = "cifar10"  # an embedded set
_LEAST = 0.3  # accuracy on ten classes; wrong weights or settings give about 0.1
_WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".tar")


def confirm(name: str, today: date) -> str:
    """Download, load and try a model of the catalogue; return its line for the catalogue.

    Args:
        name: Short name of the model.
        today: The date in the line.

    Raises:
        UserError: The catalogue has no such model, or no kind of model can have its weights.
        CellError: The files are missing, the model cannot be built, or it does not classify.
    """
    facts = known_models().get(name)
    if facts is None:
        near = suggestion(name, known_models())
        raise UserError(
            f"--model: got {name!r}; allowed: a name that `{PROGRAM} list models` prints{near}"
        )
    if facts.model is None:
        raise UserError(f"--model: {name} cannot be used: {facts.refused}")
    suite = _suite(name)
    accuracy = _accuracy(suite, name)
    if accuracy < _LEAST:
        raise CellError(
            f"{name} is loaded, but only {accuracy:.0%} of the embedded {_DATASET} images are "
            f"right; at least {_LEAST:.0%} are needed, so its entry may be wrong"
        )
    found = _verified(suite.models[name], accuracy, today)
    text: str = yaml.safe_dump(found, default_flow_style=True, width=10_000, sort_keys=False)
    return f"verified: {text.strip()}"


def _suite(name: str) -> Suite:
    """Return a suite with one model and one embedded dataset."""
    return Suite.model_validate(
        {
            "suite": "confirm",
            "protocol": "fare-paper",
            "samples": 100,
            "models": {name: name},
            "datasets": [_DATASET],
        }
    )


def _accuracy(suite: Suite, name: str) -> float:
    """Return a model's zero-shot accuracy on the embedded dataset."""
    import torch

    from bench.core.devices import pick_device
    from bench.evaluate.model_cache import ModelCache

    lock, problems = resolve(suite)
    if problems:
        raise CellError("; ".join(problems.values()))
    cache = ModelCache(suite, lock, {}, pick_device(None), None, trust=False)
    images = cache.images(_DATASET)
    classifier = cache.classifier(name, _DATASET)
    right = 0
    for part in torch.arange(len(images.labels)).split(50):
        with torch.no_grad():
            logits = classifier(images.floats(part))
        right += int((logits.argmax(1) == images.labels[part].to(logits.device)).sum())
    return right / len(images.labels)


def _verified(spec: ModelSpec, accuracy: float, today: date) -> dict[str, Any]:
    files = [path for path in weight_files(spec) if path.suffix in _WEIGHTS]
    libraries = ("torch", *(spec.libraries or ("open_clip_torch",)))
    return {
        "date": today.isoformat(),
        "sha256": {path.name: sha256(path).hex() for path in files},
        "libraries": {library: version(library) for library in libraries},
        _DATASET: round(accuracy, 3),
    }
