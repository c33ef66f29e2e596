"""The data of the page of a large suite, in script files beside it.

A browser does not let a page that is opened as a file read other files, but it runs scripts. So a
part is a script `leaderboard.parts/<name>.js` that calls `leaderboardPart` with its data, and
`parts.js` loads it when a reader asks for what it holds.
"""

import hashlib
import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from json.encoder import encode_basestring_ascii as quoted
from pathlib import Path
from typing import Any

from bench.report.export.assets import safe_in_script
from bench.report.export.json_leaderboard import ThreatKey, board_numbers, threats_of
from bench.report.export.leaderboard_values import Boards, columns
from bench.report.export.protocol_details import evidence
from bench.results.board_cells import Key
from bench.results.spreadsheet import DIGITS
from bench.store.writing import write_text, writing
from bench.suite.load import Suite
from bench.trust.findings import Examined
from bench.trust.reported_number import Pair

PARTS = "leaderboard.parts"
_MOST_INLINE = 20_000  # planned cells of a page without parts
_MOST_FAILURES = 200  # that a page with parts lists
_FAILURE = ("status", "model", "dataset", "attack", "eps", "threat", "source", "reason")
_NAME = re.compile(r"(cells|dataset|model)-\d+\.js")
_RATE = ",".join([f"%.{DIGITS}g"] * 3)  # the digits of `rounded`


@dataclass(frozen=True, slots=True)
class ListedCells:
    """What the page needs of the cells.

    Attributes:
        count: Number of cells.
        inline: Lines of the table of all cells; None if they stand in parts.
        models: Indices of the models whose cells stand in a part `cells-<index>`.
        failures: Rows of cells without a number: all of a small suite, the first of a large one.
        failed: Number of cells without a number.
        stamp: Tells the parts of this page from those of a page with other models or columns.
    """

    count: int
    inline: list[Any] | None
    models: tuple[int, ...]
    failures: tuple[Mapping[str, object], ...]
    failed: int
    stamp: str


class PageCells:
    """Collects the cells of a suite for the page, one by one.

    The cells of a large suite are written model by model, so that memory holds those of one model.
    A line is JSON text from fragments that many cells share, because there may be a million.
    """

    def __init__(
        self, suite: Suite, threats: Sequence[ThreatKey], planned: int, parts_folder: Path
    ) -> None:
        """Start without cells.

        Args:
            suite: The suite.
            threats: Threats of the leaderboard (`threats_of`).
            planned: Number of cells of the suite, with and without a result.
            parts_folder: Folder of the parts, which is made for a large suite only.
        """
        self._models = {name: index for index, name in enumerate(suite.models)}
        self._datasets = {dataset.name: index for index, dataset in enumerate(suite.datasets)}
        self._threats = {key: index for index, key in enumerate(threats)} | {("", ""): -1}
        self._stamp = _stamp(suite, threats)
        self._large = planned > _MOST_INLINE
        self._folder = parts_folder
        self._model: str | None = None
        self._index = -1
        self._lines: list[str] = []
        self._keys: dict[tuple[str, ...], str] = {}  # JSON of what many cells share
        self._states: dict[tuple[str, str], str] = {}  # JSON of status and flags
        self._written: list[int] = []
        self._count = self._failed = 0
        self._failures: list[Mapping[str, object]] = []

    def add(self, row: Mapping[str, Any]) -> None:
        """Add a cell; all cells of a model follow each other.

        Args:
            row: The columns of `cells.csv`; numbers that are missing are None or NaN.

        Raises:
            ValueError: Cells of another model came between the cells of this one.
            StoreError: A part cannot be written.
        """
        if row["model"] != self._model:
            self._begin(row["model"])
        key = (
            row["dataset"], row["threat"], row["source"], row["attack"], row["norm"], row["eps"],
            row["metric"],
        )  # fmt: skip
        shared = self._keys.get(key) or self._shared(key)
        state = row["status"], row["flags"]
        told = self._states.get(state) or self._told(state)
        if state[0] != "ok":
            self._fail(row)
        value, seed = row["value"], row["seed"]
        if value is None or value != value:  # NaN differs from itself
            rate = "null"
        else:
            rate = f"[{_RATE % (value, row['ci_low'], row['ci_high'])}]"
        self._lines.append(
            f"[{self._index},{shared},{rate},{row['n']},{'null' if seed is None else seed},{told},"
            f"{quoted(row['cell_id'])}]"
        )

    def finish(self) -> ListedCells:
        """Write the cells of the last model, and return what the page needs."""
        inline = None
        if self._large:
            self._write_model()
        else:
            self._count = len(self._lines)
            inline = json.loads(f"[{','.join(self._lines)}]")
        return ListedCells(
            self._count,
            inline,
            tuple(self._written),
            tuple(self._failures),
            self._failed,
            self._stamp,
        )

    def _begin(self, model: str) -> None:
        if self._large:
            self._write_model()
        self._model, self._index = model, self._models[model]
        if self._index in self._written:
            raise ValueError(f"cells of {model!r} do not follow each other")

    def _write_model(self) -> None:
        if self._lines:
            lines = ",\n".join(self._lines)
            _write_part(self._folder, f"cells-{self._index}", self._stamp, f"[\n{lines}\n]")
            self._written.append(self._index)
        self._count += len(self._lines)
        self._lines.clear()
        self._states.clear()  # flags may name the model

    def _shared(self, key: tuple[str, ...]) -> str:
        dataset, threat, source, attack, norm, eps, metric = key
        place = f"{self._datasets[dataset]},{self._threats[threat, source]}"
        named = attack + ("-l2" if norm == "L2" else "")
        self._keys[key] = f"{place},{quoted(named)},{quoted(eps)},{quoted(metric)}"
        return self._keys[key]

    def _told(self, state: tuple[str, str]) -> str:
        self._states[state] = ",".join(map(quoted, state))
        return self._states[state]

    def _fail(self, row: Mapping[str, Any]) -> None:
        self._failed += 1
        if not self._large or self._failed <= _MOST_FAILURES:
            self._failures.append({name: row[name] for name in _FAILURE})


