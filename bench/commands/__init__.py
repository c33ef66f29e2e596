"""The commands of `run_bench.py`: each module parses arguments, calls the rooms below, prints."""
