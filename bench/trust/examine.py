"""Examine the numbers of a suite that the battery has not examined yet, within a time limit."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial

import numpy as np
import torch

from bench.attacks.query_counter import QueryCounter
from bench.core.errors import FAILURES, CellError, StoreError, TimeUp
from bench.core.exits import exit_raises
from bench.core.resolved_names import Lock
from bench.data import index_dataset, load_images
from bench.evaluate.craft import sample_seed
from bench.evaluate.model_cache import ModelCache
from bench.evaluate.tracebacks import reason
from bench.models import ClipModel
from bench.plan.identity import model_identity, pair_digest
from bench.store.results_folder import Store
from bench.store.snapshot import Results
from bench.suite.specs.model_base import DefenceModel
from bench.trust.battery import CHECKS, QUICK, Check, examine
from bench.trust.defence_parts import COMPONENTS, DefenceParts
from bench.trust.findings import Examined, Finding
from bench.trust.own_source import embedded_source
from bench.trust.reported_number import Number, Pair
from bench.trust.stored_findings import load_findings, save_findings, transfer_sources, trust_id
from bench.trust.subject import CHEAP, DEEP, Subject

_FROM_OTHERS = {"transfer", "stand-in"}  # checks that attack from other models


def examine_pairs(
    results: Results,
    pairs: Mapping[Pair, Number],
    cache: ModelCache,
    *,
    deep: bool = False,
    seconds: float | None = None,
    begin: Callable[[Pair, str], object] = lambda pair, check: None,
) -> Iterator[tuple[Pair, str | None]]:
    """Examine models and datasets, continue interrupted examinations, and store the findings.

    With a time limit, all pairs get the quick checks first. The limit interrupts a running check,
    too: the time is checked before each forward pass.

    Args:
        results: Stored results of the suite.
        pairs: Numbers to examine, by model and dataset.
        cache: The suite's models and images.
        deep: Whether the checks use more images, steps, restarts and queries.
        seconds: Time limit for all pairs; None for no limit.
        begin: Called with the pair and the name of each check before it runs.

    Yields:
        Each pair after its examination, with the reason if it could not be examined.

    Raises:
        StoreError: Findings cannot be written or read.
    """
    store, stored = results.store, results.lock
    cache.loading.deadline.restart(seconds)
    over: set[Pair] = set()
    for checks in (CHECKS,) if seconds is None else (QUICK, CHECKS):
        for pair, number in pairs.items():
            if pair in over:
                continue
            try:
                tell = partial(begin, pair)
                _examine_pair(store, stored, cache, pair, number, deep, checks, tell)
            except TimeUp:
                return
            except StoreError:
                raise
            except FAILURES as error:  # the other pairs are still examined
                over.add(pair)
                yield pair, reason(error)
                continue
            if checks is CHECKS:
                yield pair, None


@exit_raises()
def _examine_pair(
    store: Store,
    stored: Lock,
    cache: ModelCache,
    pair: Pair,
    number: Number,
    deep: bool,
    checks: Mapping[str, Check],
    begin: Callable[[str], object],
) -> None:
    """Run the checks that have not run and store their findings, also when interrupted."""
    level, started = DEEP if deep else CHEAP, time.monotonic()
    key = trust_id(cache.suite, stored, pair, number, deep)
    before = load_findings(store, key)
    done = {finding.check: finding for finding in before.findings} if before else {}
    todo = {name: check for name, check in checks.items() if name not in done}
    if not todo:
        return
    cache.loading.check()
    if not _unchanged(cache, stored, pair):
        raise CellError(
            "the model or the dataset changed since the numbers were computed; run the suite again"
        )
    subject = _subject(cache, pair, number, level.images)
    if "held-out" in todo:
        subject = replace(subject, held_out=_held_out(cache, pair[1], len(subject.labels)))
    unbuilt: list[str] = []
    if _FROM_OTHERS & todo.keys():
        subject = replace(subject, others=tuple(_others(cache, stored, pair, unbuilt)))
    no_source = bool(unbuilt) and not subject.others
    if no_source:
        for name in _FROM_OTHERS & todo.keys():
            del todo[name]  # a later `check` may find a model
    found: dict[str, Finding] = {}
    try:
        for finding in examine(subject, level, todo, tuple(done.values()), begin):
            found[finding.check] = finding
            cache.loading.check()
    finally:
        if found:
            before = load_findings(store, key)  # another `check` may have stored more
            earlier = {finding.check: finding for finding in before.findings} if before else {}
            by_check = earlier | found
            record = Examined(
                *pair, number.eps, number.reported.attack, len(subject.labels), deep,
                time.monotonic() - started + (before.seconds if before else 0.0),
                tuple(by_check[name] for name in CHECKS if name in by_check),
            )  # fmt: skip
            save_findings(store, key, record)
    if no_source:
        raise CellError(f"transfer: no other model is available: {'; '.join(unbuilt)}")


def _unchanged(cache: ModelCache, stored: Lock, pair: Pair) -> bool:
    """Return whether a model and a dataset are unchanged since the numbers were computed."""
    now, then = (pair_digest(cache.suite, lock, *pair, {}) for lock in (cache.lock, stored))
    return now == then


def _subject(cache: ModelCache, pair: Pair, number: Number, most: int) -> Subject:
    """Return the subject without other models and held-out images."""
    model, dataset = pair
    images = cache.images(dataset)
    scored = len(number.sample_ids)
    if images.sample_ids[:scored] != number.sample_ids:
        raise CellError(
            f"datasets.{dataset}: the images changed since they were scored; run the suite again"
        )
    count = min(scored, most)
    seeds = tuple(sample_seed(cache.suite.seed, key) for key in images.sample_ids[:count])
    whole = Subject(
        QueryCounter(cache.classifier(model, dataset), cache.loading.deadline),
        images.floats(torch.arange(count)),
        images.labels[:count],
        number.budget,
        seeds,
        number.measured(),
        cache.batch(model, dataset),
        storage=cache.suite.protocol.storage,
        defence=parts_of_defence(cache, pair),
    )
    return whole.first(count)


def parts_of_defence(cache: ModelCache, pair: Pair) -> DefenceParts | None:
    """Return the parts of a model behind a test-time defence; None for other models."""
    models, (model, dataset) = cache.suite.models, pair
    spec, deadline = models[model], cache.loading.deadline
    if not isinstance(spec, DefenceModel):
        return None
    own = spec.gradient or spec.gradients[0]
    others = {
        way: QueryCounter(cache.classifier(model, dataset, without=(part,)), deadline)
        for way, part in COMPONENTS.items()
        if way != own and part in spec.components
    }
    chain = [spec]
    while isinstance(below := models[chain[-1].base], DefenceModel):
        chain.append(below)
    behind = cache.model(chain[-1].base)
    return DefenceParts(
        spec.kind, QueryCounter(cache.classifier(spec.base, dataset), deadline), spec.base, own,
        others, any(each.random for each in chain),
        behind.tower if isinstance(behind, ClipModel) else None,
    )  # fmt: skip


def _others(
    cache: ModelCache, stored: Lock, pair: Pair, unbuilt: list[str]
) -> Iterator[tuple[str, QueryCounter]]:
    """Yield models to transfer from; append the reasons for missing models to `unbuilt`.

    If the suite has no other model, it is an embedded CLIP.
    """
    suite, (model, dataset) = cache.suite, pair
    names = transfer_sources(suite, model)
    if not names and not cache.images(dataset).captions:
        name, source = embedded_source(suite, model, cache.images(dataset), cache.device)
        yield name, QueryCounter(source, cache.loading.deadline)
    for name in names:
        if model_identity(suite, cache.lock, name) != model_identity(suite, stored, name):
            unbuilt.append(f"{name!r} changed since the suite ran")
            continue
        try:
            yield name, QueryCounter(cache.classifier(name, dataset), cache.loading.deadline)
        except TimeUp:
            raise
        except CellError as error:
            unbuilt.append(f"{name!r}: {error}")


def _held_out(
    cache: ModelCache, dataset: str, count: int
) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Return images of a dataset outside its sample, with their labels."""
    suite = cache.suite
    if cache.images(dataset).captions:
        return None  # there, each image is a class of its own
    spec = suite.dataset(dataset)
    used = set(cache.images(dataset).sample_ids)
    more = index_dataset(spec, suite.most_samples + count, suite.seed).sample_ids
    ids = tuple(key for key in more if key not in used)[:count]
    if not ids:
        return None
    found = load_images(spec, ids, suite.protocol.pixels_of(dataset))
    pixels = torch.from_numpy(found.images).to(cache.device).float() / 255
    return pixels, torch.from_numpy(found.labels.astype(np.int64)).to(cache.device)
