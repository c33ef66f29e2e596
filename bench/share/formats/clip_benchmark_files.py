"""CLIP_benchmark's JSON file per evaluation, and the CSV table of them.

https://github.com/LAION-AI/CLIP_benchmark: `clip_benchmark build` makes a table from JSON files.
Rows under attack have the columns of RobustVLM's copy of CLIP_benchmark and are in files of their
own, so that nobody takes a robust accuracy for a clean one. Keys of ours begin with `OURS`.
"""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from typing import Any

from bench.catalogue.clip_benchmark_names import wds_name
from bench.compare.foreign_numbers import (
    DEVIATION,
    FLAGS,
    MODEL,
    OURS,
    SAMPLES,
    SOURCE,
    THREAT,
    TOP_1,
    WEIGHTS,
)
from bench.compare.published_number import MEAN
from bench.core.errors import UserError
from bench.core.types import CLEAN
from bench.results.protocol_summary import weights
from bench.results.spreadsheet import escaped_text
from bench.share.shared_numbers import SharedNumber, SharedResults
from bench.suite.metrics import ACCURACY, CLASSIFICATION, RETRIEVAL
from bench.suite.specs import HubDataset, OpenClipModel

_TASKS = {CLASSIFICATION.name: "zeroshot_classification", RETRIEVAL.name: "zeroshot_retrieval"}
_ROBUST = "robust"


def files(shared: SharedResults) -> Iterator[tuple[str, str]]:
    """Yield the clean table, the table under attack, and a JSON file for each of their rows.

    Raises:
        UserError: CLIP_benchmark has no such task.
    """
    groups: dict[tuple[str, ...], list[SharedNumber]] = {}
    for n in shared.numbers:
        if n.metric.task.name in _TASKS and n.dataset != MEAN:
            key = (n.model, n.dataset, n.threat, n.source, n.attack, n.eps)
            groups.setdefault(key, []).append(n)
    if not groups:
        raise UserError(
            f"--to clip-benchmark: suite {shared.suite.suite} has no number of the tasks "
            f"{', '.join(_TASKS)}"
        )
    records = [_record(shared, numbers) for numbers in groups.values()]
    for name in (CLEAN, _ROBUST):
        some = [record for record in records if ("attack" in record) == (name == _ROBUST)]
        if some:
            yield f"{name}.csv", _table(some)
        for place, record in enumerate(some):
            yield f"{name}/{place:05}.json", json.dumps(record) + "\n"


def _record(shared: SharedResults, numbers: Sequence[SharedNumber]) -> dict[str, Any]:
    """Return the content of a JSON file: one evaluation with all its metrics."""
    first = numbers[0]
    spec, described = shared.suite.models[first.model], weights(shared.suite, first.model)
    architecture, pretrained = described, None
    if isinstance(spec, OpenClipModel) and not spec.tower:
        architecture, pretrained = spec.name, spec.pretrained
    metrics: dict[str, float] = {}
    for number in numbers:
        name = TOP_1 if number.metric.name == ACCURACY else number.metric.name
        rate = number.rate
        bounds = {f"{OURS}{name}_low": rate.low, f"{OURS}{name}_high": rate.high}
        metrics |= {name: rate.value, **bounds}
    attacked = {} if first.attack == CLEAN else {
        "attack": first.attack, "norm": first.norm, "eps": first.eps,
        THREAT: first.threat, SOURCE: first.source,
    }  # fmt: skip
    return {
        "dataset": _dataset(shared, first.dataset),
        "model": architecture,
        "pretrained": pretrained or "",
        "task": _TASKS[first.metric.task.name],
        "metrics": metrics,
        "language": "en",
        **attacked,
        MODEL: first.model,
        WEIGHTS: described,
        SAMPLES: first.n,
        FLAGS: " ".join(dict.fromkeys(flag for number in numbers for flag in number.flags)),
        DEVIATION: shared.suite.dataset(first.dataset).deviation,
    }


def _dataset(shared: SharedResults, name: str) -> str:
    spec = shared.suite.dataset(name)
    return wds_name(spec.repository) if isinstance(spec, HubDataset) and not spec.repo else name


def _table(records: Sequence[dict[str, Any]]) -> str:
    """Return the rows as `clip_benchmark build` arranges them: the metrics, then the other keys."""
    rows = []
    for record in records:
        row = {**record["metrics"], **record}
        row["model_fullname"] = f"{record['model']} {record['pretrained']}"
        del row["metrics"]
        rows.append({key: escaped_text(value) for key, value in row.items()})
    text = io.StringIO(newline="")
    names = list(dict.fromkeys(key for row in rows for key in row))
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
