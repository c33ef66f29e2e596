"""Tables from stored cells: one row per cell, leaderboard, per-class accuracy, manifest."""
