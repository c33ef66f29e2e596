"""Measure clean and robust accuracy of vision-language models.

python run_bench.py suites/quickstart.yaml     run a suite, or continue a stopped run
python run_bench.py --help                     list all commands

The command `radapt-bench`, which pip installs, does the same.
"""

from bench.commands.main import main, start

__all__ = ["main"]

if __name__ == "__main__":
    start()
