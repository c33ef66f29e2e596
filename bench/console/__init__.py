"""What a terminal shows: live boards, plain lines where there is no terminal, and tables."""

from bench.console.downloads import Downloads
from bench.console.leaderboard import print_leaderboard
from bench.console.progression import Progression

__all__ = ["Downloads", "Progression", "print_leaderboard"]
