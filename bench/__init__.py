"""A benchmark of robust vision-language models that states the threat model of every number."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.notebook.results_frame import load_results
    from bench.results.dataframes import pivot, trade_off
    from bench.results.per_class import per_answer_type, per_class, worst_case
    from bench.results.yes_no_table import yes_no_scores
    from bench.run.suite_run import run_suite
    from bench.suite.load import load_suite

__all__ = [
    "load_results",
    "load_suite",
    "per_answer_type",
    "per_class",
    "pivot",
    "run_suite",
    "trade_off",
    "worst_case",
    "yes_no_scores",
]
_HOMES = {
    "load_results": "bench.notebook.results_frame",
    "load_suite": "bench.suite.load",
    "per_answer_type": "bench.results.per_class",
    "per_class": "bench.results.per_class",
    "pivot": "bench.results.dataframes",
    "run_suite": "bench.run.suite_run",
    "trade_off": "bench.results.dataframes",
    "worst_case": "bench.results.per_class",
    "yes_no_scores": "bench.results.yes_no_table",
}


def __getattr__(name: str) -> Any:
    # `import bench` costs nothing; each name brings only what it needs
    import importlib

    if name == "compat":  # `bench.compat.ensure_torchvision()` is what scripts call
        return importlib.import_module("bench.core.torchvision_shim")
    if name not in _HOMES:
        raise AttributeError(f"module 'bench' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
