"""The protocol details of the page: the manifest without repetition."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from bench.core.resolved_names import Lock
from bench.core.types import Details, Facts
from bench.results.attack_summary import in_words
from bench.results.manifest import Entries
from bench.results.tables import Scored
from bench.suite.load import Suite
from bench.trust.findings import Examined
from bench.trust.reported_number import Pair

Pairs = list[tuple[str, str]]
_OF_CELLS = "backwards"  # field of `ran_on` that differs between cells
# fields of `ran_on` that differ between models
_MODEL_FIELDS = (
    *("batch", "answer_batch"),
    *("activation", "model_pixels", "mean", "std", "logit_scale"),
)
_DATASET_FIELDS = (
    *("images", "pixels", "resize_in_model", "classes", "templates", "seed"),
    *("content", "content_origin", "remarks", "image_ids", "class_names", "templates_hash"),
    "vqa_rule",  # only if the metric has one
)


class ProtocolFacts:
    """Collects from the cells of a suite, one after another, what the page says of the protocol.

    Attributes:
        entries: Entries of the manifest: of a cell of each model, and of an attacked and a clean
            cell of each dataset.
        ran_on: The values of each field of `ran_on`, by model.
    """

    def __init__(self, suite: Suite, lock: Lock) -> None:
        """Begin without any cell."""
        self._make = Entries(suite, lock)
        self._seen: set[tuple[str, bool]] = set()
        self._last: dict[str, Facts] = {}
        self.entries: list[Mapping[str, Any]] = []
        self.ran_on: dict[str, dict[str, set[str]]] = {}

    def add(self, item: Scored, details: Details) -> None:
        """Take in a cell that has run."""
        cell = item.cell
        named = {("model " + cell.target, False), (cell.dataset, cell.attack is not None)}
        if not named <= self._seen:
            self._seen |= named
            self.entries.append(self._make.of(item, details))
        facts = {name: value for name, value in details.provenance.items() if name != _OF_CELLS}
        if facts != self._last.get(cell.target):  # the cells of a model mostly ran alike
            self._last[cell.target] = facts
            found = self.ran_on.setdefault(cell.target, {})
            for name, value in facts.items():
                found.setdefault(name, set()).add(str(value))


def details(suite: Suite, facts: ProtocolFacts) -> dict[str, dict[str, Pairs] | Pairs]:
    """Return the details of models and datasets as pairs of a key and a text, and of attacks.

    Args:
        suite: The suite.
        facts: What its cells say of the protocol.

    Returns:
        The pairs by name, under `models`, `datasets` and `ran_on` (by model); the pairs of the
        attacks, each a name and its settings in words.
    """
    models: dict[str, Pairs] = {}
    datasets: dict[str, Pairs] = {}
    # entries with an attack first: clean accuracy may be measured on more images
    for entry in sorted(facts.entries, key=lambda entry: "attack" not in entry):
        if entry["model"] not in models:
            models[entry["model"]] = list(flat(entry["weights"]))
        if entry["dataset"] not in datasets:
            fields = {name: entry[name] for name in _DATASET_FIELDS if name in entry}
            datasets[entry["dataset"]] = list(flat(fields))
    attacks = {attack.label_in_norm: in_words(attack) for attack in suite.attacks}
    return {
        "models": models,
        "datasets": datasets,
        "attacks": list(attacks.items()),
        "ran_on": {model: _joined(found) for model, found in facts.ran_on.items()},
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


def remarks(entries: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return what the remarks on datasets say, by the name that follows `data=` in a flag."""
    found: dict[str, dict[str, None]] = defaultdict(dict)
    for entry in entries:
        for name, text in entry.get("remarks", {}).items():
            found[name][f"{entry['dataset']}: {text}."] = None
    return {name: " ".join(texts) for name, texts in found.items()}


def versions(facts: ProtocolFacts) -> str:
    """Return devices and versions of packages of all cells, in one line."""
    found: dict[str, set[str]] = defaultdict(set)
    for of_model in facts.ran_on.values():
        for name, values in of_model.items():
            if name not in _MODEL_FIELDS:
                found[name] |= values
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
