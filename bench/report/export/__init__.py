"""Writes the tables of a suite: cells, leaderboard, HTML page, manifest and answers."""

from bench.report.export.numbers import percent, shown
from bench.report.export.write_all import export

__all__ = ["export", "percent", "shown"]
