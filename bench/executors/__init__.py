"""Where jobs run: in this process, or in workers under Ray."""

from bench.executors.cluster import check_cluster
from bench.executors.inline import Inline
from bench.executors.ray import Ray
from bench.executors.worker import Setup, on_device

__all__ = ["Inline", "Ray", "Setup", "check_cluster", "on_device"]
