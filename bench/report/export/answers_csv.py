"""Answers of models: all of them as a table, and a few with and without the attack for the page.

An answer may hold any characters. Control characters are replaced here; the code that writes a
page or a table escapes markup and formulas.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from bench.core.terminal import legible
from bench.data.split import choose
from bench.results.board_cells import Key
from bench.results.tables import Scored, cells_frame
from bench.suite.load import Suite

_CELL_COLUMNS = (
    *("model", "dataset", "threat", "source", "attack", "norm", "eps", "metric", "seed"),
    "cell_id",
)
ANSWER_COLUMNS = (*_CELL_COLUMNS, "sample_id", "score", "text")
_EXAMPLES = 3  # answers per row and dataset on the page
_LONGEST = 300  # characters of an answer on the page

ScoredAnswer = tuple[str, float]  # an answer, and its score on the scale of the metric


def answers_frame(suite: Suite, scored: Sequence[Scored]) -> pd.DataFrame:
    """Return a row per answer: each cell with answers, in the order of the suite, and each image.

    The columns are the columns of `cells.csv` that identify a cell, then `sample_id`, `score` on
    the scale of the metric, and `text`, in which U+FFFD replaces control characters.
    """
    answered = [(item, result) for item in scored if (result := item.answers()) is not None]
    cells = cells_frame(suite, [item for item, _ in answered])[[*_CELL_COLUMNS]].to_dict("records")
    parts = []
    for cell, (_, result) in zip(cells, answered, strict=True):
        per_image: dict[str, object] = {
            "sample_id": result.sample_ids,
            "score": result.values.astype(float),
            "text": [legible(text) for text in result.texts],
        }
        parts.append(
            pd.DataFrame({**{str(name): value for name, value in cell.items()}, **per_image})
        )
    frame = pd.concat(parts) if parts else pd.DataFrame(columns=[*ANSWER_COLUMNS])
    return frame.astype({"seed": "Int64"})


def examples(suite: Suite, scored: Sequence[Scored]) -> dict[Key, list[dict[str, object]]]:
    """Return a few answers per row of the leaderboard, with and without the attack.

    For each dataset the attack with the lowest score is chosen. The suite's seed draws the images,
    so that all rows show the same images and nobody selects them by hand.

    Returns:
        By row, records with `dataset`, `column`, `sample`, `clean` and `attacked`. The last two
        are an answer with its score, or None if there is no answer.
    """
    clean: dict[tuple[str, str], Scored] = {}
    rows: dict[Key, dict[str, Scored | None]] = defaultdict(dict)
    for item in scored:
        if item.answers() is None or (value := item.value) is None:
            continue
        cell = item.cell
        if cell.threat is None:
            clean[cell.target, cell.dataset] = item
            continue
        by_dataset = rows[cell.target, cell.threat.kind, item.source]
        lowest = by_dataset.get(cell.dataset)
        if lowest is None or lowest.value is None or value < lowest.value:
            by_dataset[cell.dataset] = item
    if not rows:
        for model, dataset in clean:
            rows[model, "", ""][dataset] = None
    return {
        key: [
            example
            for name, item in by_dataset.items()
            for example in _records(suite, name, clean.get((key[0], name)), item)
        ]
        for key, by_dataset in rows.items()
    }


def _records(
    suite: Suite, dataset: str, clean: Scored | None, attacked: Scored | None
) -> Iterator[dict[str, object]]:
    before, after = _answers(clean), _answers(attacked)
    for key in choose(after if attacked else before, _EXAMPLES, suite.seed):
        yield {
            "dataset": dataset,
            "column": attacked.column if attacked else "",
            "sample": key,
            "clean": before.get(key),
            "attacked": after.get(key),
        }


def _answers(item: Scored | None) -> Mapping[str, ScoredAnswer]:
    """Return the answers of a cell by image, cut to the length that the page shows."""
    result = item.answers() if item else None
    if result is None:
        return {}
    texts = map(legible, result.texts)
    cut = [text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…" for text in texts]
    answers = zip(cut, result.values.tolist(), strict=True)
    return dict(zip(result.sample_ids, answers, strict=True))
