"""What a terminal shows: live boards, plain lines where there is no terminal, and tables."""

from bench.commands.download_board import Downloads
from bench.run.console.board import Progression
from bench.run.console.closing_table import print_leaderboard

__all__ = ["Downloads", "Progression", "print_leaderboard"]
