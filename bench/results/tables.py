"""One row per cell: results as a pandas table."""

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

from bench.core.types import ANYTIME, CLEAN, VERIFIED_FAMILY, CellResult, Details, Result, Values
from bench.plan.cells import Cell
from bench.plan.unhashed import UnhashedFlags
from bench.results.spreadsheet import unescaped
from bench.stats import design_effect, rate_interval
from bench.store.snapshot import Results
from bench.suite.load import Suite
from bench.suite.metrics import METRICS, Metric, image_id_of, metric_of, rule_of
from bench.trust.findings import Examined
from bench.trust.reported_number import Pair
from bench.trust.stored_findings import examined_pairs, flags_by_pair

if TYPE_CHECKING:  # `status` reads cells without pandas, whose import takes longer than the rest
    import pandas as pd

CELL_COLUMNS = (
    *("suite", "model", "dataset", "task", "threat", "source", "attack", "norm", "eps"),
    *("n", "metric", "vqa_rule", "value", "ci_low", "ci_high", "seconds", "load_seconds"),
    *("queries", "status", "reason", "flags", "cell_id", "craft_id"),
    "seed",
)
SAME_SOURCE = "source=target"
PREPROCESSING_VERIFIED = "preprocessing=verified"


class Scored(NamedTuple):
    """A cell of the plan with its result.

    Attributes:
        cell: The planned cell.
        result: Its result; None if the cell has not run.
        trust_flags: Flags of the trust battery for the cell's model and dataset.
        content_flags: Flags of content that could not be hashed, and of the remarks on how the
            dataset's files were read.
    """

    cell: Cell
    result: Result | None
    trust_flags: tuple[str, ...] = ()
    content_flags: tuple[str, ...] = ()

    @property
    def metric(self) -> Metric:
        """Metric of the cell."""
        return metric_of(self.cell.metric)

    @property
    def shares(self) -> Values | None:
        """Per sample, whether it is right, or its score / best score; None unless ok."""
        if self.result is None or self.result.status != "ok":
            return None
        if not self.metric.graded:
            return self.result.correct  # right-or-wrong metrics may store scores of 0 and 1, too
        whole = self.result.whole()
        if whole is None or whole.scores is None:
            return None if whole is None else whole.correct
        return whole.values / self.metric.highest

    @property
    def value(self) -> float | None:
        """The value of the metric; None unless the cell is ok."""
        result, metric = self.result, self.metric
        if result is None or result.status != "ok":
            return None
        if not metric.graded:
            return result.right / result.size * metric.highest
        shares = self.shares
        return None if shares is None else float(shares.mean()) * metric.highest

    @property
    def effective_size(self) -> float:
        """Effective sample size; the number of images for right-or-wrong answers."""
        metric = self.metric
        if not metric.graded:
            return float(self._images(metric))
        shares = self.shares
        return 0.0 if shares is None else self._images(metric) / float(design_effect(shares))

    @property
    def anytime(self) -> bool:
        """Whether its images were drawn until the number was precise enough."""
        # flags are read from the disk, so those of a million other cells are not looked at
        return self.cell.sequential and self.result is not None and ANYTIME in self.result.flags

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95% interval of the value; None unless the cell is ok."""
        value = self.value
        return None if value is None else self.interval_of(value)

    def interval_of(self, value: float) -> tuple[float, float]:
        """Return the 95% interval of the value, which is known."""
        size, best = self.effective_size, self.metric.highest
        low, high = rate_interval(value / best * size, size, anytime=self.anytime)
        return low * best, high * best

    @property
    def images(self) -> int:
        """Number of scored images; captions of one image are correlated and count as one."""
        return self._images(self.metric)

    def _images(self, metric: Metric) -> int:
        if self.result is None:
            return 0
        if not metric.shares_images:
            return self.result.size
        return _distinct_images(self.result.sample_ids)

    def details(self) -> Details | None:
        """Return the details of the result; None if there is no result or it is damaged."""
        return None if self.result is None else self.result.details()

    def answers(self) -> CellResult | None:
        """Return the result of a model that answered in words; None of any other."""
        if self.result is None or not self.metric.task.answers:
            return None
        whole = self.result.whole()
        return whole if whole is not None and whole.texts else None

    @property
    def skipped(self) -> bool:
        """Whether the attack is not defined for the dataset."""
        return self.result is not None and self.result.status == "skip"

    @property
    def source(self) -> str:
        """Model on which transferred images are crafted; empty for white-box attacks."""
        return (self.cell.threat.source if self.cell.threat else None) or ""

    @property
    def column(self) -> str:
        """Name of the cell's column in the leaderboard."""
        name = self.cell.attack.column(self.cell.eps) if self.cell.attack else CLEAN
        return self.metric.column(name)


