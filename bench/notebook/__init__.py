"""Results in a notebook: a DataFrame that shows its leaderboard and draws the figures."""
