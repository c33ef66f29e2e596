"""A benchmark of robust vision-language models that states the threat model of every number."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.breakdown import per_class, worst_case
    from bench.run import run_suite
    from bench.suite import load_suite
    from bench.tables import load_results
    from bench.views import pivot, trade_off

__all__ = [
    "load_results",
    "load_suite",
    "per_class",
    "pivot",
    "run_suite",
    "trade_off",
    "worst_case",
]
_HOMES = {
    "load_results": "bench.tables",
    "load_suite": "bench.suite",
    "per_class": "bench.breakdown",
    "pivot": "bench.views",
    "run_suite": "bench.run",
    "trade_off": "bench.views",
    "worst_case": "bench.breakdown",
}


def __getattr__(name: str) -> Any:
    # `import bench` costs nothing; each name brings only what it needs
    if name not in _HOMES:
        raise AttributeError(f"module 'bench' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
