"""Checks which files of a suite are on this machine, without network and without decoding."""

from bench import catalogue
from bench.data.source_kinds import source_of
from bench.hub.files import find
from bench.hub.weights import hub_files
from bench.suite.load import Suite
from bench.suite.specs import ModelSpec
from bench.suite.specs.model_base import LocalFile, RepositoryFiles


def missing_weights(spec: ModelSpec) -> str | None:
    """Return which file of a model is missing, or None.

    For a pretrained tag of open_clip this imports torch.
    """
    for source in spec.weight_sources():
        if isinstance(source, LocalFile) and not source.path.exists():
            return source.absent
        folder = source.folder if isinstance(source, RepositoryFiles) else None
        if folder is not None and not folder.exists():
            return f"{folder}: no such folder"
    for alternatives in hub_files(spec):
        if not any(find(file) for file in alternatives):
            names = " or ".join(file.path for file in alternatives)
            return f"{alternatives[0].repo}: {names} is not in the hub's cache"
    return None


def download_line(suite: Suite) -> str:
    """Return a line with the size of the datasets that are not yet downloaded."""
    sources = {dataset.name: source_of(dataset) for dataset in suite.datasets}
    sizes = {
        name: facts.megabytes if (facts := catalogue.datasets().get(name)) else None
        for name, source in sources.items()
        if source.download_folder is not None and source.missing(suite.seed)
    }
    if not sizes:
        return "no data"
    known = sum(size for size in sizes.values() if size)
    unknown = sum(1 for size in sizes.values() if size is None)
    rest = f", and {unknown} of unknown size" if unknown else ""
    return f"{len(sizes)} datasets, about {known / 1000:.1f} GB{rest}; `fetch` shows the exact size"
