"""Write the tables of a suite: cells, leaderboard, a page for reading, what stands behind them."""

from bench.report.export.numbers import percent, shown
from bench.report.export.write_all import export

__all__ = ["export", "percent", "shown"]
