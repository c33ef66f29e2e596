"""Writes the tables of a suite: cells, leaderboard, HTML page, manifest and answers."""

from bench.report.export.write_all import export
from bench.results.number_format import percent, shown

__all__ = ["export", "percent", "shown"]
