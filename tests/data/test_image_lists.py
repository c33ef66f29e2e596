"""Lists of images with labels: CSV, TSV and text files, and ImageNet's flat validation set."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bench import catalogue
from bench.core.errors import CellError, SuiteError
from bench.data import index_dataset, load_images, native_size
from bench.data.source_kinds import source_of
from bench.suite.specs import FolderDataset, TableDataset
from tests.support.question_files import picture

# the classes of the first ten images of ImageNet's validation set: in Caffe's val.txt, in the
# development kit's ILSVRC2012_validation_ground_truth.txt, and their WordNet ids
CAFFE = (65, 970, 230, 809, 516, 57, 334, 415, 674, 332)
DEVKIT = (490, 361, 171, 822, 297, 482, 13, 704, 599, 164)
SHOWN = (
    "n01751748", "n09193705", "n02105855", "n04263257", "n03125729",
    "n01735189", "n02346627", "n02776631", "n03794056", "n02328150",
)  # fmt: skip


def table(path: Path, **keys: Any) -> TableDataset:
    return TableDataset.model_validate({"kind": "table", "name": "set", "path": str(path), **keys})


def listed(root: Path, name: str, text: str, **keys: Any) -> TableDataset:
    """Return a dataset of a list beside four images, whose pixels are 0, 10, 20, 30."""
    for number, image in enumerate(("a.png", "b c.png", "sub/d.png", "e.JPEG")):
        picture(root, image, 10 * number)
    (root / name).write_bytes(text.encode())
    return table(root / name, **keys)


def labels(spec: TableDataset) -> dict[str, str]:
    """Return the class name of each image, in the order of the images' pixels."""
    found = load_images(spec, index_dataset(spec, 100, 0).sample_ids, "native")
    rows = found.images[:, 0, 0, 0].argsort()
    return {found.sample_ids[row]: found.classes[found.labels[row]] for row in rows}


def remarks(spec: TableDataset) -> list[tuple[str, str]]:
    return [(remark.name, remark.text) for remark in index_dataset(spec, 1, 0).remarks]


NAMED = {"a.png": "sea horse", "b c.png": "cat", "sub/d.png": "sea horse", "e.JPEG": "cat"}


@pytest.mark.parametrize(
    ("name", "text", "keys"),
    [
        ("l.csv", "a.png,sea_horse\nb c.png,cat\n./sub/d.png,sea_horse\ne.JPEG,cat\n", {}),
        ("l.CSV", 'path,label\r\na.png,sea_horse\r\n"b c.png",cat\r\n\r\nsub/d.png,sea_horse\r\n'
         "e.JPEG,cat", {}),
        ("l.tsv", "a.png\tsea_horse\nb c.png\t cat\nsub/d.png\tsea_horse\ne.JPEG\tcat\n", {}),
        ("l.txt", "\ufeffa.png sea_horse\nb c.png cat\nsub/d.png   sea_horse\ne.JPEG cat\n", {}),
        ("l.csv", "n,what,file\n0,sea_horse,a.png\n1,cat,b c.png\n2,sea_horse,sub/d.png\n"
         "3,cat,e.JPEG\n", {"image": "file", "label": "what"}),
    ],
)  # fmt: skip
def test_paths_with_class_names(tmp_path: Path, name: str, text: str, keys: dict[str, str]) -> None:
    spec = listed(tmp_path, name, text, **keys)
    assert labels(spec) == NAMED
    assert index_dataset(spec, 9, 0).classes == ("cat", "sea horse")
    assert (native_size(spec), remarks(spec)) == ((12, 16), [])
    assert source_of(spec).missing(0) is None


def test_a_first_row_that_names_a_file_is_no_header(tmp_path: Path) -> None:
    picture(tmp_path, "scan1", 1)
    picture(tmp_path, "scan2", 2)
    (tmp_path / "list.csv").write_text("scan1,cat\nscan2,dog\n")
    assert labels(table(tmp_path / "list.csv")) == {"scan1": "cat", "scan2": "dog"}


