"""A suite's names resolved to content: weights by hash, datasets by fingerprint and samples."""

from dataclasses import dataclass, field

UNRESOLVED = "unresolved"


@dataclass(frozen=True, slots=True)
class DatasetLock:
    """What a dataset's name stands for: content, chosen images, classes and prompts.

    `origin` says where the content came from, `REPOSITORY@COMMIT` on the hub. It is for readers:
    equal content from elsewhere has the same identity.
    """

    fingerprint: str
    sample_ids: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    templates: tuple[str, ...] = ()
    origin: str = ""


@dataclass(frozen=True, slots=True)
class Lock:
    """What a suite's names stand for, resolved: weights by hash, datasets by content.

    A name that could not be resolved is absent; its cells fail when they run. `specs` says
    by key path what the suite said when its names were resolved, and `origins` where weights
    came from, `REPOSITORY@COMMIT` on the hub, for readers. `whole` has the datasets with all of
    their images, where clean accuracy is that of all. `judge` is what the name of a local model
    stands for that judges answers: a commit, or a hash of its folder.
    """

    models: dict[str, str] = field(default_factory=dict)
    datasets: dict[str, DatasetLock] = field(default_factory=dict)
    specs: dict[str, str] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    whole: dict[str, DatasetLock] = field(default_factory=dict)
    judge: str = ""