@lru_cache(maxsize=256)  # many cells share their images
def _distinct_images(sample_ids: tuple[str, ...]) -> int:
    return len(set(map(image_id_of, sample_ids)))


def load_scored(
    results: Results,
    examined: Mapping[Pair, Examined] | None = None,
    *,
    details_later: bool = False,
) -> list[Scored]:
    """Return a suite's cells with their results, and the flags of datasets and trust battery.

    Results whose details are damaged are left out.

    Args:
        results: Stored results of the suite.
        examined: Findings of the trust battery; read from the store if None.
        details_later: Whether the caller reads all details, and leaves out what is damaged.
    """
    suite, lock = results.suite, results.lock
    trust_flags = flags_by_pair(examined_pairs(results) if examined is None else examined)
    data_flags = {
        name: tuple(remark.flag for remark in found.remarks)
        for name, found in lock.datasets.items()
    }
    unhashed = UnhashedFlags(suite, lock)
    # scores and answers are looked at again and again
    looked_at = {metric.name for metric in METRICS if metric.graded or metric.task.answers}

    def sound(cell: Cell, result: Result | None) -> Result | None:
        if result is None or cell.metric in looked_at:
            return None if result is None else result.whole()
        return result if details_later or result.details() is not None else None

    found: Iterable[Result | None] = map(results.by_id.get, [cell.id for cell in results.cells])
    if not details_later or looked_at & {cell.metric for cell in results.cells}:
        found = map(sound, results.cells, found)
    return [
        Scored(
            cell,
            result,
            trust_flags.get((cell.target, cell.dataset), ()) if cell.attack else (),
            (*unhashed.of(cell), *data_flags.get(cell.dataset, ())),
        )
        for cell, result in zip(results.cells, found, strict=True)
    ]


def read_cells(file: "Path | IO[bytes]") -> "pd.DataFrame":
    """Read a `cells.csv`: one row per cell.

    `value` is a fraction in [0,1], except for the metric `cider`, which is from 0 to 10.
    """
    import pandas as pd

    numbers = ("n", "value", "ci_low", "ci_high", "seconds", "load_seconds", "queries", "seed")
    frame = pd.read_csv(
        file,
        dtype={"seed": "Int64"} | {name: "str" for name in CELL_COLUMNS if name not in numbers},
        keep_default_na=False,  # a model may be called "NA"
        na_values={name: [""] for name in numbers},
    )
    return unescaped(frame)


def cells_frame(suite: Suite, scored: Iterable[Scored]) -> "pd.DataFrame":
    """Return one row per cell that has run, in the order of the suite."""
    import pandas as pd

    rows = [row for _, _, row in cell_rows(suite, scored)]
    return pd.DataFrame(rows, columns=list(CELL_COLUMNS)).astype({"seed": "Int64"})


def cell_rows(
    suite: Suite, scored: Iterable[Scored]
) -> Iterator[tuple[Scored, Details, dict[str, object]]]:
    """Yield each cell that has run with the details of its result and its row of `cells.csv`.

    Cells whose details are damaged are left out.
    """
    for item in scored:
        details = item.details()
        if details is not None:
            yield item, details, _row(suite, item, details)


def _row(suite: Suite, item: Scored, details: Details) -> dict[str, object]:
    cell, result, attack, threat = item.cell, item.result, item.cell.attack, item.cell.threat
    assert result is not None
    value, metric = item.value, item.metric
    low, high = (None, None) if value is None else item.interval_of(value)
    return {
        "suite": suite.suite,
        "model": cell.target,
        "dataset": cell.dataset,
        "task": metric.task.title,
        "threat": threat.kind if threat else "",
        "source": item.source,
        "attack": attack.label if attack else CLEAN,
        "norm": attack.norm.capitalize() if attack else "",
        "eps": cell.eps,
        "n": result.size if result.status == "ok" else 0,
        "metric": cell.metric,
        "vqa_rule": rule_of(suite.protocol, cell.metric) if metric.has_rule else "",
        "value": value,
        "ci_low": low,
        "ci_high": high,
        "seconds": round(details.seconds, 3),
        "load_seconds": round(details.load_seconds, 3),
        "queries": details.queries,
        "status": result.status,
        "reason": details.reason or "",
        "flags": " ".join(cell_flags(item, details)),
        "cell_id": cell.id,
        "craft_id": cell.craft_id,
        "seed": cell.seed if attack else None,
    }


def cell_flags(item: Scored, details: Details) -> list[str]:
    """Return the flags of a cell that has run, as in `cells.csv`."""
    same = (SAME_SOURCE,) if item.cell.same_source else ()
    verified = (PREPROCESSING_VERIFIED,) if VERIFIED_FAMILY in details.provenance else ()
    return [*same, *verified, *item.content_flags, *details.flags, *item.trust_flags]
