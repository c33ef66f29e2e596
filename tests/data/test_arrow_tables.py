"""Parquet files, and datasets as `save_to_disk` of Hugging Face's `datasets` writes them."""

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.core.errors import CellError
from bench.data import index_dataset, load_images, native_size
from bench.data.source_kinds import source_of
from bench.suite.specs import TableDataset
from tests.conftest import png

pa = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

NAMES = ["cat", "dog", "t-shirt"]
LABELS = (0, 1, 2, 0, 1, 2)


def grey(value: int) -> bytes:
    return png(np.full((4, 6, 3), value, np.uint8))


def rows(
    labels: Sequence[object] = LABELS, names: list[str] | None = NAMES, first: int = 0, **more: Any
) -> Any:
    """Return a table as `datasets` makes it; the pixels of row n are 10 n."""
    images = [{"bytes": grey(10 * (first + n) % 251), "path": None} for n in range(len(labels))]
    image = pa.array(images, pa.struct({"bytes": pa.binary(), "path": pa.string()}))
    table = pa.table({"img": image, "label": list(labels), **more})
    if names is None:
        return table
    features = {"img": {"_type": "Image"}, "label": {"names": names, "_type": "ClassLabel"}}
    return table.replace_schema_metadata(
        {"huggingface": json.dumps({"info": {"features": features}})}
    )


def save(folder: Path, *parts: Any) -> None:
    """Write a dataset as `save_to_disk` does."""
    folder.mkdir(parents=True)
    names = [f"data-{n:05d}-of-{len(parts):05d}.arrow" for n in range(len(parts))]
    for name, part in zip(names, parts, strict=True):
        with (
            pa.OSFile(str(folder / name), "wb") as file,
            pa.ipc.new_stream(file, part.schema) as out,
        ):
            out.write_table(part, max_chunksize=2)
    state = {"_data_files": [{"filename": name} for name in names], "_split": None}
    (folder / "state.json").write_text(json.dumps(state))
    (folder / "dataset_info.json").write_text("{}")


def spec_of(path: Path, **keys: Any) -> TableDataset:
    return TableDataset.model_validate({"kind": "table", "name": "set", "path": str(path), **keys})


def found(spec: TableDataset) -> list[tuple[str, int, str]]:
    """Return id, pixel value and class name of each image."""
    images = load_images(spec, index_dataset(spec, 100, 0).sample_ids, "native")
    return [
        (key, int(image[0, 0, 0]), images.classes[label])
        for key, image, label in zip(
            images.sample_ids, images.images, images.labels, strict=True
        )
    ]  # fmt: skip


EXPECTED = [(f"{n:08d}", 10 * n, NAMES[label]) for n, label in enumerate(LABELS)]


def as_parquet(root: Path) -> TableDataset:
    parquet.write_table(rows(), root / "set.parquet", row_group_size=4)
    return spec_of(root / "set.parquet")


def as_hub_folder(root: Path) -> TableDataset:
    (root / "data").mkdir()
    for part in (1, 0):
        table = rows(LABELS[3 * part : 3 * part + 3], first=3 * part)
        parquet.write_table(table, root / "data" / f"test-{part:05d}-of-00002.parquet")
    parquet.write_table(rows((2, 2)), root / "data" / "train-00000-of-00001.parquet")
    return spec_of(root, split="test")


def as_saved(root: Path) -> TableDataset:
    save(root / "set", rows(LABELS[:4]), rows(LABELS[4:], first=4))
    return spec_of(root / "set")