def write_parts(
    suite: Suite,
    boards: Boards,
    cells: ListedCells,
    answers: Mapping[Key, Sequence[Mapping[str, object]]],
    examined: Mapping[Pair, Examined],
    folder: Path,
) -> None:
    """Write the parts of a large suite but those of its cells, and remove all that are left over.

    `dataset-<index>` has the leaderboard of a dataset, by threat and model. `model-<index>` has
    what figures and the dialog show of a model: its rates on each dataset by threat, its example
    answers by threat, and the findings of the trust battery. Numbers are found by threat and model
    and not by place, since ranks may change between the page and its parts while a run goes on.

    Args:
        suite: The suite.
        boards: Leaderboards over all datasets and per dataset.
        cells: The cells, from `PageCells`.
        answers: Example answers by row.
        examined: Findings of the trust battery, by model and dataset.
        folder: Folder of the parts.

    Raises:
        StoreError: A file cannot be written.
    """
    written = {f"cells-{index}" for index in cells.models}
    if cells.inline is None:
        for name, text in _board_parts(suite, boards, answers, examined):
            _write_part(folder, name, cells.stamp, text)
            written.add(name)
    _remove_others(folder, {f"{name}.js" for name in written})


def _board_parts(
    suite: Suite,
    boards: Boards,
    answers: Mapping[Key, Sequence[Mapping[str, object]]],
    examined: Mapping[Pair, Examined],
) -> Iterator[tuple[str, str]]:
    """Yield name and JSON text of each part."""
    models = {name: index for index, name in enumerate(suite.models)}
    threats = {key: index for index, key in enumerate(threats_of(boards))}
    rates: dict[Key, list[str]] = {row.key: [] for row in boards[""]}
    for index, dataset in enumerate(suite.datasets):
        rows = []
        numbers = board_numbers(suite, boards[dataset.name])
        for key, texts in rates.items():
            own = numbers[key]
            texts.append(_json(own.pop("rates")))
            place = f"{threats[key[1:]]} {models[key[0]]}"
            rows.append(f'"{place}":{_json(own)[:-1]},"rates":{texts[-1]}}}')
        yield f"dataset-{index}", f"{{{','.join(rows)}}}"
    findings = evidence(examined)
    for name, index in models.items():
        own_rates = [
            f'"{threats[key[1:]]}":[{",".join(texts)}]'
            for key, texts in rates.items()
            if key[0] == name
        ]
        told = {
            threats[key[1:]]: list(answers[key])
            for key in rates
            if key[0] == name and key in answers
        }
        yield (
            f"model-{index}",
            f'{{"rates":{{{",".join(own_rates)}}},"answers":{_json(told)},'
            f'"examined":{_json(findings.get(name, {}))}}}',
        )


def _stamp(suite: Suite, threats: Sequence[ThreatKey]) -> str:
    """Return a digest of everything that the indices in parts refer to."""
    datasets = [dataset.name for dataset in suite.datasets]
    names = [list(suite.models), datasets, threats, [column.key for column in columns(suite)]]
    return hashlib.sha256(json.dumps(names).encode()).hexdigest()[:16]


def _write_part(folder: Path, name: str, stamp: str, text: str) -> None:
    call = f'leaderboardPart("{name}","{stamp}",{safe_in_script(text)});\n'
    write_text(folder / f"{name}.js", call)


def _remove_others(folder: Path, names: Collection[str]) -> None:
    """Remove parts of earlier exports, and the folder if it is empty then."""
    with writing(folder):
        for path in folder.glob("*.js"):
            if _NAME.fullmatch(path.name) and path.name not in names:
                path.unlink(missing_ok=True)
        with suppress(OSError):  # missing, or not empty
            folder.rmdir()


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False)
