"""The numbers of a suite as other formats take them: each with its interval, threat and flags."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bench.compare.compared_results import ComparedResults
from bench.compare.differences import DatasetScores
from bench.compare.numbers_by_row import Row, numbers_by_row
from bench.compare.published_number import MEAN
from bench.core.errors import UserError
from bench.core.types import CLEAN, WORST, Budget, Norm
from bench.report.export.leaderboard_values import threat_name
from bench.results.number_format import Scale, scale_of
from bench.results.tables import SAME_SOURCE, Scored, cell_flags, load_scored
from bench.stats import Interval, mean_of
from bench.store.snapshot import Results
from bench.suite.load import Suite
from bench.suite.metrics import Metric, metric_of
from bench.suite.specs import AnyAttack, eps_value
from bench.trust.findings import FLAGS


@dataclass(frozen=True, slots=True)
class SharedNumber:
    """A number of a suite.

    Attributes:
        model: Name of the model.
        dataset: Name of the dataset, or `mean` for the mean over all.
        metric: The metric.
        threat: `white-box` or `transfer`; empty for clean images.
        source: Model on which transferred images are crafted.
        attack: Name of the attack, `clean`, or `worst` for the images that survive all attacks.
        attacks: The attacks behind the number; one, unless `attack` is `worst`.
        norm: Norm of the budget; None for clean images.
        eps: Radius as the suite writes it; empty for clean images.
        rate: The number with its 95% interval, on the scale of the metric.
        anytime: Whether its images were drawn until it was precise enough, so that its interval is
            a confidence sequence.
        n: Number of images, captions or questions.
        flags: Flags of the cells behind the number.
    """

    model: str
    dataset: str
    metric: Metric
    threat: str
    source: str
    attack: str
    attacks: tuple[AnyAttack, ...]
    norm: Norm | None
    eps: str
    rate: Interval
    anytime: bool
    n: int
    flags: tuple[str, ...]

    @property
    def threat_name(self) -> str:
        """The threat model: `white-box`, `transfer from CLIP`, `clean`."""
        return threat_name(self.threat, self.source)

    @property
    def doubts(self) -> tuple[str, ...]:
        """Flags of the trust battery: the number must not be believed, or needs a closer look."""
        return tuple(flag for flag in self.flags if flag.startswith(tuple(FLAGS.values())))

    @property
    def is_worst(self) -> bool:
        """Whether the number is the worst case over all attacks at its radius."""
        return self.attack == WORST

    @property
    def scale(self) -> Scale:
        """The number format of the metric."""
        return scale_of(self.metric)


@dataclass(frozen=True, slots=True)
class SharedResults:
    """What every format is written from.

    Attributes:
        suite: The suite.
        numbers: Its numbers, model by model.
        benchmark: Repository on the hub, `OWNER/NAME`, whose leaderboard the numbers are for; empty
            if none was given.
    """

    suite: Suite
    numbers: tuple[SharedNumber, ...]
    benchmark: str = ""

    def of_model(self, model: str) -> list[SharedNumber]:
        """Return the numbers of a model."""
        return [number for number in self.numbers if number.model == model]

    @property
    def headline(self) -> tuple[SharedNumber, ...]:
        """The numbers on clean images, and the worst cases at the largest radius."""
        largest = max((eps_value(n.eps) for n in self.numbers if n.is_worst), default=0.0)
        return tuple(
            n
            for n in self.numbers
            if (n.is_worst and eps_value(n.eps) == largest)
            or (n.attack == CLEAN and n.metric.is_main)
        )

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the models with a number, in the order of the suite."""
        found = {number.model for number in self.numbers}
        return tuple(name for name in self.suite.models if name in found)

    def deviation(self, dataset: str) -> str:
        """Return how a dataset differs from the published one of its name: `pcam: 2 of ...`."""
        differing = (
            f"{entry.name}: {entry.deviation}"
            for entry in self.suite.datasets
            if entry.deviation and dataset in (MEAN, entry.name)
        )
        return "; ".join(differing)

    def evidence(self, number: SharedNumber) -> str:
        """Return in words what a number depends on and how far to trust it."""
        text = number.scale.text
        low, high = text(number.rate.low), text(number.rate.high)
        attacks = ", ".join(attack.label_in_norm for attack in number.attacks)
        parts = [
            f"{number.metric.name}, 95% interval {low} to {high}, n = {number.n}",
            f"mean over {len(self.suite.datasets)} datasets" if number.dataset == MEAN else "",
            f"threat model: {number.threat_name}, {number.norm} {number.eps}" if attacks else "",
            f"{'lowest of' if number.is_worst else 'attack'}: {attacks}" if attacks else "",
            f"data: {of}" if (of := self.deviation(number.dataset)) else "",
            f"doubtful: {' '.join(number.doubts)}" if number.doubts else "",
            f"flags: {flags}" if (flags := " ".join(_others(number))) else "",
        ]
        return "; ".join(filter(None, parts))


