"""Measure clean and robust accuracy of vision-language models.

python run_bench.py suites/quickstart.yaml          run a suite; continue a run that was stopped
python run_bench.py plan suites/zero_shot.yaml      what a run would compute, and what it costs
python run_bench.py status suites/quickstart.yaml   what is done, and what a run does now
python run_bench.py export suites/quickstart.yaml   write the tables again
python run_bench.py images suites/quickstart.yaml --cell ID  look at the images of a cell
python run_bench.py merge suites/fare.yaml THEIRS   add another's results, a folder or a bundle
python run_bench.py check suites/zero_shot.yaml     which numbers not to believe
python run_bench.py compare suites/quickstart.yaml --baseline FARE  which differences are real
python run_bench.py fetch suites/zero_shot.yaml     download models and data ahead of time
python run_bench.py doctor suites/zero_shot.yaml    what is missing here, and what to do
python run_bench.py list                            everything that a suite may name
"""

import sys

from bench.commands.main import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], __doc__))
