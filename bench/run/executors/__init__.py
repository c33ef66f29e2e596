"""Executors of jobs: this process, or Ray workers."""

from bench.run.executors.inline_executor import Inline
from bench.run.executors.interface import KeptWorkers
from bench.run.executors.ray_cluster import check_cluster
from bench.run.executors.ray_executor import Ray
from bench.run.executors.ray_worker import Setup, on_device

__all__ = ["Inline", "KeptWorkers", "Ray", "Setup", "check_cluster", "on_device"]
