"""Tables from stored cells: rows, leaderboard, per-class accuracy, manifest."""
