"""Where jobs run: in this process, or in workers under Ray."""

from bench.executors.inline import Inline

__all__ = ["Inline"]
