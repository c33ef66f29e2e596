"""Every kind of dataset has a source; a source of a user's own files downloads nothing."""

from pathlib import Path
from typing import get_args

import pytest

from bench.core.errors import CellError
from bench.data import load_images, load_questions
from bench.data.source import Source
from bench.data.source_kinds import source_of
from bench.suite.specs import (
    DatasetSpec,
    FolderDataset,
    HubDataset,
    LanguageDataset,
    NanoDataset,
    TorchvisionDataset,
    WebDataset,
)

KINDS = get_args(get_args(DatasetSpec)[0])


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_dataset_has_a_source(kind: type[NanoDataset]) -> None:
    name = get_args(kind.model_fields["kind"].annotation)[0]
    assert isinstance(source_of(kind.model_construct(kind=name)), Source)


def test_only_datasets_that_are_downloaded_have_a_folder_for_it(tmp_path: Path) -> None:
    place = str(tmp_path)
    own = (
        NanoDataset(name="digits"),
        FolderDataset(kind="folder", name="set", path=place),
        WebDataset(kind="webdataset", name="set", path=place),
    )
    for spec in own:
        assert source_of(spec).download_folder is None
        assert list(source_of(spec).downloads(0)) == []
    caltech = TorchvisionDataset(kind="torchvision", name="caltech256", root=place)
    assert source_of(caltech).download_folder == tmp_path / "caltech256"
    (file,) = source_of(caltech).downloads(0)
    assert file.left > 10**9
    (tmp_path / "caltech256").mkdir()
    (tmp_path / "caltech256" / ".complete").touch()
    assert [file.left for file in source_of(caltech).downloads(0)] == [0]
    assert source_of(HubDataset(kind="hub", name="pcam")).download_folder is not None


def test_classes_are_not_taken_for_questions_nor_questions_for_classes() -> None:
    with pytest.raises(CellError, match="has no questions about its images"):
        load_questions(NanoDataset(name="digits"), (), "native")
    asked = LanguageDataset.model_validate(
        {"kind": "language", "format": "embedded", "name": "asked", "of": "digits", "ask": "what"}
    )
    with pytest.raises(CellError, match="images have questions; images with labels are needed"):
        load_images(asked, (), "native")
