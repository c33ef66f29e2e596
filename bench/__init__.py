"""A benchmark of robust vision-language models that states the threat model of every number."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.run import run_suite
    from bench.suite import load_suite
    from bench.tables import load_results

__all__ = ["load_results", "load_suite", "run_suite"]
_HOMES = {"load_results": "bench.tables", "load_suite": "bench.suite", "run_suite": "bench.run"}


def __getattr__(name: str) -> Any:
    # `import bench` costs nothing; each name brings only what it needs
    if name not in _HOMES:
        raise AttributeError(f"module 'bench' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
