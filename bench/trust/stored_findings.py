"""Findings on disk: `<root>/<suite>/trust/<id>.json`, one file per model, dataset and depth.

An id is made of all that changes the findings, so that what is kept is never of other weights,
images or numbers.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from bench.core.locks import Lock
from bench.plan.identity import model_identity, pair_digest
from bench.store.reading import contents, patiently, stored
from bench.store.results_folder import Store, write_text
from bench.store.snapshot import Results
from bench.suite.load import Suite
from bench.trust.explanations import MEANINGS
from bench.trust.findings import Finding, flags_of
from bench.trust.reported_number import Number, Pair, reported_numbers

BATTERY = 3  # raised whenever a check changes what it finds
OTHERS = 2  # models to transfer from: the one that a defence is built on, and another


@dataclass(frozen=True, slots=True)
class Examined:
    """What the battery found of a model on a dataset.

    Attributes:
        model: The model's name when it was examined.
        dataset: The dataset's.
        eps: Radius of the number that was judged, as the suite writes it.
        attack: What that number had been attacked with.
        images: How many images the checks looked at, at most.
        deep: Whether all checks that were done took more of everything.
        seconds: What they took.
        findings: One per check that was done.
    """

    model: str
    dataset: str
    eps: str
    attack: str
    images: int
    deep: bool
    seconds: float
    findings: tuple[Finding, ...]

    @property
    def not_done(self) -> int:
        """How many checks were not done, as time was up or somebody ended it."""
        return len(MEANINGS.keys() - {found.check for found in self.findings})


def trust_id(suite: Suite, lock: Lock, pair: Pair, number: Number, deep: bool) -> str:
    """Return the identity of what the battery finds of a pair and its number."""
    others = [model_identity(suite, lock, name) for name in transfer_sources(suite, pair[0])]
    more = {"battery": BATTERY, "deep": deep, "cells": number.cells, "others": others}
    return pair_digest(suite, lock, *pair, more)


def transfer_sources(suite: Suite, model: str) -> list[str]:
    """Return models to transfer from: what a model is built on, sources of the suite, any other."""
    built_on = suite.models[model].architecture_of
    sources = [name for threat in suite.threats for name in threat.sources]
    names = dict.fromkeys([*([built_on] if built_on else []), *sources, *suite.models])
    return [name for name in names if name != model][:OTHERS]


def save_findings(store: Store, key: str, examined: Examined) -> None:
    """Keep what was found."""
    write_text(_path(store, key), json.dumps(asdict(examined), indent=1))


def load_findings(store: Store, key: str) -> Examined | None:
    """Return what was found; None where it is absent or was damaged: it is examined again."""
    path = str(_path(store, key))

    def read() -> Examined:
        record = json.loads(contents(path))
        findings = (Finding(**finding) for finding in record.pop("findings"))
        known = tuple(found for found in findings if found.check in MEANINGS)  # no bygone check
        return Examined(**record, findings=known)

    return stored(path, read)


def numbers_to_examine(results: Results) -> dict[Pair, Number]:
    """Return the numbers whose model and dataset are resolved."""
    lock = results.lock
    return {
        (model, dataset): number
        for (model, dataset), number in reported_numbers(results.done).items()
        if model in lock.models and dataset in lock.datasets
    }


def findings_and_todo(
    results: Results, deep: bool
) -> tuple[dict[Pair, Examined], dict[Pair, Number]]:
    """Return what was found of a suite's numbers, and those whose examination is not complete.

    Args:
        results: What is stored of the suite.
        deep: Whether examinations with a check that took less count as none.
    """
    found = examined_pairs(results)
    enough = {pair for pair, one in found.items() if not one.not_done and (one.deep or not deep)}
    numbers = numbers_to_examine(results)
    return found, {pair: number for pair, number in numbers.items() if pair not in enough}


def examined_pairs(results: Results) -> dict[Pair, Examined]:
    """Return what is kept of a suite's pairs, of each check the deep finding where there is one."""
    suite, store, lock = results.suite, results.store, results.lock
    folder = store.folder / "trust"
    if patiently(str(folder), folder.stat) is None:  # as where nothing was ever checked
        return {}
    found = {}
    for pair, number in numbers_to_examine(results).items():
        deep, cheap = (
            load_findings(store, trust_id(suite, lock, pair, number, how)) for how in (True, False)
        )
        either = _merged(deep, cheap) if deep and cheap else deep or cheap
        if either:
            found[pair] = either
    return found


def flags_by_pair(examined: Mapping[Pair, Examined]) -> dict[Pair, tuple[str, ...]]:
    """Return the flags of each pair's rows."""
    return {pair: flags_of(record.findings) for pair, record in examined.items()}


def _merged(deep: Examined, cheap: Examined) -> Examined:
    """Return what both found: a deep examination may have been broken off, or a cheap one."""
    if not deep.not_done:
        return deep
    every = {one.check: one for one in (*cheap.findings, *deep.findings)}
    return replace(
        cheap, images=max(deep.images, cheap.images), seconds=deep.seconds + cheap.seconds,
        findings=tuple(every.values()),
    )  # fmt: skip


def _path(store: Store, key: str) -> Path:
    return store.path_of("trust", key, "json")
