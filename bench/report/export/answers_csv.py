"""What models said: every answer as a table, and a few beside what was said without the attack.

An answer is a model's, and may hold anything. Here it loses the characters that obey no reader but
a terminal; that it is no markup and no formula is up to whoever writes it into a page or a table.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from bench.core.terminal import legible
from bench.data.split import choose
from bench.report.export.leaderboard_values import Key
from bench.results.tables import Scored, cells_frame
from bench.suite.load import Suite

_OF_CELL = (
    *("model", "dataset", "threat", "source", "attack", "norm", "eps", "metric", "seed"),
    "cell_id",
)
ANSWER_COLUMNS = (*_OF_CELL, "sample_id", "score", "text")
_SHOWN = 3  # answers of a row and dataset on the page
_LONGEST = 300  # letters of an answer on the page

Said = tuple[str, float]  # an answer, and its score on the scale of the metric


def answers_frame(suite: Suite, scored: Sequence[Scored]) -> pd.DataFrame:
    """Return one row per cell and image of which something was said, in the order of the suite.

    Columns are those of `cells.csv` that tell cells apart, then `sample_id`, `score` on the scale
    of the metric, and `text`; control characters in it have become U+FFFD.
    """
    spoken = [item for item in scored if item.result is not None and item.result.texts]
    cells = cells_frame(suite, spoken)[[*_OF_CELL]].to_dict("records")
    parts = []
    for cell, item in zip(cells, spoken, strict=True):
        result = item.result
        assert result is not None
        of_images: dict[str, object] = {
            "sample_id": result.sample_ids,
            "score": result.values.astype(float),
            "text": [legible(text) for text in result.texts],
        }
        parts.append(
            pd.DataFrame({**{str(name): value for name, value in cell.items()}, **of_images})
        )
    frame = pd.concat(parts) if parts else pd.DataFrame(columns=[*ANSWER_COLUMNS])
    return frame.astype({"seed": "Int64"})


def examples(suite: Suite, scored: Sequence[Scored]) -> dict[Key, list[dict[str, object]]]:
    """Return a few answers of each row of the leaderboard, with and without the attack.

    Of each dataset, those of the attack that leaves the least; images are drawn as datasets' are,
    by the suite's seed, so that rows show the same ones and nobody picked them.

    Returns:
        By row: `dataset`, `column`, `sample`, `clean` and `attacked`; either of the two has the
        text and its score, and is None where there is none.
    """
    clean: dict[tuple[str, str], Scored] = {}
    rows: dict[Key, dict[str, Scored | None]] = defaultdict(dict)
    for item in scored:
        cell, value = item.cell, item.value
        if item.result is None or not item.result.texts or value is None:
            continue
        if cell.threat is None:
            clean[cell.target, cell.dataset] = item
            continue
        of_row = rows[cell.target, cell.threat.kind, item.source]
        lowest = of_row.get(cell.dataset)
        if lowest is None or lowest.value is None or value < lowest.value:
            of_row[cell.dataset] = item
    if not rows:
        for model, dataset in clean:
            rows[model, "", ""][dataset] = None
    return {
        key: [
            example
            for name, item in of_row.items()
            for example in _shown(suite, name, clean.get((key[0], name)), item)
        ]
        for key, of_row in rows.items()
    }


def _shown(
    suite: Suite, dataset: str, clean: Scored | None, attacked: Scored | None
) -> Iterator[dict[str, object]]:
    before, after = _said(clean), _said(attacked)
    for key in choose(after if attacked else before, _SHOWN, suite.seed):
        yield {
            "dataset": dataset,
            "column": attacked.column if attacked else "",
            "sample": key,
            "clean": before.get(key),
            "attacked": after.get(key),
        }


def _said(item: Scored | None) -> Mapping[str, Said]:
    if item is None or item.result is None:
        return {}
    result = item.result
    texts = map(legible, result.texts)
    said = [text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…" for text in texts]
    answers = zip(said, result.values.tolist(), strict=True)
    return dict(zip(result.sample_ids, answers, strict=True))
