"""Compares what was loaded with the lock: files may be overwritten while a run goes on.

The check comes after loading where possible, so it also finds files that change during loading. A
file whose size and time of change are those of an earlier look is not read again
(`bench.core.digests`).
"""

from bench.core.errors import CellError
from bench.core.resolved_names import DatasetLock, Lock, same_content
from bench.data.source import Index
from bench.data.source_kinds import source_of
from bench.hub.weights import weight_files
from bench.plan.external_images import content_of
from bench.plan.resolve import fingerprint, judge_weights
from bench.suite.specs import DatasetSpec, ExternalImages, ModelSpec, TransformersJudge

_ADVICE = (
    "changed after the run had identified it, so its number would have the identity of the old "
    "content; run the suite again when the files no longer change"
)


def require_unchanged_model(name: str, spec: ModelSpec, known: str | None) -> None:
    """Refuse a model whose files are not those of the lock.

    Args:
        name: Name of the model.
        spec: Its entry in the suite.
        known: Its fingerprint in the lock; None if it has none, and nothing is compared.

    Raises:
        CellError: The files have changed.
    """
    if known is not None and not same_content(fingerprint(spec), known):
        files = ", ".join(map(str, weight_files(spec))) or "its code or the files in `args`"
        raise CellError(f"models.{name}: {files}: {_ADVICE}")


def require_unchanged_dataset(spec: DatasetSpec, known: DatasetLock, seed: int) -> None:
    """Refuse a dataset whose images, labels, class names or prompts are not those of the lock.

    Args:
        spec: The dataset's entry in the suite.
        known: Its lock.
        seed: Seed of its subset.

    Raises:
        CellError: The dataset has changed.
    """
    _unchanged_index(spec, known, seed)


def lock_of_some(
    spec: DatasetSpec, known: DatasetLock, seed: int, sample_ids: tuple[str, ...]
) -> DatasetLock:
    """Return the lock of some samples of a dataset that has not changed.

    The arguments are those of `require_unchanged_dataset`, and the ids of the samples.

    Raises:
        CellError: The dataset has changed.
    """
    return _unchanged_index(spec, known, seed).lock(sample_ids)


def _unchanged_index(spec: DatasetSpec, known: DatasetLock, seed: int) -> Index:
    index = source_of(spec).subset(seed)
    index.images(known.sample_ids)  # raises an error if some are missing
    now = index.lock(known.sample_ids)
    if (now.fingerprint, now.classes, now.templates) != (
        known.fingerprint, known.classes, known.templates,
    ):  # fmt: skip
        raise CellError(f"datasets.{spec.name}: {index.place}: {_ADVICE}")
    return index


def require_unchanged_images(key: str, attack: ExternalImages, dataset: str, lock: Lock) -> None:
    """Refuse adversarial images of others whose files are not those of the lock.

    Args:
        key: Key path of the images in the suite.
        attack: The attack's entry in the suite.
        dataset: Name of the dataset.
        lock: The lock; if it does not have the images, nothing is compared.

    Raises:
        CellError: The files have changed.
    """
    known = lock.images.get(path := attack.path_for(dataset))
    if known is not None and content_of(attack, dataset) != known:
        raise CellError(f"{key}: {path}: {_ADVICE}")


def require_unchanged_judge(spec: TransformersJudge, known: str) -> None:
    """Refuse a local judge whose files are not those of the lock.

    Args:
        spec: The judge's entry in the suite.
        known: Its version in the lock; empty if it has none, and nothing is compared.

    Raises:
        CellError: The files have changed.
    """
    if known and judge_weights(spec) != known:
        raise CellError(f"protocol.judge: {spec.name}: {_ADVICE}")
