"""Hugging Face's evaluation results: `.eval_results/*.yaml` of a model, `eval.yaml` of a benchmark.

https://huggingface.co/docs/hub/eval-results: a result names the dataset repository of its benchmark
and a task there. A model can have several results, each in a file of its own.
"""

from collections.abc import Iterator, Mapping

import yaml

from bench.compare.published_number import MEAN
from bench.core.errors import UserError
from bench.core.identifiers import is_repository
from bench.core.program import PROJECT
from bench.core.types import CLEAN
from bench.share.shared_numbers import SharedNumber, SharedResults, file_names

_ROBUST = "robust"


def files(shared: SharedResults) -> Iterator[tuple[str, str]]:
    """Yield the files of each model in a folder of its own, and of the benchmark.

    The tasks are `clean` and `robust`, the worst case at the largest Linf radius. Numbers under
    different threat models cannot be ranked together, so a suite with several has a task for each.

    Raises:
        UserError: The repository of the benchmark is not given, or the suite has no mean.
    """
    if not is_repository(shared.benchmark):
        raise UserError(
            f"--to hub-eval-results: got the benchmark {shared.benchmark!r}; allowed: the dataset "
            "repository whose leaderboard the results are for, e.g. --benchmark OWNER/NAME"
        )
    first, *others = shared.suite.datasets
    overall = MEAN if others else first.name
    chosen = [number for number in shared.headline if number.dataset == overall]
    if not chosen:
        raise UserError(
            f"--to hub-eval-results: suite {shared.suite.suite} has no number on all its datasets"
        )
    tasks = _tasks(chosen)
    folders = file_names(shared.models)
    yield "eval.yaml", _yaml(_benchmark(shared, chosen, tasks))
    for number in chosen:
        task = tasks[number.threat_name]
        path = f"models/{folders[number.model]}/.eval_results/{shared.suite.suite}-{task}.yaml"
        yield path, _yaml([_entry(shared, number, task)])


def _tasks(chosen: list[SharedNumber]) -> Mapping[str, str]:
    """Return the id of the task for each threat model."""
    threats = [name for name in dict.fromkeys(n.threat_name for n in chosen) if name != CLEAN]
    if len(threats) == 1:
        return {CLEAN: CLEAN, threats[0]: _ROBUST}
    named = file_names(threats)
    return {CLEAN: CLEAN, **{threat: f"{_ROBUST}-{named[threat]}" for threat in threats}}


def _entry(shared: SharedResults, number: SharedNumber, task: str) -> dict[str, object]:
    return {
        "dataset": {"id": shared.benchmark, "task_id": task},
        "value": float(f"{number.rate.value * number.scale.factor:.6g}"),
        "notes": shared.evidence(number),
    }


def _benchmark(
    shared: SharedResults, chosen: list[SharedNumber], tasks: Mapping[str, str]
) -> dict[str, object]:
    scale = chosen[0].scale
    datasets = ", ".join(dataset.name for dataset in shared.suite.datasets)
    robust = ", ".join(f"{task} ({threat})" for threat, task in tasks.items() if threat != CLEAN)
    return {
        "name": shared.suite.suite,
        "description": (
            f"{scale.title} {scale.range} of vision-language models, mean over {datasets}: "
            f"{CLEAN}{f', and under attack: {robust}' if robust else ''}."
        ),
        "evaluation_framework": PROJECT,  # the hub accepts names of its list only
        "tasks": [
            {"id": task, "config": "default", "split": "test"}
            for task in dict.fromkeys(tasks.values())
        ],
    }


def _yaml(content: object) -> str:
    return str(yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=1000))
