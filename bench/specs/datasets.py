"""Datasets: embedded, or a folder in CLIP_benchmark's layout."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from bench.specs.base import Name, Spec


class NanoDataset(Spec):
    """One of the embedded test sets."""

    kind: Literal["nano"] = "nano"
    name: Literal["cifar10", "cifar100", "fashion-mnist", "digits"]


class WebDataset(Spec):
    """A folder in CLIP_benchmark's webdataset layout."""

    kind: Literal["webdataset"]
    name: Name
    path: str
    split: str = "test"


def _dataset(value: Any) -> Any:
    return {"kind": "nano", "name": value} if isinstance(value, str) else value


DatasetSpec = Annotated[
    Annotated[NanoDataset | WebDataset, Field(discriminator="kind")], BeforeValidator(_dataset)
]
