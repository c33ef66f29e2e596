"""Findings on disk: `<root>/<suite>/trust/<id>.json`, one file per model, dataset and depth.

The id is a digest of all that changes the findings, so stored findings never belong to other
weights, images or numbers.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

from bench.core.resolved_names import Lock
from bench.plan.identity import model_identity, pair_digest
from bench.store.reading import read_bytes, read_stored, read_with_retry
from bench.store.results_folder import Store
from bench.store.snapshot import Results
from bench.store.writing import write_text
from bench.suite.load import Suite
from bench.trust.conclusions import conclude
from bench.trust.explanations import EXPLANATIONS
from bench.trust.findings import Examined, Finding, flags_of
from bench.trust.reported_number import Number, Pair, reported_numbers

BATTERY = 5  # raise it when a check changes its verdicts
OTHERS = 2  # number of models to transfer from, e.g. a defence's base model and another


def trust_id(suite: Suite, lock: Lock, pair: Pair, number: Number, deep: bool) -> str:
    """Return the id of the findings for a model, a dataset and their number."""
    others = [model_identity(suite, lock, name) for name in transfer_sources(suite, pair[0])]
    more = {"battery": BATTERY, "deep": deep, "cells": number.cells, "others": others}
    return pair_digest(suite, lock, *pair, more)


def transfer_sources(suite: Suite, model: str) -> list[str]:
    """Return models to transfer from: the architecture's origin, sources, any other model."""
    built_on = suite.models[model].architecture_of
    sources = [name for threat in suite.threats for name in threat.sources]
    names = dict.fromkeys([*([built_on] if built_on else []), *sources, *suite.models])
    return [name for name in names if name != model][:OTHERS]


def save_findings(store: Store, key: str, examined: Examined) -> None:
    """Write findings to disk."""
    write_text(_path(store, key), json.dumps(asdict(examined), indent=1))


def load_findings(store: Store, key: str) -> Examined | None:
    """Return stored findings; None if absent or damaged, and then they are computed again."""
    path = str(_path(store, key))

    def read() -> Examined:
        record = json.loads(read_bytes(path))
        findings = (Finding(**finding) for finding in record.pop("findings"))
        # drop checks that no longer exist
        known = tuple(found for found in findings if found.check in EXPLANATIONS)
        return Examined(**record, findings=known)

    return read_stored(path, read, store.set_aside)


def numbers_to_examine(results: Results) -> dict[Pair, Number]:
    """Return the numbers whose model and dataset are in the lock."""
    lock = results.lock
    return {
        (model, dataset): number
        for (model, dataset), number in reported_numbers(results.cells_with_results).items()
        if model in lock.models and dataset in lock.datasets
    }


def findings_and_todo(
    results: Results, deep: bool
) -> tuple[dict[Pair, Examined], dict[Pair, Number]]:
    """Return the stored findings of a suite, and the numbers that are not fully examined.

    Args:
        results: Stored results of the suite.
        deep: Whether only examinations with `--deep` count as complete.
    """
    found = examined_pairs(results)
    complete = {
        pair for pair, record in found.items() if not record.not_done and (record.deep or not deep)
    }
    numbers = numbers_to_examine(results)
    return found, {pair: number for pair, number in numbers.items() if pair not in complete}


def examined_pairs(results: Results) -> dict[Pair, Examined]:
    """Return the stored findings of a suite, and what they mean together.

    A deep finding replaces a cheap one.
    """
    suite, store, lock = results.suite, results.store, results.lock
    folder = store.folder / "trust"
    if read_with_retry(str(folder), folder.stat) is None:  # nothing was ever examined
        return {}
    found = {}
    for pair, number in numbers_to_examine(results).items():
        deep, cheap = (
            load_findings(store, trust_id(suite, lock, pair, number, how)) for how in (True, False)
        )
        either = _merged(deep, cheap) if deep and cheap else deep or cheap
        if either:
            found[pair] = either
    return conclude(found)


def flags_by_pair(examined: Mapping[Pair, Examined]) -> dict[Pair, tuple[str, ...]]:
    """Return the flags for the rows of each model and dataset."""
    return {pair: flags_of(record.findings) for pair, record in examined.items()}


def _merged(deep: Examined, cheap: Examined) -> Examined:
    """Return the findings of both examinations, since either may have been interrupted."""
    if not deep.not_done:
        return deep
    by_check = {found.check: found for found in (*cheap.findings, *deep.findings)}
    return replace(
        cheap, images=max(deep.images, cheap.images), seconds=deep.seconds + cheap.seconds,
        findings=tuple(by_check.values()),
    )  # fmt: skip


def _path(store: Store, key: str) -> Path:
    return store.path_of("trust", key, "json")
