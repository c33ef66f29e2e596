"""Numbers of papers, with what is known of how they came about; read without torch."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

from bench.core.errors import UserError
from bench.core.identifiers import place_fault, shown
from bench.suite.specs import ATTACK_PRESETS, Against, eps_value

MEAN = "mean"
UNNAMED = "unnamed"  # the attack, where the source names none
# fields of a protocol that a number depends on; what is empty is not stated
PROTOCOL_FIELDS = (
    *("weights", "pixels", "storage", "resize", "templates"),
    *("steps", "restarts", "targets"),
)


@dataclass(frozen=True, slots=True)
class Published:
    """One printed number. Texts are empty where the source does not say.

    Attributes:
        model: As the table names it.
        dataset: As the catalogue names it, or `mean`.
        attack: As a suite labels it; `clean`, or `unnamed` where the source names none.
        preset_attack: The one of an attack preset that the number is of, by its name there,
            where what `attack` names is done in a way of its own.
        eps: Radius as a suite writes it, `4/255`; empty when clean.
        metric: As in `cells.csv`.
        value_percent: As printed: its last digit says how it was rounded.
        paper: Which paper.
        table: Which of its tables.
        over: The datasets of a mean, separated by spaces.
        threat: `white-box` or `transfer`.
        source_model: Model that transferred images come from.
        threat_basis: Whether the threat is `stated` or `inferred`.
        samples: Images per dataset, or `all`.
        weights: Where the model's weights come from (`bench.results.protocol_summary.weights`).
        pixels: Size that is attacked, as `bench.results.protocol_summary.pixels` writes it.
        storage: How adversarial images are kept, as a suite's protocol has it.
        resize: Resizing inside the model, where there is any.
        templates: `dataset`, or the prompts separated by ` | `.
        steps: Iterations of each member, joined by `+`.
        restarts: Of each member.
        targets: Of each member.
        incomparable: Why nothing can be held against the number, whatever is measured.
        source: Where the number was read.
        note: What a reader must know of it.
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
        """The number as a fraction."""
        return float(self.value_percent) / 100

    @property
    def rounding(self) -> float:
        """Half of the last printed digit, as a fraction."""
        decimals = len(self.value_percent.partition(".")[2])
        return float(0.5 * 10**-decimals / 100)

    @property
    def datasets(self) -> tuple[str, ...]:
        """The datasets that the number is of; none where those of a mean are not stated."""
        return tuple(self.over.split()) if self.dataset == MEAN else (self.dataset,)

    @property
    def threat_model(self) -> str:
        """The threat in words: `white-box`, `transfer from CLIP`."""
        return f"transfer from {self.source_model}" if self.source_model else self.threat


_KNOWN = {field.name for field in fields(Published)}
_PRESET_ATTACKS = tuple(entry["name"] for preset in ATTACK_PRESETS.values() for entry in preset)
_NEEDED = ("model", "dataset", "attack", "eps", "metric", "value_percent")


def given(file: str) -> Against:
    """Return the published numbers that a call names.

    Raises:
        UserError: No file can have this path.
    """
    if why := place_fault(file):
        raise UserError(f"--against: got {shown(file)}; it {why}")
    return Against(file=file)


def read_published(against: Against) -> tuple[Published, ...]:
    """Read published numbers; columns that are not known are passed over.

    Raises:
        UserError: The file cannot be read, lacks columns or the table, or a number is none.
    """
    path = Path(against.file)
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            missing = [name for name in _NEEDED if name not in (reader.fieldnames or ())]
            if missing:
                raise UserError(
                    f"{path}: the columns {', '.join(missing)} are missing; needed are "
                    f"{', '.join(_NEEDED)}"
                )
            rows = list(_rows(path, reader))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({error})") from error
    tables = list(dict.fromkeys(row.table for row in rows))
    if against.table is not None and against.table not in tables:
        raise UserError(
            f"{path}: got the table {against.table!r}; it has {', '.join(tables) or 'none'}"
        )
    return tuple(row for row in rows if against.table in (None, row.table))


def _rows(path: Path, reader: "csv.DictReader[str]") -> Iterator[Published]:
    for number, record in enumerate(reader, 2):
        known = {key: (value or "").strip() for key, value in record.items() if key in _KNOWN}
        row = Published(**known)
        try:
            sound = 0 <= row.value <= 1 and (not row.eps or eps_value(row.eps) >= 0)
        except (ValueError, ZeroDivisionError):
            sound = False
        if not sound:
            raise UserError(
                f"{path}, line {number}: got value_percent {row.value_percent!r} and eps "
                f"{row.eps!r}; a percentage and a radius like 4/255 are needed"
            )
        if row.preset_attack not in ("", *_PRESET_ATTACKS):
            raise UserError(
                f"{path}, line {number}: got preset_attack {row.preset_attack!r}; allowed: "
                f"{', '.join(_PRESET_ATTACKS)}"
            )
        if row.samples not in ("", "all") and not row.samples.isdigit():
            raise UserError(f"{path}, line {number}: got samples {row.samples!r}; a count or `all`")
        yield row
