"""What a terminal shows: live boards, plain lines where there is no terminal, and tables."""

from bench.run.console.board import Progression
from bench.run.console.closing_table import print_leaderboard

__all__ = ["Progression", "print_leaderboard"]
