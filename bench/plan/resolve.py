"""Resolve the names of a suite to content: hashes of weights and images, class names, prompts."""

import hashlib
import os
from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeVar

from bench import catalogue
from bench.catalogue.repository_layouts import MORE_TEMPLATES
from bench.core.code_content import code_read_once
from bench.core.digests import hash_files
from bench.core.errors import CellError
from bench.core.identifiers import is_repository
from bench.core.resolved_names import DatasetLock, Lock
from bench.core.suite_paths import find_path
from bench.data import index_dataset
from bench.hub.weights import origin, weight_files
from bench.plan.cells import scores_all
from bench.plan.external_images import checked_content, images_of_suite
from bench.plan.identity import spec_digests
from bench.suite.load import Suite
from bench.suite.specs import (
    DatasetSpec,
    LanguageDataset,
    ModelSpec,
    TransformersJudge,
)

T = TypeVar("T")

_ALL_IMAGES = 2**62  # more images than any dataset has


def resolve(suite: Suite) -> tuple[Lock, dict[str, str]]:
    """Resolve every model and dataset of a suite.

    Returns:
        The lock, and the reasons for names that could not be resolved, by key path
        (`models.CLIP`). If clean accuracy needs all images of a dataset and they cannot be
        resolved, the key path is `datasets.NAME.whole`: the attacked sample may still be resolved.
    """
    problems: dict[str, str] = {}

    def attempt(section: str, name: str, function: Callable[[], T], part: str = "") -> dict[str, T]:
        try:
            return {name: function()}
        except CellError as error:
            problems[f"{section}.{name}{part}"] = str(error)
        except Exception as error:  # hubs and loaders raise many kinds; a cell reports its own
            problems[f"{section}.{name}{part}"] = f"{type(error).__name__}: {error}"
        return {}

    models: dict[str, str] = {}
    origins: dict[str, str] = {}
    with code_read_once():
        for name, spec in suite.models.items():
            models |= attempt("models", name, partial(fingerprint, spec))
            if name in models:
                origins |= attempt("models", name, partial(origin, spec))
    datasets: dict[str, DatasetLock] = {}
    for entry in suite.datasets:
        datasets |= attempt(
            "datasets",
            entry.name,
            partial(
                index_dataset, entry, suite.most_samples, suite.seed, shuffled=bool(suite.until)
            ),
        )
    whole: dict[str, DatasetLock] = {}
    for entry in suite.datasets:
        if entry.name in datasets and scores_all(suite, entry):
            everything = partial(index_dataset, entry, _ALL_IMAGES, suite.seed)
            whole |= attempt("datasets", entry.name, everything, ".whole")
    found: dict[str, str] = {}
    if isinstance(suite.protocol.judge, TransformersJudge) and suite.uses_judge:
        found = attempt("protocol", "judge", partial(judge_weights, suite.protocol.judge))
    resolved = found.get("judge", "")
    images: dict[str, str] = {}
    for key, attack, dataset in images_of_suite(suite):
        section, _, name = key.partition(".")
        resolved_set = datasets.get(dataset.name)
        sample_ids = resolved_set.sample_ids if resolved_set else None
        content = attempt(
            section, name, partial(checked_content, suite, attack, dataset, sample_ids)
        )
        images |= {attack.path_for(dataset.name): each for each in content.values()}
    known = {name: source for name, source in origins.items() if source}
    return Lock(models, datasets, spec_digests(suite), known, whole, resolved, images), problems


def remarks(suite: Suite, lock: Lock) -> Iterator[str]:
    """Yield remarks on datasets that have fewer images or other texts than a user expects."""
    for dataset in suite.datasets:
        yield from remarks_on(suite, dataset, lock.datasets.get(dataset.name))


def remarks_on(suite: Suite, dataset: DatasetSpec, found: DatasetLock | None) -> Iterator[str]:
    """Yield the remarks on a dataset; `found` is None if it could not be resolved."""
    if found is not None and len(found.sample_ids) < suite.most_samples:
        count = len(found.sample_ids)
        unit = "questions" if isinstance(dataset, LanguageDataset) else "images"
        yield (
            f"datasets.{dataset.name}: has {count} {unit}, fewer than samples: "
            f"{suite.most_samples}; all of them are used, and the tables show n = {count}"
        )
    yield from dataset.remarks()
    for remark in found.remarks if found else ():
        yield f"datasets.{dataset.name}: {remark.text}"
    if found is not None and dataset.has_own_class_names:
        yield from _prompt_remarks(dataset.name, found, suite)


def _prompt_remarks(name: str, found: DatasetLock, suite: Suite) -> Iterator[str]:
    """Yield a remark if the prompts that come with a dataset are not the catalogue's."""
    prompts = catalogue.templates(name) if suite.protocol.templates == "dataset" else None
    if prompts and set(prompts) != set(found.templates):
        other = len(set(found.templates) - set(prompts))
        yield (
            f"datasets.{name}: the dataset's files have {len(found.templates)} prompt templates, "
            f"{other} of them missing from the catalogue's {len(prompts)}; those of the files "
            "are used, while FARE's code uses the catalogue's"
        )


def fingerprint(spec: ModelSpec) -> str:
    """Return a hash of a model's weight files, or another identifier if it has no such files.

    Raises:
        CellError: A file is missing.
    """
    files = weight_files(spec)
    return hash_files(files) if files else spec.content()


def judge_weights(spec: TransformersJudge) -> str:
    """Return an identifier of a local judge's weights: `NAME@COMMIT`, or a hash of its folder.

    Raises:
        CellError: The name is neither a folder nor a hub repository with a commit.
    """
    folder = find_path(spec.name, os.path.isdir)
    if not folder.is_dir():
        if is_repository(spec.name) and spec.revision:
            return f"{spec.name}@{spec.revision}"
        raise CellError(
            f"{spec.name}: no such folder; a hub repository OWNER/NAME needs `revision`, a full "
            "commit hash"
        )
    if spec.revision is not None:
        raise CellError(
            f"{spec.name}: a folder has no revision, got {spec.revision!r}; remove `revision`"
        )
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.name[0] != ".")
    files += sorted(folder.glob(MORE_TEMPLATES))
    names = [path.relative_to(folder).as_posix() for path in files]
    if "config.json" not in names:
        raise CellError(f"{spec.name}: config.json is missing")
    return hashlib.sha256(f"{names} {hash_files(files)}".encode()).hexdigest()
