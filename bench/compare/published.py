"""Published numbers with the protocol that their papers state; does not import torch."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

from bench.core.errors import UserError
from bench.core.identifiers import path_fault, shown
from bench.core.shipped_files import named_table
from bench.core.suite_paths import find_path
from bench.suite.load import Against
from bench.suite.specs import ATTACK_PRESETS, eps_value
from radapt.text_files import read_text

MEAN = "mean"
UNNAMED = "unnamed"  # attack that the source does not name
# protocol fields that a number depends on; an empty field is not stated and not compared
PROTOCOL_FIELDS = (
    *("weights", "pixels", "storage", "resize", "templates"),
    *("steps", "restarts", "targets"),
)


@dataclass(frozen=True, slots=True)
class Published:
    """A published number. A text is empty where the source does not state it.

    Attributes:
        model: Name in the paper's table.
        dataset: Name in the catalogue, or `mean`.
        attack: The suite's label; `clean`, or `unnamed` where the source does not name the attack.
        preset_attack: Name of the attack in an attack preset, if the paper's attack differs from
            the usual attack called `attack`.
        eps: Radius as written in a suite, `4/255`; empty for clean images.
        metric: Name as in `cells.csv`.
        value_percent: Value as printed; the number of digits gives the rounding.
        paper: Short name of the paper.
        table: Table of the paper.
        over: Datasets of a mean, separated by spaces.
        threat: `white-box` or `transfer`.
        source_model: Model on which transferred images are crafted.
        threat_basis: Whether the threat is `stated` or `inferred`.
        samples: Number of images per dataset, or `all`.
        weights: Source of the model's weights (`bench.results.protocol_summary.weights`).
        pixels: Attacked image size (`bench.results.protocol_summary.pixels`).
        storage: Storage of adversarial images, as in a suite's protocol.
        resize: Resizing inside the model, if any.
        templates: `dataset`, or the prompt templates separated by ` | `.
        steps: Iterations of each member attack, joined by `+`.
        restarts: Restarts of each member attack, joined by `+`.
        targets: Target classes of each member attack, joined by `+`.
        incomparable: Reason why the number cannot be compared with any measurement.
        source: Where the number was read.
        note: Remark for readers.
    """

    model: str
    dataset: str
    attack: str
    eps: str
    metric: str
    value_percent: str
    preset_attack: str = ""
    paper: str = ""
    table: str = ""
    over: str = ""
    threat: str = ""
    source_model: str = ""
    threat_basis: str = ""
    samples: str = ""
    weights: str = ""
    pixels: str = ""
    storage: str = ""
    resize: str = ""
    templates: str = ""
    steps: str = ""
    restarts: str = ""
    targets: str = ""
    incomparable: str = ""
    source: str = ""
    note: str = ""

    @property
    def value(self) -> float:
        """The number as a fraction in [0,1]."""
        return float(self.value_percent) / 100

    @property
    def rounding(self) -> float:
        """Half a unit of the last printed digit, as a fraction."""
        decimals = len(self.value_percent.partition(".")[2])
        return float(0.5 * 10**-decimals / 100)

    @property
    def datasets(self) -> tuple[str, ...]:
        """Datasets of the number; empty if the datasets of a mean are not stated."""
        return tuple(self.over.split()) if self.dataset == MEAN else (self.dataset,)

    @property
    def threat_model(self) -> str:
        """The threat model: `white-box`, `transfer from CLIP`."""
        return f"transfer from {self.source_model}" if self.source_model else self.threat


_KNOWN = {field.name for field in fields(Published)}
_PRESET_ATTACKS = tuple(entry["name"] for preset in ATTACK_PRESETS.values() for entry in preset)
_NEEDED = ("model", "dataset", "attack", "eps", "metric", "value_percent")


def given(file: str) -> Against:
    """Return the published numbers that a call names.

    Raises:
        UserError: No file can have this path.
    """
    if why := path_fault(file):
        raise UserError(f"--against: got {shown(file)}; it {why}")
    return Against(file=file)


def read_published(against: Against) -> tuple[Published, ...]:
    """Read published numbers from a CSV file or a shipped table; unknown columns are ignored.

    Raises:
        UserError: The file cannot be read, lacks columns or the table, or has an invalid row.
    """
    path = find_path(against.file)
    if not path.exists():
        path = named_table(against.file) or path
    try:
        reader = csv.DictReader(io.StringIO(read_text(path), newline=""))
        missing = [name for name in _NEEDED if name not in (reader.fieldnames or ())]
        if missing:
            raise UserError(
                f"{path}: the columns {', '.join(missing)} are missing; required: "
                f"{', '.join(_NEEDED)}"
            )
        rows = list(_rows(path, reader))
    except ValueError as error:
        raise UserError(str(error)) from error
    except csv.Error as error:
        raise UserError(f"{path}: is not a valid CSV file ({error})") from error
    tables = list(dict.fromkeys(row.table for row in rows))
    if against.table is not None and against.table not in tables:
        raise UserError(
            f"{path}: got the table {against.table!r}; allowed: {', '.join(tables) or 'none'}"
        )
    return tuple(row for row in rows if against.table in (None, row.table))


def _rows(path: Path, reader: "csv.DictReader[str]") -> Iterator[Published]:
    for number, record in enumerate(reader, 2):
        known = {key: (value or "").strip() for key, value in record.items() if key in _KNOWN}
        row = Published(**known)
        try:
            valid = 0 <= row.value <= 1 and (not row.eps or eps_value(row.eps) >= 0)
        except (ValueError, ZeroDivisionError):
            valid = False
        if not valid:
            raise UserError(
                f"{path}, line {number}: got value_percent {row.value_percent!r} and eps "
                f"{row.eps!r}; allowed: a percentage from 0 to 100, and a radius like 4/255"
            )
        if row.preset_attack not in ("", *_PRESET_ATTACKS):
            raise UserError(
                f"{path}, line {number}: got preset_attack {row.preset_attack!r}; allowed: "
                f"{', '.join(_PRESET_ATTACKS)}"
            )
        if row.samples not in ("", "all") and not row.samples.isdigit():
            raise UserError(
                f"{path}, line {number}: got samples {row.samples!r}; allowed: a number, `all`"
            )
        yield row