def as_saved_splits(root: Path) -> TableDataset:
    save(root / "set" / "test", rows())
    save(root / "set" / "train", rows((1, 1)))
    (root / "set" / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    return spec_of(root / "set", split="test")


@pytest.mark.parametrize("write", [as_parquet, as_hub_folder, as_saved, as_saved_splits])
def test_tables_are_read_in_the_order_of_their_rows(tmp_path: Path, write: Any) -> None:
    spec = write(tmp_path)
    assert found(spec) == EXPECTED
    assert index_dataset(spec, 9, 0).classes == tuple(NAMES)
    assert (native_size(spec), source_of(spec).missing(0)) == ((4, 6), None)
    few = load_images(spec, ("00000005", "00000000", "00000003"), "native")
    assert few.images[:, 0, 0, 0].tolist() == [50, 0, 30]


def test_columns_are_chosen_by_name(tmp_path: Path) -> None:
    masks = pa.array([grey(200 + n) for n in range(6)])
    table = rows(names=None, masks=masks, kind=["b_c", "a", "b_c", "a", "a", "a"])
    parquet.write_table(table, tmp_path / "set.parquet")
    spec = spec_of(tmp_path / "set.parquet", image="masks", label="kind")
    assert [each[1:] for each in found(spec)][:2] == [(200, "b c"), (201, "a")]
    assert index_dataset(spec, 1, 0).classes == ("a", "b c")
    other = spec.model_copy(update={"image": "img"})
    assert [each[1] for each in found(other)][:2] == [0, 10]
    assert index_dataset(other, 1, 0).fingerprint != index_dataset(spec, 1, 0).fingerprint
    with pytest.raises(CellError, match="2 columns have images: img, masks; got None as `image`"):
        index_dataset(spec_of(tmp_path / "set.parquet", label="kind"), 1, 0)
    with pytest.raises(CellError, match=r"no column 'fine'.* allowed: img, label, masks, kind"):
        index_dataset(spec_of(tmp_path / "set.parquet", image="img", label="fine"), 1, 0)
    with pytest.raises(CellError, match="no names belong to them"):
        index_dataset(spec_of(tmp_path / "set.parquet", image="img"), 1, 0)


def test_a_long_row_group_is_read_in_batches(tmp_path: Path) -> None:
    table = rows([n % 3 for n in range(600)])
    parquet.write_table(table, tmp_path / "set.parquet")  # a single row group
    keys = ("00000599", "00000255", "00000003")  # no row of the second batch
    images = load_images(spec_of(tmp_path / "set.parquet"), keys, "native")
    assert images.images[:, 0, 0, 0].tolist() == [5990 % 251, 2550 % 251, 30]
    assert images.labels.tolist() == [2, 0, 0]


def test_imagenets_numbers_need_an_order(tmp_path: Path) -> None:
    parquet.write_table(rows((490, 361), names=None), tmp_path / "set.parquet")
    spec = spec_of(tmp_path / "set.parquet", order="devkit")
    assert [each[2] for each in found(spec)] == ["sea snake", "mountain"]
    text = "its numbers are ImageNet's classes in the order devkit, as the suite says"
    assert text in [remark.text for remark in index_dataset(spec, 1, 0).remarks]


def test_the_identity_follows_the_file(tmp_path: Path) -> None:
    spec = as_parquet(tmp_path)
    first = index_dataset(spec, 1, 0).fingerprint
    parquet.write_table(rows((0, 1, 2, 0, 1, 1)), spec.path)
    assert index_dataset(spec, 1, 0).fingerprint != first


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        (lambda: rows((0, -1, -1)), r"2 of 3 rows have no class number .*first: row 1, -1\); does"),
        (lambda: rows((0, None, 1)), r"1 of 3 rows have no class number .*row 1, None"),
        (lambda: rows((0, 1, 3)), r"1 labels are not in the range 0 to 2 \(first: 3 of '00000002'"),
        (lambda: rows((0.0, 1.0)), r"2 of 2 rows have no class number"),
        (lambda: rows().drop_columns("img"), "0 columns have images; got None"),
        (lambda: rows(()), "has no images"),
    ],
)
def test_rows_without_a_label_or_image_are_refused(tmp_path: Path, table: Any, reason: str) -> None:
    parquet.write_table(table(), tmp_path / "set.parquet")
    with pytest.raises(CellError, match=reason):
        index_dataset(spec_of(tmp_path / "set.parquet"), 9, 0)