def test_images_may_be_elsewhere_and_have_no_row(tmp_path: Path) -> None:
    listed(tmp_path / "images", "unused.csv", "")
    text = "a.png,cat\n./a.png,cat\nsub//d.png,dog\n"
    (tmp_path / "list.csv").write_text(text)
    spec = table(tmp_path / "list.csv", images=str(tmp_path / "images"))
    assert labels(spec) == {"a.png": "cat", "sub/d.png": "dog"}
    assert remarks(spec) == [
        ("repeated-images", "1 rows repeat an image and its label (first: a.png)"),
        ("images-not-listed", "2 images in the folder are not in the list (first: b c.png)"),
    ]


def test_a_list_with_a_public_name_is_compared_with_the_catalogue(tmp_path: Path) -> None:
    spec = listed(tmp_path, "l.csv", "a.png,cat\nb c.png,dog\nsub/d.png,cat\ne.JPEG,dog\n")
    public = spec.model_copy(update={"name": "cifar10"})
    text = "the dataset's files have 2 class names, the catalogue has 10; check that this is the "
    assert remarks(public) == [("class-names", f"{text}right dataset")]
    assert remarks(spec) == []


def test_numbers_and_names_may_stand_for_the_lines_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "names").mkdir()
    names = tmp_path / "names" / "classes.txt"
    names.write_text("snail\ncat\nsea horse\n")
    numbers = "a.png 2\nb c.png 1\nsub/d.png 2\ne.JPEG 1\n"
    spec = listed(tmp_path, "list.txt", numbers, classes=str(names))
    assert labels(spec) == NAMED
    assert remarks(spec) == [("empty-classes", "1 of 3 classes have no images (first: snail)")]
    texts = "".join(f"{key},{name}\n" for key, name in NAMED.items())
    same = listed(tmp_path, "list.csv", texts, classes=str(names))
    assert index_dataset(same, 9, 0) == index_dataset(spec, 9, 0)
    names.write_text("snail\ncat\n")
    with pytest.raises(CellError, match=r"2 labels .* 0 to 1 \(first: 2 of 'a.png'\).*2 class nam"):
        index_dataset(spec, 9, 0)
    with pytest.raises(CellError, match=r"1 labels are not in .*classes.txt \(first: 'sea horse'"):
        index_dataset(same, 9, 0)


def test_the_identity_follows_labels_and_images(tmp_path: Path) -> None:
    spec = listed(tmp_path, "l.csv", "a.png,cat\nsub/d.png,dog\n")
    first = index_dataset(spec, 1, 0)
    (tmp_path / "l.csv").write_text("a.png,dog\nsub/d.png,cat\n")
    second = index_dataset(spec, 1, 0)
    assert first.fingerprint != second.fingerprint
    picture(tmp_path, first.sample_ids[0], 99)
    assert index_dataset(spec, 1, 0).fingerprint != second.fingerprint


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("l.csv", "", "l.csv: is empty"),
        ("l.csv", "path,label\n", "l.csv: has no images"),
        ("l.csv", "a.png,cat\nb c.png\n", r"line 2: got \['b c.png'\]; needed: 2 columns"),
        ("l.csv", "a.png,cat,1\nb c.png,dog,1\n", r"line 1: got .*; needed: 2 columns"),
        ("l.csv", "a.png,cat\n,dog\n", "line 2: got"),
        ("l.csv", 'a.png,"cat\n', r"l.csv, line 1: not valid CSV"),
        ("l.txt", "a.png cat\nb.png\n", r"line 2: got \['b.png'\]"),
        ("l.csv", "a.png,cat\na.png,dog\n", "line 2: 'a.png' has the label 'dog' here and 'cat'"),
        ("l.csv", "a.png,cat\n../b.png,dog\n", r"line 2: got the path '../b.png'; it must stay"),
        ("l.csv", "a.png,cat\n/b.png,dog\n", r"line 2: got the path '/b.png'; it must stay"),
        ("l.csv", "a.png,0\nb c.png,12345678901\n", r"1 of 2 labels are class numbers"),
        ("l.csv", "a.png,cat\n7.png,dog\n", r"1 of 2 images are not in .*first: '7.png'\); give"),
        ("l.csv", "a.png,0\nb c.png,1\n", "labels are numbers, and no names belong to them"),
        ("l.csv", "a.png,0\nb c.png,dog\n", r"1 of 2 labels are class numbers .*'dog' of 'b c"),
        ("l.csv", "a.png,n01440764\nb c.png,dog\n", r"1 labels are WordNet ids, and 1 are not"),
        ("l.csv", "a.png,n01440764\nb c.png,n00000001\n", r"1 are not classes of ImageNet-1k"),
        ("l.csv", "a.png,cat\nb c.png,cat\n", "got one class, 'cat'; at least two are needed"),
        ("l.txt", "0\n1\n2\n", "has only labels, which belong to the images ILSVRC2012_val_0"),
    ],
)  # fmt: skip
def test_wrong_rows_are_named(tmp_path: Path, name: str, text: str, reason: str) -> None:
    with pytest.raises(CellError, match=reason):
        index_dataset(listed(tmp_path, name, text), 9, 0)


