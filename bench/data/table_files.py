"""Finds the files of a table: Parquet files, and datasets that `datasets` saved.

FILE.parquet, or a folder with *.parquet or data/*.parquet: the layout of the Hugging Face hub,
    SPLIT-00000-of-00002.parquet
a folder with state.json and *.arrow, or with dataset_dict.json and such a folder per split:
    `save_to_disk` of Hugging Face's `datasets`
"""

import re
from pathlib import Path
from typing import Any

from bench.core.errors import CellError
from bench.core.identifiers import is_file_name, shown
from bench.data.split import cell_errors
from bench.suite.specs import TableDataset
from radapt.text_files import read_json

_PARQUET = re.compile(r"(.*?)-?(\d{2,6})-of-(\d{2,6})\.parquet")


def table_files(spec: TableDataset) -> list[Path]:
    """Return the files of a table in the order of their rows.

    Raises:
        CellError: There are none, some are missing, or the split does not exist.
    """
    path = Path(spec.path)
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise CellError(f"{path}: no such file or folder")
    if (path / "dataset_dict.json").is_file():
        splits = _listed(path / "dataset_dict.json", "splits")
        if not all(isinstance(each, str) and is_file_name(each) for each in splits):
            raise CellError(f"{path}: got the splits {shown(splits)}; needed: names of folders")
        return _saved(path / _chosen(spec, splits))
    if (path / "state.json").is_file():
        _chosen(spec, [""])
        return _saved(path)
    files = sorted(path.glob("*.parquet")) or sorted(path.glob("data/*.parquet"))
    if not files:
        raise CellError(
            f"{path}: has no Parquet files, and is no dataset that `save_to_disk` of `datasets` "
            "wrote (no state.json and no dataset_dict.json)"
        )
    split = _chosen(spec, sorted(set(map(_split_of, files))))
    return _complete([file for file in files if _split_of(file) == split])


def _chosen(spec: TableDataset, splits: list[str]) -> str:
    """Return the split of the spec, or the only one."""
    if spec.split is None and len(splits) == 1:
        return splits[0]
    if spec.split not in splits:
        raise CellError(
            f"{spec.path}: got the split {shown(spec.split)}; allowed: "
            f"{', '.join(filter(None, splits)) or 'none, as it is a single split'}"
        )
    return spec.split


def _saved(folder: Path) -> list[Path]:
    """Return the files of a dataset that `save_to_disk` wrote."""
    state = folder / "state.json"
    if not state.is_file():
        raise CellError(f"{state} is missing; `save_to_disk` of `datasets` writes it")
    listed = _listed(state, "_data_files")
    names = [str(each.get("filename")) if isinstance(each, dict) else "" for each in listed]
    if not names or not all(map(is_file_name, names)):
        raise CellError(f"{state}: got the files {shown(names)}; needed: names of files")
    if missing := [name for name in names if not (folder / name).is_file()]:
        raise CellError(f"{folder}: {len(missing)} of {len(names)} files are missing: {missing[0]}")
    return [folder / name for name in names]


def _listed(path: Path, key: str) -> list[Any]:
    """Return a list in a JSON file that `save_to_disk` wrote."""
    with cell_errors():
        content = read_json(path)
    found = content.get(key) if isinstance(content, dict) else None
    if not isinstance(found, list):
        raise CellError(f"{path}: has no list {key!r}, which `save_to_disk` of `datasets` writes")
    return found


def _split_of(file: Path) -> str:
    found = _PARQUET.fullmatch(file.name)
    return found[1] if found else file.stem


def _complete(files: list[Path]) -> list[Path]:
    """Return files unchanged; refuse a part of those that `-of-` counts."""
    found = [each for file in files if (each := _PARQUET.fullmatch(file.name))]
    totals = {int(each[3]) for each in found}
    if found and (len(totals) > 1 or len(found) != max(totals) or len(found) < len(files)):
        raise CellError(
            f"{files[0].parent}: has {len(files)} files like {files[0].name}, but the names say "
            f"{max(totals)}"
        )
    return files