def shared_results(results: Results, benchmark: str = "") -> SharedResults:
    """Return the numbers of a suite.

    A worst case is given for every Linf radius. A mean is left out if a dataset has no number.

    Args:
        results: Stored results of the suite.
        benchmark: See `SharedResults`.

    Raises:
        UserError: The suite has no number.
    """
    suite, scored = results.suite, load_scored(results)
    found = list(_numbers(suite, scored))
    radii = {eps_value(eps) for attack in _linf(suite) for eps in attack.eps}
    for radius in sorted(radii)[:-1]:  # `_numbers` has the worst case at the largest
        smaller = suite.model_copy(update={"attacks": _at_radius(suite, radius)})
        own = [item for item in scored if item.cell.budget in (Budget(0.0), Budget(radius))]
        found += [number for number in _numbers(smaller, own) if number.is_worst]
    if not found:
        raise UserError(f"suite {suite.suite}: no number is stored; run it first")
    places = {name: place for place, name in enumerate(suite.models)}
    in_order = sorted(found, key=lambda number: places[number.model])
    return SharedResults(suite, tuple(in_order), benchmark)


def file_names(names: Sequence[str]) -> Mapping[str, str]:
    """Return a file name, without an ending, for each text, whatever characters it has."""
    found: dict[str, str] = {}
    for name in names:
        plain = re.sub(r"[^\w.@+-]+", "-", name)[:60].strip(".-") or "unnamed"
        taken = sum(other.partition("~")[0] == plain for other in found.values())
        found[name] = f"{plain}~{taken + 1}" if taken else plain
    return found


def _linf(suite: Suite) -> list[AnyAttack]:
    return [attack for attack in suite.attacks if attack.norm == "linf"]


def _at_radius(suite: Suite, radius: float) -> tuple[AnyAttack, ...]:
    """Return the Linf attacks with one of their radii."""
    kept = (
        (attack, tuple(eps for eps in attack.eps if eps_value(eps) == radius))
        for attack in _linf(suite)
    )
    return tuple(attack.model_copy(update={"eps": eps}) for attack, eps in kept if eps)


def _numbers(suite: Suite, scored: Sequence[Scored]) -> Iterator[SharedNumber]:
    names = [dataset.name for dataset in suite.datasets]
    for row, models in numbers_by_row(suite, ComparedResults(tuple(scored), {})).items():
        for model, numbers in models.items():
            known = [scores for scores in numbers.scores if scores is not None]
            for name, scores in zip(names, numbers.scores, strict=True):
                own = [item for item in numbers.cells if item.cell.dataset == name]
                if scores is not None:
                    metric = metric_of(row.metric_on(suite.dataset(name)))
                    yield _number(row, model, name, metric, [scores], own)
            if len(known) == len(names) > 1:
                metric = metric_of(row.metric_on(suite.datasets[0]))
                yield _number(row, model, MEAN, metric, known, numbers.cells)


def _number(
    row: Row,
    model: str,
    dataset: str,
    metric: Metric,
    scores: Sequence[DatasetScores],
    cells: Sequence[Scored],
) -> SharedNumber:
    ran = [item for item in cells if item.shares is not None]
    attacks = {item.cell.attack.label_in_norm: item.cell.attack for item in ran if item.cell.attack}
    attacked = next((item.cell for item in ran if item.cell.attack), None)
    anytime = any(s.anytime for s in scores)
    rate = mean_of([s.correct for s in scores], [s.effective_size for s in scores], anytime=anytime)
    flags = dict.fromkeys(
        flag
        for item in ran
        if (details := item.details()) is not None
        for flag in cell_flags(item, details)
    )
    if not row.source:  # the worst case of a white-box row includes images of other rows
        flags.pop(SAME_SOURCE, None)
    return SharedNumber(
        model, dataset, metric, row.threat, row.source, row.attack, tuple(attacks.values()),
        attacked.budget.norm if attacked else None, row.eps, rate.scaled(metric.highest),
        anytime,
        sum(s.shares[0].size for s in scores),
        tuple(flags),
    )  # fmt: skip


def _others(number: SharedNumber) -> list[str]:
    return [flag for flag in number.flags if flag not in number.doubts]
