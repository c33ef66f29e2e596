"""One static site for the results of many suites: a leaderboard, a page per model and dataset."""
