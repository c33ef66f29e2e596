"""The manifest: the protocol behind each number of a suite, and the machine that it ran on."""

import hashlib
import json
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from bench.core.resolved_names import UNRESOLVED, DatasetLock, Lock
from bench.core.types import Details
from bench.plan.cells import Cell
from bench.plan.identity import external_identity
from bench.results.attack_summary import settings
from bench.results.protocol_summary import judged_as
from bench.results.tables import Scored
from bench.suite.judge_prompt import judge_identity
from bench.suite.load import Suite
from bench.suite.metrics import metric_of, rule_of
from bench.suite.specs import (
    AnyAttack,
    ExternalImages,
    LanguageDataset,
    ModelSpec,
    Threat,
)
from bench.suite.specs.models import root_model

OWN = "the model's own"  # a `python` model's preprocessing is unknown
NORMALISATION = "inside the model, after resizing; attacks work on [0,1] pixels"


def manifest(suite: Suite, lock: Lock, scored: Iterable[Scored]) -> dict[str, dict[str, Any]]:
    """Return one entry per cell that has run, by the cell's id as in `cells.csv`.

    Of several cells with one id, the first counts.
    """
    entries, found = Entries(suite, lock), dict[str, dict[str, Any]]()
    for item in scored:
        if item.cell.id not in found and (details := item.details()) is not None:
            found[item.cell.id] = entries.of(item, details)
    return found


class Entries:
    """Makes the entries of a suite's manifest; what many cells share is made once.

    The cells of a model follow each other, so only what its cells share is kept.
    """

    def __init__(self, suite: Suite, lock: Lock) -> None:
        """Begin without any cell."""
        self._suite, self._lock = suite, lock
        self._attacks = {attack.label_in_norm: _Shared(_attack(attack)) for attack in suite.attacks}
        self._model = ""
        # by names, and by identities of what lives as long as the cells
        self._measured: dict[tuple[object, ...], tuple[_Shared, tuple[str, ...]]] = {}
        self._made: dict[tuple[object, ...], _Shared] = {}

    def of(self, item: Scored, details: Details) -> dict[str, Any]:
        """Return the entry of a cell that has run."""
        measured, *attacked = self._shared(item)
        found = {**measured.fields, "ran_on": dict(details.provenance)}
        for each in attacked:
            found |= each.fields
        return found

    def line(self, item: Scored, details: Details) -> str:
        """Return the entry of a cell as JSON."""
        measured, *attacked = self._shared(item)
        ran_on = json.dumps(dict(details.provenance))
        texts = (measured.text, f'"ran_on": {ran_on}', *(each.text for each in attacked))
        return f"{{{', '.join(texts)}}}"

    def _shared(self, item: Scored) -> "tuple[_Shared, ...]":
        """Return how a cell was measured, its attack, and how its images were made."""
        cell, result, attack, threat = item.cell, item.result, item.cell.attack, item.cell.threat
        assert result is not None
        if cell.target != self._model:
            self._model, self._measured, self._made = cell.target, {}, {}
        ids = result.sample_ids
        key = (cell.dataset, cell.metric, attack is None, cell.seed, id(ids), item.anytime)
        measured = self._measured.get(key)
        if measured is None:
            measured = _Shared(_measured(self._suite, self._lock, item)), ids
            self._measured[key] = measured  # with the ids, so that their identity stays theirs
        if attack is None or threat is None:
            return measured[:1]
        given = (cell.dataset, id(attack)) if isinstance(attack, ExternalImages) else ()
        under = (cell.eps, id(threat), cell.mode, item.trust_flags, given)
        made = self._made.get(under)
        if made is None:
            made = _Shared(_made(self._suite, self._lock, item, attack, threat))
            self._made[under] = made
        return measured[0], self._attacks[attack.label_in_norm], made


class _Shared:
    """Fields of an entry, with their JSON."""

    __slots__ = ("fields", "text")

    def __init__(self, fields: dict[str, Any]) -> None:
        self.fields, self.text = fields, json.dumps(fields)[1:-1]


def _attack(attack: AnyAttack) -> dict[str, Any]:
    return {
        "attack": attack.model_dump(mode="json", exclude={"eps", "name"}),
        **settings(attack),
    }


