"""Reads published numbers; does not import torch.

A file is recognised by its content: a table with our columns, or one of the files in `FORMATS`.
"""

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from bench.compare.foreign_numbers import clip_benchmark_numbers, robustbench_numbers
from bench.compare.published_number import Published
from bench.core.errors import UserError
from bench.core.identifiers import path_fault, shown
from bench.core.shipped_files import named_table
from bench.core.suite_paths import find_path
from bench.results.spreadsheet import unescaped_text
from bench.suite.load import Against
from bench.suite.specs import ATTACK_PRESETS, eps_value
from radapt.text_files import parse_json, read_text

_NEEDED = ("model", "dataset", "attack", "eps", "metric", "value_percent")
# fields by which each file is recognised
_ROBUSTBENCH = ("dataset", "clean_acc")
_CLIP_BENCHMARK = ("dataset", "model", "pretrained", "task")
_METRICS = "metrics"  # of CLIP_benchmark's JSON; its CSV has a column per metric
FORMATS = (
    f"a CSV file with the columns {', '.join(_NEEDED)}; CLIP_benchmark's CSV, with the columns "
    f"{', '.join(_CLIP_BENCHMARK)}, or its JSON, with these keys and {_METRICS}; RobustBench's "
    f"model_info JSON, with the keys {', '.join(_ROBUSTBENCH)}; a folder of JSON files"
)
_KNOWN = {field.name for field in fields(Published)}
_PRESET_ATTACKS = tuple(entry["name"] for preset in ATTACK_PRESETS.values() for entry in preset)
_Placed = Iterator[tuple[str, Published]]  # numbers with their place, for messages


def given(file: str) -> Against:
    """Return the published numbers that a call names.

    Raises:
        UserError: No file can have this path.
    """
    if why := path_fault(file):
        raise UserError(f"--against: got {shown(file)}; it {why}")
    return Against(file=file)


def read_published(against: Against) -> tuple[Published, ...]:
    """Read published numbers from a file, a folder of JSON files or a shipped table.

    Unknown columns and keys are ignored.

    Raises:
        UserError: A file cannot be read, is none of `FORMATS`, lacks the table, or has an invalid
            number.
    """
    path = find_path(against.file)
    if not path.exists():
        path = named_table(against.file) or path
    rows: list[Published] = []
    for file in _files(path):
        try:
            for place, row in _numbers(file, read_text(file)):
                _check(place, row)
                rows.append(row)
        except csv.Error as error:
            raise UserError(f"{file}: is not a valid CSV file ({error})") from error
        except ValueError as error:
            raise UserError(str(error)) from error
    tables = list(dict.fromkeys(row.table for row in rows))
    if against.table is not None and against.table not in tables:
        raise UserError(
            f"{path}: got the table {against.table!r}; allowed: {', '.join(tables) or 'none'}"
        )
    return tuple(row for row in rows if against.table in (None, row.table))


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    files = sorted(path.rglob("*.json"))
    if not files:
        raise UserError(f"{path}: has no JSON file; allowed: {FORMATS}")
    return files


def _numbers(path: Path, text: str) -> _Placed:
    """Yield the numbers of a file.

    Raises:
        UserError: The file is none of `FORMATS`.
        ValueError: The file begins like JSON and is not valid JSON.
    """
    if text.lstrip().startswith(("{", "[")):
        yield from _json_numbers(path, parse_json(text, str(path)))
        return
    reader = csv.DictReader(io.StringIO(text, newline=""))
    names = reader.fieldnames or ()
    missing = [name for name in _NEEDED if name not in names]
    is_foreign = bool(missing) and all(name in names for name in _CLIP_BENCHMARK)
    if missing and not is_foreign:
        raise UserError(f"{path}: the columns {', '.join(missing)} are missing; allowed: {FORMATS}")
    for number, record in enumerate(reader, 2):
        place = f"{path}, line {number}"
        if is_foreign:
            plain = {key: unescaped_text(value) for key, value in record.items()}
            yield from ((place, row) for row in clip_benchmark_numbers(plain))
        else:
            known = {key: (value or "").strip() for key, value in record.items() if key in _KNOWN}
            yield place, Published(**known)


def _json_numbers(path: Path, content: object) -> _Placed:
    entry: Mapping[str, Any] = content if isinstance(content, dict) else {}
    metrics = entry.get(_METRICS)
    if all(key in entry for key in _ROBUSTBENCH):
        rows = robustbench_numbers(entry, path)
    elif isinstance(metrics, dict) and all(key in entry for key in _CLIP_BENCHMARK):
        rows = clip_benchmark_numbers({**metrics, **entry})
    else:
        keys = ", ".join(map(str, entry)) or "none"
        raise UserError(f"{path}: got JSON with the keys {shown(keys)}; allowed: {FORMATS}")
    return ((str(path), row) for row in rows)


def _check(place: str, row: Published) -> None:
    """Check a number.

    Raises:
        UserError: A field has an invalid value.
    """
    try:
        valid = 0 <= row.value <= 1 and (not row.eps or eps_value(row.eps) >= 0)
    except (ValueError, ArithmeticError):
        valid = False
    if not valid:
        raise UserError(
            f"{place}: got value_percent {row.value_percent!r} and eps {row.eps!r}; allowed: a "
            "percentage from 0 to 100, and a radius like 4/255"
        )
    if row.preset_attack not in ("", *_PRESET_ATTACKS):
        raise UserError(
            f"{place}: got preset_attack {row.preset_attack!r}; allowed: "
            f"{', '.join(_PRESET_ATTACKS)}"
        )
    if row.samples not in ("", "all") and not row.samples.isdigit():
        raise UserError(f"{place}: got samples {row.samples!r}; allowed: a number, `all`")
