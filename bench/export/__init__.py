"""Write the tables of a suite: cells, leaderboard, a page for reading, what stands behind them."""

from bench.export.numbers import percent, shown
from bench.export.write import export

__all__ = ["export", "percent", "shown"]