def test_images_that_are_elsewhere_are_refused(tmp_path: Path) -> None:
    image = pa.array([{"bytes": None, "path": "/a.png"}, {"bytes": grey(0), "path": None}])
    table = pa.table({"image": image, "label": ["cat", "dog"]})
    parquet.write_table(table, tmp_path / "set.parquet")
    spec = spec_of(tmp_path / "set.parquet")
    lock = index_dataset(spec, 2, 0)
    with pytest.raises(CellError, match=r"row 0 has no image in it \(its path is '/a.png'\)"):
        load_images(spec, lock.sample_ids, "native")


def lose_a_part(root: Path) -> tuple[TableDataset, str]:
    spec = as_hub_folder(root)
    (root / "data" / "test-00001-of-00002.parquet").unlink()
    return spec, "has 1 files like test-00000-of-00002.parquet, but the names say 2"


def lose_a_saved_part(root: Path) -> tuple[TableDataset, str]:
    spec = as_saved(root)
    (root / "set" / "data-00000-of-00002.arrow").unlink()
    return spec, "1 of 2 files are missing: data-00000-of-00002.arrow"


def lead_elsewhere(root: Path) -> tuple[TableDataset, str]:
    spec = as_saved(root)
    (root / "set" / "state.json").write_text('{"_data_files": [{"filename": "../x.arrow"}]}')
    return spec, r"state.json: got the files .'../x.arrow'.; needed: names of files"


def empty_state(root: Path) -> tuple[TableDataset, str]:
    spec = as_saved(root)
    (root / "set" / "state.json").write_text("{}")
    return spec, "state.json: has no list '_data_files'"


def splits_elsewhere(root: Path) -> tuple[TableDataset, str]:
    spec = as_saved_splits(root)
    (root / "set" / "dataset_dict.json").write_text('{"splits": ["../set"]}')
    return spec, r"got the splits .'../set'.; needed: names of folders"


def lose_a_split(root: Path) -> tuple[TableDataset, str]:
    spec = as_saved_splits(root)
    (root / "set" / "test" / "state.json").unlink()
    return spec, "test/state.json is missing"


def truncate(root: Path) -> tuple[TableDataset, str]:
    spec = as_parquet(root)
    Path(spec.path).write_bytes(Path(spec.path).read_bytes()[:-100])
    return spec, r"set.parquet: damaged, or of another format"


def truncate_saved(root: Path) -> tuple[TableDataset, str]:
    spec = as_saved(root)
    path = Path(spec.path) / "data-00001-of-00002.arrow"
    path.write_bytes(path.read_bytes()[:-200])
    return spec, r"data-00001-of-00002.arrow: damaged, or of another format"


def no_split(root: Path) -> tuple[TableDataset, str]:
    return as_saved_splits(root).model_copy(update={"split": None}), "None; allowed: train, test"


def other_split(root: Path) -> tuple[TableDataset, str]:
    return as_saved(root).model_copy(update={"split": "test"}), "'test'; allowed: none, as it is"


def no_table(root: Path) -> tuple[TableDataset, str]:
    (root / "set").mkdir()
    return spec_of(root / "set"), "has no Parquet files, and is no dataset that `save_to_disk`"


@pytest.mark.parametrize(
    "damage",
    [
        *(lose_a_part, lose_a_saved_part, lead_elsewhere, empty_state, truncate, truncate_saved),
        *(splits_elsewhere, lose_a_split),
        *(no_split, other_split, no_table),
    ],
)
def test_damaged_and_incomplete_tables_are_named(tmp_path: Path, damage: Any) -> None:
    spec, reason = damage(tmp_path)
    assert re.search(reason, source_of(spec).missing(0) or "") or damage is truncate_saved
    with pytest.raises(CellError, match=reason):
        index_dataset(spec, 9, 0)


def test_tables_need_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = as_parquet(tmp_path)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert "pip install 'radapt-bench[tables]'" in str(source_of(spec).missing(0))
    with pytest.raises(CellError, match=r"pip install 'radapt-bench\[tables\]'"):
        index_dataset(spec, 1, 0)
