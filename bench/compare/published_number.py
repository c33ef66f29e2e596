"""A published number with the protocol that its source states."""

from dataclasses import dataclass
from decimal import Decimal

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
        model: Name in the paper's table; empty where the source names weights only.
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
        deviation: How the images differ from the published dataset of this name.
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
    deviation: str = ""
    incomparable: str = ""
    source: str = ""
    note: str = ""

    @property
    def value(self) -> float:
        """The number as a fraction in [0,1]: the float that is nearest to the printed digits."""
        return float(Decimal(self.value_percent) / 100)

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
