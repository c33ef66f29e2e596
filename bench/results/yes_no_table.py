"""F1, precision, recall and yes-rate of models that answer yes or no, from their stored answers.

POPE (Li et al. 2023, arXiv:2305.10355) reports all of them; RobustVLM averages F1 over POPE's three
sets of questions. The true answer of a question follows from the stored reply and whether it is
right, so no dataset is read. An undefined value, such as the precision of a model that never says
yes, has no number; POPE's code divides by zero there.

Each value is a function of a share of right answers among some of the questions, and the interval
is Wilson's interval of that share. For F1 the share is J = TP / (TP + FP + FN), since
F1 = 2 J / (1 + J) (Lam, Gopal and Qian 2023, arXiv:2309.14621, "Wilson indirect"). As everywhere,
several questions about one image count as one image. The interval of a mean over datasets is the
mean of their bounds: it holds also if the datasets ask about the same images, as POPE's sets do.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.core.types import CellResult
from bench.results.tables import Scored, cells_frame, load_scored
from bench.stats import Interval, wilson
from bench.store.results_folder import Store
from bench.store.snapshot import read_results
from bench.suite.load import Suite
from bench.suite.metrics import YES_NO, image_id_of, metrics_of
from bench.tasks.yes_no import yes_no

F1 = "yes_no_f1"
PRECISION = "yes_no_precision"
RECALL = "yes_no_recall"
YES_RATE = "yes_rate"
MEAN = "mean"  # in the column `dataset`: the mean over all datasets of yes-or-no questions

_ROW = ("model", "threat", "source", "attack", "norm", "eps", "seed")
YES_NO_COLUMNS = (*_ROW, "dataset", "metric", "n", "value", "ci_low", "ci_high", "cell_id")

_Flags = NDArray[np.bool_]
# By metric: given whether a model said yes and whether yes is true, the questions that count, and
# those of them that are counted as right.
_SHARES: Mapping[str, Callable[[_Flags, _Flags], tuple[_Flags, _Flags]]] = {
    YES_NO: lambda said, true: (np.ones_like(said), said == true),
    F1: lambda said, true: (said | true, said & true),
    PRECISION: lambda said, true: (said, said & true),
    RECALL: lambda said, true: (true, said & true),
    YES_RATE: lambda said, true: (np.ones_like(said), said),
}


def yes_no_scores(suite: Suite, results: str | Path = "results") -> pd.DataFrame:
    """Return accuracy, F1, precision, recall and yes-rate of every cell of yes-or-no questions.

    Args:
        suite: The suite.
        results: Folder with the results of all suites.

    Returns:
        One row per cell with answers and metric, with columns of `load_results`; then, if the
        suite has several datasets of such questions, rows with the dataset `mean`. `n` is the
        number of questions that the metric counts.
    """
    return yes_no_frame(suite, load_scored(read_results(suite, Store(Path(results), suite.suite))))


def yes_no_frame(suite: Suite, scored: Sequence[Scored]) -> pd.DataFrame:
    """Return the table of `yes_no_scores` for cells with their results."""
    answered = [
        (item, result)
        for item in scored
        if item.metric.name == YES_NO and (result := item.answers()) is not None
    ]
    cells = cells_frame(suite, [item for item, _ in answered])[
        [*_ROW, "dataset", "cell_id"]
    ].to_dict("records")
    rows: list[dict[str, object]] = [
        {**{str(name): value for name, value in cell.items()}, **values}
        for cell, (_, result) in zip(cells, answered, strict=True)
        for values in _values(result)
    ]
    frame = pd.DataFrame(rows, columns=[*YES_NO_COLUMNS])
    asked = [dataset.name for dataset in suite.datasets if metrics_of(dataset)[0].name == YES_NO]
    if len(asked) > 1:
        frame = pd.concat([frame, _means(frame, asked)])
    return frame.astype({"seed": "Int64"})


def values_of(
    said: _Flags, true: _Flags, images: Sequence[str]
) -> Iterator[tuple[str, int, Interval]]:
    """Yield each metric's name, the number of questions that it counts, and its interval.

    Args:
        said: Whether the model said yes to each question, `[n]`.
        true: Whether yes is the true answer, `[n]`.
        images: The image of each question.
    """
    owners = np.array(images)
    for metric, share in _SHARES.items():
        counted, right = share(said, true)
        n, size = int(counted.sum()), len(np.unique(owners[counted]))
        if n == 0:
            yield metric, n, Interval(np.nan, np.nan, np.nan)
            continue
        rate = float(right.sum()) / n
        found = Interval(rate, *wilson(rate * size, size))
        if metric == F1:
            found = Interval(*(2 * each / (1 + each) for each in (rate, found.low, found.high)))
        yield metric, n, found


def _values(result: CellResult) -> Iterator[dict[str, object]]:
    """Yield the metrics of a cell."""
    said = np.array([yes_no(text) == "yes" for text in result.texts])
    images = [image_id_of(key) for key in result.sample_ids]
    for metric, n, found in values_of(said, said == result.correct, images):
        bounds = {"ci_low": found.low, "ci_high": found.high}
        yield {"metric": metric, "n": n, "value": found.value, **bounds}


def _means(frame: pd.DataFrame, datasets: Sequence[str]) -> pd.DataFrame:
    """Return the means over datasets; without number if a dataset has no number."""
    rows = []
    for key, some in frame.groupby([*_ROW, "metric"], sort=False, dropna=False):
        numbers = some.set_index("dataset").reindex(list(datasets))
        means = {name: numbers[name].mean(skipna=False) for name in ("value", "ci_low", "ci_high")}
        names = dict(zip([*_ROW, "metric"], key, strict=True))
        rows.append({**names, **means, "dataset": MEAN, "n": some["n"].sum(), "cell_id": ""})
    return pd.DataFrame(rows, columns=[*YES_NO_COLUMNS])
