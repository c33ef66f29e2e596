"""The name of this program, for messages that tell a user what to call."""

import sys
from pathlib import Path

_SCRIPT, _COMMAND = "run_bench.py", "radapt-bench"
_IN_CHECKOUT = (Path(__file__).parents[2] / _SCRIPT).is_file()

# in a checkout both work: the one that was called is told
PROGRAM = _SCRIPT if _IN_CHECKOUT and Path(sys.argv[0]).stem != _COMMAND else _COMMAND
