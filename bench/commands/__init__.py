"""The commands of `run_bench.py`: each module parses its arguments, calls the rooms below and prints."""