@pytest.mark.parametrize(
    ("path", "keys", "named"),
    [
        ("l.csv", {"split": "test"}, "split"),
        ("l.txt", {"label": "class"}, "label"),
        ("set.parquet", {"images": "images"}, "images"),
        ("l.txt", {"classes": "names.txt", "order": "devkit"}, "order"),
    ],
)
def test_keys_that_a_file_does_not_use_are_refused(
    suite_file: Any, path: str, keys: dict[str, str], named: str
) -> None:
    from bench.suite.load import load_suite

    entry = {"kind": "table", "name": "set", "path": path, **keys}
    with pytest.raises(SuiteError, match=rf"not used for this path.*: {named}"):
        load_suite(suite_file(datasets=[entry]))


def test_a_missing_list_is_named(tmp_path: Path) -> None:
    spec = table(tmp_path / "l.csv", images=str(tmp_path / "images"))
    assert source_of(spec).missing(0) == f"{spec.path}, {spec.images}: no such file or folder"
    with pytest.raises(CellError, match="images: no such folder of images"):
        index_dataset(spec, 1, 0)


# --- ImageNet's validation set in a single folder -------------------------------------------------


def imagenet(root: Path, numbers: Sequence[int] = range(1, 11)) -> Path:
    for number in numbers:
        picture(root / "val", f"ILSVRC2012_val_{number:08d}.JPEG", number)
    return root / "val"


def flat(root: Path, text: str, name: str = "val.txt", **keys: Any) -> TableDataset:
    (root / name).write_text(text)
    return table(root / name, images=str(imagenet(root)), **keys)


def named(numbers: Sequence[object]) -> str:
    lines = (f"ILSVRC2012_val_{i:08d}.JPEG {each}\n" for i, each in enumerate(numbers, 1))
    return "".join(lines)


EXPECTED = [catalogue.imagenet_names()[each] for each in SHOWN]


@pytest.mark.parametrize("order", [None, "wordnet"])
def test_caffes_list(tmp_path: Path, order: str | None) -> None:
    spec = flat(tmp_path, named(CAFFE), order=order)
    assert list(labels(spec).values()) == EXPECTED
    assert index_dataset(spec, 1, 0).classes == tuple(catalogue.imagenet_names().values())
    assert remarks(spec)[0] == (
        "imagenet-order",
        "its numbers are ImageNet's classes in the order wordnet, as its first images show",
    )


@pytest.mark.parametrize("order", [None, "devkit"])
@pytest.mark.parametrize("with_paths", [False, True])
def test_the_development_kits_list(tmp_path: Path, order: str | None, with_paths: bool) -> None:
    text = named(DEVKIT) if with_paths else "".join(f"{number}\n" for number in DEVKIT)
    spec = flat(tmp_path, text, "ILSVRC2012_validation_ground_truth.txt", order=order)
    assert list(labels(spec).values()) == EXPECTED
    assert "in the order devkit, as its first images show" in remarks(spec)[0][1]


