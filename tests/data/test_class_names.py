"""Class lists against the folders that they name, and against the catalogue."""

from pathlib import Path

import pytest

from bench import catalogue
from bench.core.errors import CellError
from bench.core.resolved_names import DatasetLock
from bench.data import index_dataset
from bench.suite.specs import FolderDataset
from tests.data.test_folder import picture


def folders(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).mkdir(parents=True)
        (root / name / "0.png").write_bytes(picture(0))
    return root


def lock_of(root: Path, name: str = "mine") -> DatasetLock:
    return index_dataset(FolderDataset(kind="folder", name=name, path=str(root)), 9, 0)


def flags(lock: DatasetLock) -> list[str]:
    return [remark.flag for remark in lock.remarks]


def numbered() -> list[str]:
    """Return folder names that stand for the class names of the catalogue's EuroSAT."""
    return [f"{i}.{name.replace(' ', '_')}" for i, name in enumerate(eurosat())]


def eurosat() -> tuple[str, ...]:
    return catalogue.class_names("eurosat") or ()


@pytest.mark.parametrize("of", ["suite", "folder"])
def test_a_catalogue_name_needs_the_catalogues_classes(tmp_path: Path, of: str) -> None:
    def opened(*names: str) -> DatasetLock:
        nonlocal number
        number += 1
        root = tmp_path / str(number) / ("eurosat" if of == "folder" else "set")
        return lock_of(folders(root, *names), "eurosat" if of == "suite" else "mine")

    number = 0
    lock = opened(*numbered())
    assert (sorted(lock.classes), flags(lock)) == (sorted(eurosat()), [])
    assert lock.templates == (catalogue.templates("eurosat") if of == "suite" else lock.templates)
    other_case = opened(*(name.title() for name in numbered()))
    assert flags(other_case) == ["data=class-names"]
    assert "10 of its class names differ from the catalogue's for eurosat" in (
        other_case.remarks[0].text
    )
    called = (
        f"the {'dataset' if of == 'suite' else 'folder'} is called eurosat, which has 10 classes"
    )
    with pytest.raises(
        CellError, match=rf"{called}; got 9 classes; 1 are missing: 'lake or sea'; "
    ):
        opened(*numbered()[:-1])
    with pytest.raises(
        CellError, match=r"got 10 classes; 1 have other names: 'glacier'; 1 are missing: 'lake or"
    ):
        opened(*numbered()[:-1], "glacier")
    with pytest.raises(CellError, match=r"10 have other names: '0', '1', '2', \.\.\.; 10 are miss"):
        opened(*map(str, range(10)))


def test_names_that_the_user_lists_may_differ_but_not_their_number(tmp_path: Path) -> None:
    root = folders(tmp_path / "set", *map(str, range(10)))
    (root / "classnames.txt").write_text("\n".join((*eurosat()[:-1], "water")))
    lock = lock_of(root, "eurosat")
    assert lock.classes[-1] == "water"
    assert flags(lock) == ["data=class-names"]
    (root / "classnames.txt").write_text("\n".join(eurosat()))
    assert flags(lock_of(root, "eurosat")) == []
    folders(root, "10")
    (root / "classnames.txt").write_text("\n".join((*eurosat(), "water")))
    with pytest.raises(CellError, match=r"got 11 classes; 1 have other names: 'water'; if it is"):
        lock_of(root, "eurosat")


def test_wordnet_ids_of_a_part_of_imagenet_are_not_called_imagenet(tmp_path: Path) -> None:
    root = folders(tmp_path / "set", "n01440764", "n01443537")
    assert lock_of(root, "imagenet-40").classes == ("tench", "goldfish")
    with pytest.raises(CellError, match=r"which has 200 classes; got 2 classes; if it is another"):
        lock_of(root, "tiny-imagenet")
    with pytest.raises(CellError, match=r"got 2 classes; 998 are missing: 'great white shark', "):
        lock_of(root, "imagenet")


@pytest.mark.parametrize(
    ("names", "listed", "message"),
    [
        (
            ("Cat", "dog"),
            "dog\ncat",
            r"line 1: got 'dog' for the folder 'Cat'; the list has the fol",
        ),
        (("a", "sea_horse", "z"), "a\nz\nsea horse", r"line 2: got 'z' for the folder 'sea_horse'"),
        (
            ("n01440764", "n01443537"),
            "goldfish\ntench",
            r"got 'goldfish' for the folder 'n01440764'",
        ),
        (tuple(map(str, range(11))), "\n".join(sorted(map(str, range(11)))), "got '10' for the fo"),
    ],
)
def test_a_list_in_another_order_than_the_folders_is_refused(
    tmp_path: Path, names: tuple[str, ...], listed: str, message: str
) -> None:
    root = folders(tmp_path, *names)
    (root / "classnames.txt").write_text(listed)
    with pytest.raises(CellError, match=message):
        lock_of(root)


def test_a_list_in_the_order_of_the_folders_may_change_their_names(tmp_path: Path) -> None:
    root = folders(tmp_path, "cat", "dog")
    (root / "classnames.txt").write_text("Cat\ndomestic dog")
    assert lock_of(root).classes == ("Cat", "domestic dog")


def test_classes_of_equal_names_are_remarked_upon(tmp_path: Path) -> None:
    root = folders(tmp_path, "a", "b", "c")
    (root / "classnames.txt").write_text("Crane\nbird\ncrane")
    (remark,) = lock_of(root).remarks
    assert remark.flag == "data=equal-class-names"
    assert "1 of its classes have the name of another class (first: 'crane', classes 0 and 2)" in (
        remark.text
    )


def test_imagenet_has_equal_names_by_itself(tmp_path: Path) -> None:
    for wordnet_id in catalogue.imagenet_names():
        (tmp_path / wordnet_id).mkdir()
        (tmp_path / wordnet_id / "0.png").write_bytes(b"?")
    assert flags(lock_of(tmp_path, "imagenet")) == []
    assert flags(lock_of(tmp_path, "imagenet-copy")) == ["data=equal-class-names"]
