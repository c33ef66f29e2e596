"""Run a suite from its file to its tables: jobs, workers, events, the live board."""
