"""Finds what a suite's files on this machine lack, without network and without decoding."""

from bench import catalogue
from bench.core.errors import MALFORMED, CellError
from bench.data import index_dataset
from bench.data.source_kinds import source_of
from bench.hub.weights import missing_files
from bench.suite.load import Suite
from bench.suite.specs import DatasetSpec, ModelSpec


def dataset_fault(suite: Suite, dataset: DatasetSpec) -> str | None:
    """Return which file of a dataset is missing, or why its layout cannot be read, or None.

    Of downloaded datasets only the presence of files is checked.
    """
    source = source_of(dataset)
    reason = source.missing(suite.seed)
    if reason or source.download_folder is not None:
        return reason
    try:
        index_dataset(dataset, suite.samples, suite.seed)
    except CellError as error:
        return str(error)
    except Exception as error:  # readers raise many kinds, and a run fails with each
        return f"{type(error).__name__}: {error}"
    return None


def model_fault(spec: ModelSpec) -> str | None:
    """Return which file of a model is missing or wrong, or None.

    For a model of open_clip or transformers this imports torch.
    """
    try:
        if spec.weight_sources():
            return missing_files(spec)
        spec.content()
    except (*MALFORMED, ImportError) as error:
        return str(error) or type(error).__name__
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
