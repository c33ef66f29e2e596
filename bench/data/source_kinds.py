"""The kinds of datasets: the source class of each kind."""

from collections.abc import Callable, Mapping
from typing import Any

from bench.data.embedded_source import EmbeddedSource
from bench.data.folder_source import FolderSource
from bench.data.hub_source import HubSource
from bench.data.language_source import LanguageSource
from bench.data.source import Source
from bench.data.table_source import TableSource
from bench.data.torchvision_source import TorchvisionSource
from bench.data.webdataset_source import WebDatasetSource
from bench.suite.specs import DatasetSpec

_SOURCES: Mapping[str, Callable[[Any], Source]] = {
    "nano": EmbeddedSource,
    "hub": HubSource,
    "torchvision": TorchvisionSource,
    "webdataset": WebDatasetSource,
    "folder": FolderSource,
    "table": TableSource,
    "language": LanguageSource,
}


def source_of(spec: DatasetSpec) -> Source:
    """Return the source of a dataset; no file is opened."""
    return _SOURCES[spec.kind](spec)
