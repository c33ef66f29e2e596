"""The lock of a suite: its names resolved to hashes of weights and fingerprints of datasets."""

from dataclasses import dataclass, field, replace

UNRESOLVED = "unresolved"
# last word of the fingerprint of content that could not all be hashed; in a run, `:RUN` follows
UNHASHED = "unhashed"


@dataclass(frozen=True, slots=True)
class Remark:
    """What a reader of numbers on a dataset should know about how its files were read.

    Attributes:
        name: Short name; the rows of the dataset have the flag `data=NAME`.
        text: A sentence for the run's closing lines.
    """

    name: str
    text: str

    @property
    def flag(self) -> str:
        """The remark in the column `flags`."""
        return f"data={self.name}"


@dataclass(frozen=True, slots=True)
class DatasetLock:
    """A dataset's name, resolved to content.

    Attributes:
        fingerprint: Hash of the content.
        sample_ids: The chosen samples.
        classes: Class names in the order of the labels.
        templates: Prompt templates of the dataset.
        origin: Source of the content, `REPOSITORY@COMMIT` on the hub. It is not part of the
            identity: equal content from another source has the same identity.
        remarks: Remarks on how the files were read; not part of the identity either.
    """

    fingerprint: str
    sample_ids: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    templates: tuple[str, ...] = ()
    origin: str = ""
    remarks: tuple[Remark, ...] = ()


@dataclass(frozen=True, slots=True)
class Lock:
    """The names of a suite, resolved to content.

    A name that could not be resolved is absent; its cells fail when they run.

    Attributes:
        models: Hash of the weights, by model.
        datasets: The datasets by name.
        specs: The suite's entry for each name when the name was resolved, by key path.
        origins: Source of the weights by model, `REPOSITORY@COMMIT` on the hub; information only.
        whole: Datasets with all of their images, if clean accuracy is measured on all images.
        judge: Version of the local model that judges answers: a commit, or a hash of its folder.
        images: Hash of the adversarial images made by others, by their path in the suite.
    """

    models: dict[str, str] = field(default_factory=dict)
    datasets: dict[str, DatasetLock] = field(default_factory=dict)
    specs: dict[str, str] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    whole: dict[str, DatasetLock] = field(default_factory=dict)
    judge: str = ""
    images: dict[str, str] = field(default_factory=dict)


def is_unhashed(fingerprint: str) -> bool:
    """Return whether a part of the content with a fingerprint could not be hashed."""
    return fingerprint.rpartition(" ")[2].partition(":")[0] == UNHASHED


def same_content(fingerprint: str, other: str) -> bool:
    """Return whether two fingerprints are equal, if the runs that they are from do not count."""
    return _without_run(fingerprint) == _without_run(other)


def of_run(lock: Lock, run: str) -> Lock:
    """Return a lock in which content that could not be hashed has identities of this run alone.

    So its cells are computed again in every run. The other names are unchanged.

    Args:
        lock: A lock with fingerprints of the content itself.
        run: Name of the run.
    """
    models = {
        name: f"{content}:{run}" if is_unhashed(content) else content
        for name, content in lock.models.items()
    }
    return replace(lock, models=models)


def _without_run(fingerprint: str) -> str:
    head, space, _ = fingerprint.rpartition(" ")
    return f"{head}{space}{UNHASHED}" if is_unhashed(fingerprint) else fingerprint
