"""Class folders against torchvision's ImageFolder, and folders that would give a wrong number."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.core.errors import CellError
from bench.core.resolved_names import Lock
from bench.core.torchvision_shim import ensure_torchvision
from bench.data import index_dataset, load_images
from bench.plan.resolve import remarks
from bench.suite.load import load_suite
from bench.suite.specs import FolderDataset
from radapt.class_folders import SUFFIXES, class_folders
from radapt.images import open_images


def spec(root: Path) -> FolderDataset:
    return FolderDataset(kind="folder", name="mine", path=str(root))


def add(path: Path, value: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.full((8, 8, 3), value, np.uint8))
    image.convert("L" if path.suffix == ".pgm" else "RGB").save(path)


def said(root: Path) -> list[str]:
    """Return the closing remarks of a run on a folder."""
    suite = root.parent / "suite.yaml"
    suite.write_text(
        "suite: s\nprotocol: {preset: radapt-paper, pixels: native}\nsamples: 1\n"
        "models: {CLIP: {kind: nano, weights: clip}}\n"
        f"datasets: [{{kind: folder, name: mine, path: '{root}'}}]\n"
    )
    lock = Lock({}, {"mine": index_dataset(spec(root), 1, 0)}, {}, {}, {}, "")
    return list(remarks(load_suite(suite), lock))


def flags(root: Path) -> list[str]:
    return [remark.flag for remark in index_dataset(spec(root), 1, 0).remarks]


def test_the_extensions_are_those_of_image_folder(tmp_path: Path) -> None:
    datasets = ensure_torchvision().datasets
    assert set(SUFFIXES) == set(datasets.folder.IMG_EXTENSIONS)
    for number, suffix in enumerate((*SUFFIXES, ".TIF", ".JPEG")):
        add(tmp_path / "set" / ("ant", "bee", "cat")[number % 3] / f"{number}{suffix}", number)
    add(tmp_path / "elsewhere" / "linked.png")
    (tmp_path / "set" / "ant" / "sub").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "set" / "dog").symlink_to(tmp_path / "elsewhere")
    reference = datasets.ImageFolder(str(tmp_path / "set"))
    expected = {str(Path(path).relative_to(tmp_path / "set")): y for path, y in reference.samples}
    lock = index_dataset(spec(tmp_path / "set"), 100, 0)
    assert lock.classes == tuple(reference.classes)
    data = load_images(spec(tmp_path / "set"), lock.sample_ids, "native")
    assert dict(zip(lock.sample_ids, data.labels, strict=True)) == expected
    assert len(open_images(tmp_path / "set", (8, 8))) == len(reference)
    assert said(tmp_path / "set") == []
    assert lock.remarks == ()


def test_numbers_are_sorted_as_numbers(tmp_path: Path) -> None:
    root = tmp_path / "set"
    for number in range(12):
        add(root / str(number) / "0.png", number)
    lock = index_dataset(spec(root), 100, 0)
    assert lock.classes == tuple(map(str, range(12)))
    data = load_images(spec(root), lock.sample_ids, "native")
    assert [int(image[0, 0, 0]) for image in data.images] == list(data.labels)
    images = open_images(root, (8, 8))
    assert [round(float(x[0, 0, 0]) * 255) for x, _ in images] == [y for _, y in images]
    order, names = said(root)
    assert "sorted as numbers (0, 1, 2, ..., 11), where" in order
    assert "as text (0, 1, 10, ..., 9)" in order
    assert "write classnames.txt" in names
    assert flags(root) == ["data=numeric-order", "data=numbers-as-names"]
    (root / "classnames.txt").write_text("".join(f"thing {number}\n" for number in range(12)))
    assert index_dataset(spec(root), 9, 0).classes[10] == "thing 10"
    assert said(root) == [order]
    assert flags(root) == ["data=numeric-order"]
    (root / "classnames.txt").write_text("".join(f"thing {number}\n" for number in range(13)))
    with pytest.raises(CellError, match="got 13 class names; needed: 12"):
        index_dataset(spec(root), 9, 0)


def test_other_names_keep_the_order_of_image_folder(tmp_path: Path) -> None:
    for name in ("10", "9", "x", "Z", "002"):
        add(tmp_path / name / "0.png")
    reference = ensure_torchvision().datasets.ImageFolder(str(tmp_path))
    assert list(class_folders(tmp_path)) == reference.classes


def test_hidden_files_are_skipped_and_other_files_are_remarked_upon(tmp_path: Path) -> None:
    root = tmp_path / "set"
    for name in ("cat/0.png", "dog/0.png"):
        add(root / name)
    for name in ("cat/._0.png", ".git/0.png", "dog/0.heic", "dog/1.gif", "stray.png", "README"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(b"?")
    assert sorted(index_dataset(spec(root), 9, 0).sample_ids) == ["cat/0.png", "dog/0.png"]
    (remark,) = said(root)
    assert "3 files were not read" in remark
    assert "(first: dog/0.heic)" in remark
    assert flags(root) == ["data=files-not-read"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("train/a/0.png", "val/a/0.png"), r"\(train, val\) are splits.*such as .*/set/val"),
        (("Test/a/0.png",), r"\(Test\) are splits and not classes"),
        (("images/a/0.png", "images/b/0.png"), r"got 1 folders.*give .*/set/images"),
        (
            ("cat/0.png",),
            r"got 1 folders with images; one folder per class is needed, and at least two",
        ),
        (("cat/0.png", "dog/0.heic"), r"1 of 2 class folders have no images \(first: 'dog'\)"),
        (("sea_horse/0.png", "sea-horse/0.png"), r"'sea-horse' and 'sea_horse' have the same cla"),
        (("cat/0.png", "1.Cat/0.png"), r"'1\.Cat' and 'cat' have the same class name"),
        (("1/0.png", "01/0.png", "2/0.png"), r"'01' and '1' have the same number"),
        (("n01440764/0.png", "n01443537/0.png", "extra/0.png"), r"1 have not \(first: 'extra'\)"),
    ],
)
def test_folders_that_would_give_a_wrong_number(
    tmp_path: Path, names: tuple[str, ...], message: str
) -> None:
    for name in names:
        path = tmp_path / "set" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(path, "PNG")
    with pytest.raises(CellError, match=message):
        index_dataset(spec(tmp_path / "set"), 9, 0)


def test_a_link_to_nothing_is_an_image_that_cannot_be_read(tmp_path: Path) -> None:
    for name in ("a", "b"):
        add(tmp_path / name / "0.png")
    (tmp_path / "a" / "1.png").symlink_to(tmp_path / "gone.png")
    reference = ensure_torchvision().datasets.ImageFolder(str(tmp_path))
    assert sum(map(len, class_folders(tmp_path).values())) == len(reference) == 3


def test_links_that_lead_in_a_circle_are_refused(tmp_path: Path) -> None:
    for name in ("a", "b"):
        add(tmp_path / name / "0.png")
    (tmp_path / "a" / "again").symlink_to(tmp_path / "a")
    with pytest.raises(CellError, match="again: is a link to a folder around it"):
        index_dataset(spec(tmp_path), 9, 0)


def test_a_number_with_a_fraction_is_part_of_a_name(tmp_path: Path) -> None:
    for name in ("1.5mm_screw", "012.american-flag"):
        add(tmp_path / name / "0.png")
    assert index_dataset(spec(tmp_path), 9, 0).classes == ("american flag", "1.5mm screw")
