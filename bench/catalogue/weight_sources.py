"""Where weights come from: local files, tags of open_clip, and repositories of the hub."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bench.catalogue.repository_layouts import RepositoryLayout
from bench.core.identifiers import is_repository
from bench.core.suite_paths import find_path


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A local file of weights: a user's, or part of the package.

    Attributes:
        path: Path of the file.
        what: Name of its content in messages.
        tried: Folders in which it was looked for, as the end of a message.
        advice: Where to get the file, if that is known.
    """

    path: Path
    what: str = "checkpoint"
    tried: str = ""
    advice: str = ""

    @property
    def absent(self) -> str:
        """A message for the case that the file is missing."""
        advice = f"; {self.advice}" if self.advice else ""
        return f"{self.path}: no such {self.what}{self.tried}{advice}"


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenClipFile(LocalFile):
    """A local file of the weights of a model that open_clip knows by name.

    The file contains neither the normalisation of images nor the activation.

    Attributes:
        model: Name of the model.
        preprocess: Whether the suite sets the normalisation.
        activation: Whether the suite sets the activation.
    """

    model: str
    preprocess: bool
    activation: bool


@dataclass(frozen=True, slots=True)
class OpenClipTag:
    """Weights that open_clip downloads, by the name of a model and a pretrained tag."""

    model: str
    tag: str


@dataclass(frozen=True, slots=True)
class HubCheckpoint:
    """One file of weights in a repository of the hub that has no known layout.

    Attributes:
        repository: `OWNER/NAME` on the hub.
        path: Path of the file in the repository.
    """

    repository: str
    path: str


@dataclass(frozen=True, slots=True)
class RepositoryFiles:
    """The files of a repository of the hub, or of a local folder in its layout.

    Attributes:
        name: Name in the suite, for messages.
        layout: Which files the repository has.
        folder: The local folder; None for a repository of the hub.
        repository: `OWNER/NAME` on the hub; empty for a folder.
        revision: A branch, a tag or a commit of the hub; None for the branch `main`.
    """

    name: str
    layout: RepositoryLayout
    folder: Path | None
    repository: str
    revision: str | None


WeightSource = LocalFile | OpenClipTag | HubCheckpoint | RepositoryFiles


class HasWeights(Protocol):
    """A model or judge with files of weights."""

    def weight_sources(self) -> tuple[WeightSource, ...]:
        """Return where the weights are."""


def local_folder(name: str) -> Path | None:
    """Return the folder that a name refers to, whether it exists or not; None for a repository."""
    place = find_path(name, os.path.isdir)
    return place if place.is_dir() or not is_repository(name) else None
