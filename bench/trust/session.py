"""Examine the pairs of a suite that no battery has looked at yet."""

import time
from collections.abc import Iterator
from contextlib import suppress

import numpy as np
import torch

from bench.crafting import sample_seed
from bench.data import index_dataset, load_images
from bench.devices import pick_device
from bench.errors import CellError, DiskFull
from bench.lock import resolve
from bench.plan import still_valid
from bench.specs import GraftModel, RAdaptModel
from bench.store import Store
from bench.suite import Suite
from bench.trust.battery import examine
from bench.trust.kept import Examined, keep, trust_id
from bench.trust.reported import Number, Pair
from bench.trust.subject import CHEAP, DEEP, Subject
from bench.types import Classifier
from bench.warm import Warm, reason

OTHERS = 2  # models to transfer from: the one that a defence is built on, and another


def examine_pairs(
    suite: Suite,
    store: Store,
    pairs: dict[Pair, Number],
    *,
    device: str | None,
    trust: bool,
    deep: bool,
) -> Iterator[tuple[Pair, str | None]]:
    """Examine pairs of a suite and keep what is found.

    Args:
        suite: The suite.
        store: Its results.
        pairs: The numbers to judge.
        device: Where models run; the accelerator where there is one, else the CPU.
        trust: Whether code that the suite names may be imported.
        deep: Whether the checks take more of everything.

    Yields:
        Each pair once it is over, with the reason where it could not be examined.

    Raises:
        DiskFull: What was found cannot be kept.
    """
    level = DEEP if deep else CHEAP
    lock, problems = resolve(suite)
    warm = Warm(suite, lock, problems, pick_device(device), None, trust)
    stored = still_valid(suite, store.lock())
    for pair, number in pairs.items():
        started = time.monotonic()
        key = trust_id(suite, lock, pair, number, deep)
        try:
            subject = _subject(warm, pair, number, level.images)
            if key != trust_id(suite, stored, pair, number, deep):
                raise CellError("is not what the numbers are of any more; run the suite again")
            found = examine(subject, level)
        except DiskFull:
            raise
        except Exception as error:  # whatever goes wrong with a pair, the others go on
            yield pair, reason(error)
            continue
        count = min(len(number.sample_ids), level.images)
        record = Examined(
            *pair, number.eps, number.reported.attack, count, deep,
            time.monotonic() - started, tuple(found),
        )  # fmt: skip
        keep(store, key, record)
        yield pair, None


def _subject(warm: Warm, pair: Pair, number: Number, most: int) -> Subject:
    model, dataset = pair
    images = warm.images(dataset)
    if images.sample_ids != number.sample_ids:
        raise CellError(f"datasets.{dataset}: the images are others than those that were scored")
    count = min(len(images.labels), most)
    seeds = tuple(sample_seed(warm.suite.seed, key) for key in images.sample_ids[:count])
    whole = Subject(
        warm.classifier(model, dataset),
        images.floats(torch.arange(count)),
        images.labels[:count],
        number.budget,
        seeds,
        number.reported,
        warm.batch(model, dataset),
        tuple(_others(warm, pair)),
        _held(warm, dataset, count),
        warm.suite.protocol.storage,
    )
    return whole.first(count)


def _others(warm: Warm, pair: Pair) -> Iterator[tuple[str, Classifier]]:
    """Yield models to transfer from: what a model is built on, sources of the suite, any other."""
    model, dataset = pair
    spec = warm.suite.models[model]
    built_on = [spec.base] if isinstance(spec, RAdaptModel | GraftModel) else []
    sources = [name for threat in warm.suite.threats for name in threat.sources]
    names = [*built_on, *sources, *warm.suite.models]
    for name in [other for other in dict.fromkeys(names) if other != model][:OTHERS]:
        with suppress(CellError):  # one that cannot be built is none to transfer from
            yield name, warm.classifier(name, dataset)


def _held(warm: Warm, dataset: str, count: int) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Return images of a dataset that are not in its sample, with their labels."""
    suite = warm.suite
    spec = suite.dataset(dataset)
    used = set(warm.images(dataset).sample_ids)
    more = index_dataset(spec, suite.samples + count, suite.seed).sample_ids
    ids = tuple(key for key in more if key not in used)[:count]
    if not ids:
        return None
    found = load_images(spec, ids, suite.protocol.pixels_of(dataset))
    pixels = torch.from_numpy(found.images).to(warm.device).float() / 255
    return pixels, torch.from_numpy(found.labels.astype(np.int64)).to(warm.device)
