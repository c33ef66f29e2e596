"""The protocol details of the page: the manifest without repetition."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from bench.results.attack_summary import in_words
from bench.suite.load import Suite
from bench.trust.findings import Examined
from bench.trust.reported_number import Pair

Entries = Mapping[str, Mapping[str, Any]]
Pairs = list[tuple[str, str]]
# fields of `ran_on` that differ between models
_MODEL_FIELDS = (
    *("batch", "answer_batch", "backwards"),
    *("activation", "model_pixels", "mean", "std", "logit_scale"),
)
_DATASET_FIELDS = (
    *("images", "pixels", "resize_in_model", "classes", "templates", "seed"),
    *("content", "content_origin", "remarks", "image_ids", "class_names", "templates_hash"),
    "vqa_rule",  # only if the metric has one
)


def details(suite: Suite, entries: Entries) -> dict[str, dict[str, Pairs] | Pairs]:
    """Return the details of models and datasets as pairs of a key and a text, and of attacks.

    Args:
        suite: The suite.
        entries: The manifest, an entry per cell.

    Returns:
        The pairs by name, under `models`, `datasets` and `ran_on` (by model); the pairs of the
        attacks, each a name and its settings in words.
    """
    models: dict[str, Pairs] = {}
    datasets: dict[str, Pairs] = {}
    ran: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    # entries with an attack first: clean accuracy may be measured on more images
    for entry in sorted(entries.values(), key=lambda entry: "attack" not in entry):
        if entry["model"] not in models:
            models[entry["model"]] = list(flat(entry["weights"]))
        if entry["dataset"] not in datasets:
            fields = {name: entry[name] for name in _DATASET_FIELDS if name in entry}
            datasets[entry["dataset"]] = list(flat(fields))
        for name, value in entry["ran_on"].items():
            if name != "backwards":
                ran[entry["model"]][name].add(str(value))
    attacks = {attack.label_in_norm: in_words(attack) for attack in suite.attacks}
    return {
        "models": models,
        "datasets": datasets,
        "attacks": list(attacks.items()),
        "ran_on": {model: _joined(found) for model, found in ran.items()},
    }


def evidence(examined: Mapping[Pair, Examined]) -> dict[str, dict[str, Any]]:
    """Return the findings of the trust battery by model and dataset, with their sentences."""
    found: dict[str, dict[str, Any]] = defaultdict(dict)
    for (model, dataset), record in examined.items():
        images = f"{record.images} images{', deep' if record.deep else ''}"
        found[model][dataset] = {
            "of": f"at {record.eps}, {record.attack}, {images}",
            "left": record.not_done,
            "found": [[each.verdict, each.check, each.evidence] for each in record.findings],
        }
    return found


def remarks(entries: Entries) -> dict[str, str]:
    """Return what the remarks on datasets say, by the name that follows `data=` in a flag."""
    found: dict[str, dict[str, None]] = defaultdict(dict)
    for entry in entries.values():
        for name, text in entry.get("remarks", {}).items():
            found[name][f"{entry['dataset']}: {text}."] = None
    return {name: " ".join(texts) for name, texts in found.items()}


def versions(entries: Entries) -> str:
    """Return devices and versions of packages of all cells, in one line."""
    found: dict[str, set[str]] = defaultdict(set)
    for entry in entries.values():
        for name, value in entry["ran_on"].items():
            if name not in _MODEL_FIELDS:
                found[name].add(str(value))
    return ", ".join(f"{name} {text}" for name, text in _joined(found))


def _joined(found: Mapping[str, set[str]]) -> Pairs:
    return [(name, " or ".join(sorted(values))) for name, values in found.items()]


def flat(value: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    """Yield nested entries as pairs with dotted keys: `anchor.file`."""
    for name, inner in value.items():
        if isinstance(inner, Mapping):
            yield from flat(inner, f"{above}{name}.")
        elif isinstance(inner, list | tuple):
            if inner:
                yield f"{above}{name}", " | ".join(map(str, inner))
        elif inner not in ("", None):
            yield f"{above}{name}", str(inner)
