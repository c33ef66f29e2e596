"""Measure clean and robust accuracy of vision-language models.

python run_bench.py suites/quickstart.yaml          run a suite, or continue a stopped run
python run_bench.py plan suites/zero_shot.yaml      show what a run computes, and its cost
python run_bench.py status suites/quickstart.yaml   show finished cells and the current run
python run_bench.py export suites/quickstart.yaml   write the tables again
python run_bench.py images suites/quickstart.yaml --cell ID  write a page with a cell's images
python run_bench.py merge suites/fare.yaml OTHER    add results of another run: a folder or bundle
python run_bench.py check suites/zero_shot.yaml     find numbers that should not be trusted
python run_bench.py compare suites/quickstart.yaml --baseline FARE  test differences of models
python run_bench.py data suites/zero_shot.yaml      show classes, prompts and samples
python run_bench.py fetch suites/zero_shot.yaml     download models and data before a run
python run_bench.py doctor suites/zero_shot.yaml    find what this machine lacks for a run
python run_bench.py list                            list everything that a suite may contain
"""

import sys

from bench.commands.main import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], __doc__))
