"""The commands of `run_bench.py`. Each module parses arguments, calls other rooms and prints."""