def _measured(suite: Suite, lock: Lock, item: Scored) -> dict[str, Any]:
    """Return what the cells of a model, a dataset, a metric and a seed share."""
    cell, result, protocol = item.cell, item.result, suite.protocol
    assert result is not None
    known = lock.whole if cell.attack is None and cell.dataset in lock.whole else lock.datasets
    resolved = known.get(cell.dataset)
    # a cell that stopped early lists all images that it could have used
    ids = resolved.sample_ids if item.anytime and resolved else result.sample_ids
    templates = protocol.templates
    if isinstance(suite.dataset(cell.dataset), LanguageDataset):
        templates = ()  # no classes, so no prompt templates
    elif templates == "dataset":
        templates = resolved.templates if resolved else ()
    own = suite.models[cell.target].runs_own_code
    return {
        **({"note": suite.note} if suite.note else {}),
        "model": cell.target,
        "weights": weights(suite, lock, cell.target),
        "dataset": cell.dataset,
        "metric": cell.metric,
        **_prompt_and_judge(suite, lock, cell),
        **({"vqa_rule": rule} if (rule := rule_of(protocol, cell.metric)) else {}),
        "content": resolved.fingerprint if resolved else UNRESOLVED,
        "content_origin": resolved.origin if resolved else "",
        **_remarks(resolved),
        "images": len(ids),
        "image_ids": _hash(ids),
        **({"until": suite.until.rule} if item.anytime and suite.until else {}),
        "seed": cell.seed,
        "classes": len(resolved.classes) if resolved else 0,
        "class_names": _hash(resolved.classes if resolved else ()),
        "templates": list(templates) if len(templates) <= 1 else len(templates),
        "templates_hash": _hash(tuple(templates)),
        "pixels": str(protocol.pixels_of(cell.dataset)),
        "resize_in_model": OWN if own else str(protocol.resize),
        "normalisation": OWN if own else NORMALISATION,
        "judged_in": _precision(suite, cell.target),
        **({"answer_tokens": protocol.answer_tokens} if cell.task.answers else {}),
    }


def _made(
    suite: Suite, lock: Lock, item: Scored, attack: AnyAttack, threat: Threat
) -> dict[str, Any]:
    """Return what the cells of a model share under a threat and at a radius."""
    cell = item.cell
    return {
        "eps": cell.eps,
        "threat": threat.kind,
        **_origin_of_images(suite, lock, cell, attack),
        "judged_as": judged_as(suite.protocol.storage, cell.mode, attack),
        **({"trust": list(item.trust_flags)} if item.trust_flags else {}),
    }


def _origin_of_images(suite: Suite, lock: Lock, cell: Cell, attack: AnyAttack) -> dict[str, Any]:
    """Return what made a cell's adversarial images: its sources, or the files of others."""
    if isinstance(attack, ExternalImages):
        return {"images_hash": external_identity(lock, attack, cell.dataset)}
    of_sources = [weights(suite, lock, name) for name in cell.sources]
    return {
        "source": cell.source,
        "source_weights": of_sources[0] if len(of_sources) == 1 else of_sources,
        "craft": cell.mode,
    }


def _remarks(resolved: DatasetLock | None) -> dict[str, Any]:
    """Return the remarks on how the dataset's files were read, by name, if there are any."""
    found = {remark.name: remark.text for remark in resolved.remarks} if resolved else {}
    return {"remarks": found} if found else {}


def _precision(suite: Suite, name: str) -> str:
    """Return the floating-point type in which a model is scored."""
    return root_model(suite.models, name).compute_dtype


def _prompt_and_judge(suite: Suite, lock: Lock, cell: Cell) -> dict[str, Any]:
    """Return the prompt of a language dataset, and the judge if the metric has one."""
    dataset = suite.dataset(cell.dataset)
    if not isinstance(dataset, LanguageDataset):
        return {}
    asked = {"prompt": dataset.prompt_for("{question}")}
    if not metric_of(cell.metric).judged:
        return asked
    judge = suite.protocol.judge.model_dump(exclude={"key"})
    return {
        **asked,
        "judge": {**judge, **judge_identity(suite.protocol, cell.metric, lock).get("judge", {})},
    }


def weights(suite: Suite, lock: Lock, name: str) -> dict[str, Any]:
    """Return the source of a model's weights: its specification, hash and revision."""
    spec: ModelSpec = suite.models[name]
    found = spec.model_dump(mode="json", exclude={"gpus"}, exclude_defaults=True)
    found["kind"] = spec.kind
    found["hash"] = lock.models.get(name, UNRESOLVED)
    if name in lock.origins:
        found["origin"] = lock.origins[name]
    for path, parent in spec.parents.items():
        *outer, last = path.split(".")
        place = found
        for key in outer:
            place = place[key]
        place[last] = weights(suite, lock, parent)
    return found


@lru_cache(maxsize=256)  # many cells share their images
def _hash(values: tuple[str, ...]) -> str:
    return hashlib.sha256("\n".join(values).encode()).hexdigest()[:20]
