"""Reads images with labels from Parquet files and from datasets that `datasets` saved.

An image is a struct of bytes and path, or binary. Class names stand in the metadata of the schema
(`huggingface`, the feature ClassLabel). The library `datasets` is not needed.
"""

import json
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from bench.core.digests import sha256
from bench.core.errors import CellError
from bench.core.identifiers import shown
from bench.data.label_classes import Labelled
from bench.data.table_files import table_files
from bench.suite.specs import TableDataset
from radapt.optional_packages import not_installed

_ROWS = 256  # rows that are read at once: images of a whole row group may not fit into memory
# a part of a file: its number of rows, and a function that yields the arrays of a column
_Part = tuple[int, Callable[[str], Iterator[Any]]]


@dataclass(frozen=True, slots=True)
class Columns:
    """The files of a table in the order of their rows, and its columns.

    Attributes:
        files: Parquet or Arrow files.
        image: Name of the column of the images.
        label: Name of the column of the labels.
        names: Class names of labels that are numbers; empty if the table has none.
    """

    files: Sequence[Path]
    image: str
    label: str
    names: tuple[str, ...]


def columns_of(spec: TableDataset) -> Columns:
    """Find the files and columns of a table; no row is read.

    Raises:
        CellError: pyarrow is not installed, files are missing or damaged, or the table has no
            split or column of the spec.
    """
    files = table_files(spec)
    schema = _schema(files[0])
    label = spec.label or "label"
    if label not in schema.names:
        raise CellError(
            f"{spec.path}: has no column {shown(label)}; give the column of the labels as `label`; "
            f"allowed: {', '.join(schema.names)}"
        )
    return Columns(files, _image_column(spec, schema), label, _class_names(schema, label))


def open_table(spec: TableDataset) -> Labelled:
    """Read the labels of a table; an image's id is the number of its row, with eight digits.

    Raises:
        CellError: A row has no label; see also `columns_of`.
    """
    table = columns_of(spec)
    found = [each for file in table.files for each in _values(file, table.label)]
    wrong = [row for row, each in enumerate(found) if not _is_label(each)]
    if wrong:
        raise CellError(
            f"{spec.path}: {len(wrong)} of {len(found)} rows have no class number or name in the "
            f"column {shown(table.label)} (first: row {wrong[0]}, {shown(found[wrong[0]])}); does "
            "this split have labels?"
        )
    labels = {f"{row:08d}": each for row, each in enumerate(found)}
    read = partial(_read, table.files, table.image)
    content = partial(_content, table.files, table.image)
    return Labelled(labels, table.names, read, content)


def _image_column(spec: TableDataset, schema: Any) -> str:
    import pyarrow

    kinds = pyarrow.types
    images: list[str] = [
        field.name
        for field in schema
        if kinds.is_binary(field.type) or kinds.is_large_binary(field.type)
        or (kinds.is_struct(field.type) and field.type.get_field_index("bytes") >= 0)
    ]  # fmt: skip
    wanted = [name for name in images if spec.image in (None, name)]
    if len(wanted) != 1:
        raise CellError(
            f"{spec.path}: {len(images)} columns have images"
            f"{': ' + ', '.join(images) if images else ''}; "
            f"got {shown(spec.image)} as `image`, and exactly one is needed"
        )
    return wanted[0]


def _is_label(value: Any) -> bool:
    if isinstance(value, str):
        return bool(value.strip())
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _class_names(schema: Any, label: str) -> tuple[str, ...]:
    """Return the names of the feature ClassLabel; empty if the schema has none."""
    try:
        stated = json.loads((schema.metadata or {})[b"huggingface"])
        names = stated["info"]["features"][label]["names"]
    except (KeyError, TypeError, ValueError):
        return ()
    return tuple(map(str, names)) if isinstance(names, list) else ()


def _read(files: Sequence[Path], image: str, keys: Collection[str]) -> Iterator[tuple[str, bytes]]:
    wanted = sorted(int(key) for key in keys)
    first = 0
    for file in files:
        with _damage(file):
            for count, column in _parts(file):
                end = first + count
                if bisect_left(wanted, first) < bisect_left(wanted, end):
                    for array in column(image):
                        after = first + len(array)
                        rows = wanted[bisect_left(wanted, first) : bisect_left(wanted, after)]
                        for row in rows:
                            yield f"{row:08d}", _bytes(file, row, array[row - first].as_py())
                        first = after
                first = end


def _bytes(file: Path, row: int, value: Any) -> bytes:
    data = value.get("bytes") if isinstance(value, dict) else value
    if not data:
        path = value.get("path") if isinstance(value, dict) else None
        raise CellError(f"{file}: row {row} has no image in it (its path is {shown(path)})")
    return bytes(data)


def _content(files: Sequence[Path], image: str, keys: Sequence[str]) -> Iterator[bytes]:
    """Yield the column of the images and hashes of the whole files, whatever rows are chosen."""
    yield image.encode()
    yield from map(sha256, files)


def _values(file: Path, name: str) -> Iterator[Any]:
    with _damage(file):
        for _, column in _parts(file):
            for array in column(name):
                yield from array.to_pylist()


def _schema(file: Path) -> Any:
    """Return the schema of a file.

    Raises:
        CellError: pyarrow is not installed, or the file is not of its format.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise CellError(f"{file}: {not_installed('pyarrow')}") from error
    with _damage(file):
        if file.suffix == ".parquet":
            return parquet.read_schema(file)
        with pyarrow.memory_map(str(file)) as mapped:
            return pyarrow.ipc.open_stream(mapped).schema


def _parts(file: Path) -> Iterator[_Part]:
    """Yield the row groups of a Parquet file, or the record batches of an Arrow file."""
    import pyarrow
    from pyarrow import parquet

    if file.suffix == ".parquet":
        with parquet.ParquetFile(file) as opened:
            for group in range(opened.num_row_groups):
                rows = opened.metadata.row_group(group).num_rows
                yield rows, partial(_group_column, opened, group)
        return
    with pyarrow.memory_map(str(file)) as mapped:
        for batch in pyarrow.ipc.open_stream(mapped):
            yield batch.num_rows, partial(_batch_column, batch)


def _group_column(opened: Any, group: int, name: str) -> Iterator[Any]:
    for batch in opened.iter_batches(_ROWS, row_groups=[group], columns=[name]):
        yield batch.column(0)


def _batch_column(batch: Any, name: str) -> Iterator[Any]:
    yield batch.column(name)


@contextmanager
def _damage(file: Path) -> Iterator[None]:
    """Turn an error of pyarrow into a CellError that names the file."""
    import pyarrow

    try:
        yield
    except (OSError, KeyError, pyarrow.ArrowException) as error:
        raise CellError(f"{file}: damaged, or of another format ({error})") from error