def test_wordnet_ids_and_kaggles_list_are_the_same_dataset(tmp_path: Path) -> None:
    lock = index_dataset(flat(tmp_path, named(CAFFE)), 100, 0)
    rows = [
        f"ILSVRC2012_val_{i:08d},{each} 1 2 3 4 {each} 5 6 7 8" for i, each in enumerate(SHOWN, 1)
    ]
    others = (
        flat(tmp_path, named(SHOWN), "ids.txt"),
        flat(tmp_path, "".join(f"{each}\n" for each in SHOWN), "only_ids.txt"),
        flat(tmp_path, "\n".join(["ImageId,PredictionString", *rows]), "LOC_val_solution.csv"),
    )
    for spec in others:
        found = index_dataset(spec, 100, 0)
        assert (found.fingerprint, found.classes) == (lock.fingerprint, lock.classes)


def test_class_folders_without_folders_point_to_lists(tmp_path: Path) -> None:
    folder = {"kind": "folder", "name": "set", "path": str(imagenet(tmp_path))}
    with pytest.raises(CellError, match=r"got 0 folders .* a list of their labels are `kind: tab"):
        index_dataset(FolderDataset.model_validate(folder), 1, 0)


def test_other_orders_are_refused(tmp_path: Path) -> None:
    from_zero = flat(tmp_path, named([number - 1 for number in DEVKIT]))
    with pytest.raises(CellError, match=r"00000001.JPEG has the label 489 and shows n01751748"):
        index_dataset(from_zero, 1, 0)
    one_off = flat(tmp_path, named([*CAFFE[:4], 515, *CAFFE[5:]]))
    with pytest.raises(CellError, match=r"00000005.JPEG has the label 515 and shows n03125729"):
        index_dataset(one_off, 1, 0)
    wrong = flat(tmp_path, named(CAFFE), order="devkit")
    with pytest.raises(CellError, match="so the labels are not in the order devkit; allowed"):
        index_dataset(wrong, 1, 0)


def test_an_order_that_no_image_shows_must_be_stated(tmp_path: Path) -> None:
    folder = imagenet(tmp_path, (11, 12))
    path = tmp_path / "val.txt"
    text = "ILSVRC2012_val_00000011.JPEG 109\nILSVRC2012_val_00000012.JPEG 286\n"
    path.write_text(text)
    with pytest.raises(CellError, match=r"none of the images 1 to 10, .* `order: wordnet`"):
        index_dataset(table(path, images=str(folder)), 1, 0)
    spec = table(path, images=str(folder), order="wordnet")
    ids = list(catalogue.imagenet_names())
    assert [ids[109], ids[286]] == ["n01917289", "n02125311"]  # as published
    assert list(labels(spec).values()) == [catalogue.imagenet_names()[ids[n]] for n in (109, 286)]
    assert remarks(spec)[0][1].endswith("in the order wordnet, as the suite says")
    path.write_text(text.replace("286", "1000"))
    with pytest.raises(CellError, match=r"1 labels are not in the range 0 to 999 \(first: 1000"):
        index_dataset(spec, 1, 0)


def test_some_images_of_a_list_of_labels_are_enough(tmp_path: Path) -> None:
    folder = imagenet(tmp_path, (2, 3))
    path = tmp_path / "truth.txt"
    path.write_text("".join(f"{number}\n" for number in DEVKIT))
    spec = table(path, images=str(folder))
    assert list(labels(spec).values()) == EXPECTED[1:3]
    assert ("labels-without-image", "the folder has 2 of the 10 images that have a label") in (
        remarks(spec)
    )
    path.write_text("490\n361\n\n171\n")  # a blank line does not shift the lines after it
    with pytest.raises(CellError, match=r"1 of 2 images in .* have no line .*00000003.JPEG"):
        index_dataset(spec, 1, 0)


def test_the_development_kits_order_is_a_permutation_of_the_classes() -> None:
    order = catalogue.imagenet_devkit_order()
    assert sorted(order) == list(catalogue.imagenet_names())
    assert [order[number - 1] for number in DEVKIT] == list(SHOWN)
    assert (order[0], order[-1]) == ("n02119789", "n03255030")  # kit fox, dumbbell
