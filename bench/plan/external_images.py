"""Adversarial images made by others: their content, their faults, and which image each is of."""

import os
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.core.digests import hash_files, hash_folder
from bench.core.errors import MALFORMED, CellError, CellSkip
from bench.core.identifiers import shown
from bench.core.resolved_names import DatasetLock
from bench.core.suite_paths import find_path, tried
from bench.data.source_kinds import source_of
from bench.suite.load import Suite
from bench.suite.specs import DatasetSpec, ExternalImages, Pixels
from radapt.class_folders import SUFFIXES

if TYPE_CHECKING:  # it imports torch
    from bench.attacks.image_files import ImageFiles

_SHOWN = 3  # ids that a message names

ReadIndex = Callable[[str], DatasetLock]  # from a dataset's name to its samples


@dataclass(frozen=True, slots=True)
class Matched:
    """The images of a file or folder, matched with the samples of a dataset.

    Attributes:
        files: The images.
        rows: Row of each sample's adversarial image, by the sample's id; missing ones are absent.
        by_order: Whether the file has no ids, so that its images are in the order of the samples.
    """

    files: "ImageFiles"
    rows: dict[str, int]
    by_order: bool


def images_of_suite(suite: Suite) -> Iterator[tuple[str, ExternalImages, DatasetSpec]]:
    """Yield key path, attack and dataset of the images that exist on this machine."""
    for number, attack in enumerate(suite.attacks):
        if isinstance(attack, ExternalImages):
            for dataset in suite.datasets:
                if os.path.exists(find_path(attack.path_for(dataset.name))):  # also if too long
                    yield key_of(number, attack, dataset.name), attack, dataset


def key_of(number: int, attack: ExternalImages, dataset: str) -> str:
    """Return the key path of an attack's images of a dataset, for messages."""
    key = f"attacks.{number}.path"
    return f"{key} ({dataset})" if attack.PLACEHOLDER in attack.path else key


def checked_content(
    suite: Suite, attack: ExternalImages, dataset: DatasetSpec, sample_ids: tuple[str, ...] | None
) -> str:
    """Return `content_of`, if the files can be used.

    Args:
        suite: The suite.
        attack: The attack.
        dataset: The dataset.
        sample_ids: Ids of its attacked samples; None if they are not known, and are not compared.

    Raises:
        CellError: The files have another form, other ids, or images of another size.
        OSError: A file cannot be read.
    """
    from bench.attacks.image_files import open_images, require_shape

    files = open_images(find_path(attack.path_for(dataset.name)))
    if isinstance(pixels := suite.protocol.pixels_of(dataset.name), Pixels):
        require_shape(files, (3, pixels.size, pixels.size))
    if sample_ids is not None:
        match(files, dataset, suite.seed, sample_ids)
    return content_of(attack, dataset.name)


def content_of(attack: ExternalImages, dataset: str) -> str:
    """Return a hash of the files with an attack's images of a dataset.

    Raises:
        OSError: A file is missing or cannot be read.
    """
    path = find_path(attack.path_for(dataset))
    return hash_folder(path) if path.is_dir() else hash_files([path])


def require_images(attack: ExternalImages, dataset: str) -> None:
    """Skip a cell whose dataset has no images.

    Raises:
        CellSkip: The file or folder does not exist.
    """
    path = find_path(text := attack.path_for(dataset))
    if not os.path.exists(path):
        raise CellSkip(f"{attack.label} has no images of {dataset}: {path} is missing{tried(text)}")


def image_faults(suite: Suite, index: ReadIndex | None) -> Iterator[tuple[str, str]]:
    """Yield key path and reason for images that are missing on every dataset, or cannot be used.

    Args:
        suite: The suite.
        index: Reads the samples that ids are compared with; None to open no files.
    """
    here = list(images_of_suite(suite))
    for number, attack in enumerate(suite.attacks):
        if isinstance(attack, ExternalImages) and all(attack is not each for _, each, _ in here):
            text = attack.path_for(suite.datasets[0].name)
            yield f"attacks.{number}.path", f"{text}: no such file or folder{tried(text)}"
    if index is None:
        return
    for key, attack, dataset in here:
        try:
            there = source_of(dataset).missing(suite.seed) is None
            found = index(dataset.name) if there else None
            checked_content(suite, attack, dataset, found.sample_ids if found else None)
        except MALFORMED as error:
            yield key, str(error) or type(error).__name__


def match(
    files: "ImageFiles", dataset: DatasetSpec, seed: int, sample_ids: tuple[str, ...]
) -> Matched:
    """Match images with the samples of a dataset.

    Images of the dataset outside of the sample are left out. Without ids, there must be as many
    images as samples.

    Args:
        files: The images.
        dataset: The dataset's entry in the suite.
        seed: Seed of the sample.
        sample_ids: Ids of the sample.

    Raises:
        CellError: An id is not of the dataset, or appears twice, or there are no ids and another
            number of images.
    """
    if files.names is None:
        if files.count != len(sample_ids):
            raise CellError(
                f"{files.place}: got {files.count} images without ids; needed: `ids`, or exactly "
                f"the {len(sample_ids)} images of {dataset.name} in the order of their ids"
            )
        return Matched(files, dict(zip(sorted(sample_ids), range(files.count), strict=True)), True)
    sample = set(sample_ids)
    within = files.shape is not None and sample.issuperset(files.names)
    # the dataset's index only tells other images of the dataset from unknown ones
    known = sample if within else source_of(dataset).subset(seed).samples
    ids = _ids_in_folder(files.names, known) if files.shape is None else files.names
    places: dict[str, list[int]] = defaultdict(list)
    for row, key in enumerate(ids):
        places[key].append(row)
    if unknown := [key for key in places if key not in known]:
        raise CellError(
            f"{files.place}: {len(unknown)} of its {files.count} images have ids that are not of "
            f"{dataset.name}: {_listed(unknown)}; ids of the dataset: {_listed(sorted(known))}"
        )
    if twice := [key for key, rows in places.items() if len(rows) > 1]:
        raise CellError(f"{files.place}: has several images of {_listed(twice)}")
    return Matched(files, {key: places[key][0] for key in sample_ids if key in places}, False)


def _ids_in_folder(names: tuple[str, ...], known: Collection[str]) -> list[str]:
    """Return the id of each file: its path, or its path with another or without a suffix.

    A path that fits no id or several stays as it is.
    """
    by_stem: dict[str, list[str]] = defaultdict(list)
    for key in known:
        by_stem[_stem(key)].append(key)
    found = []
    for name in names:
        fitting = [name] if name in known else by_stem[_stem(name)]
        found.append(fitting[0] if len(fitting) == 1 else name)
    return found


def _stem(name: str) -> str:
    suffix = Path(name).suffix
    return name.removesuffix(suffix) if suffix.lower() in SUFFIXES else name


def _listed(ids: list[str]) -> str:
    return ", ".join(map(shown, ids[:_SHOWN])) + (", ..." if len(ids) > _SHOWN else "")
