"""Give `plan` many hostile suites; 1 if one ends in a traceback or an unclear message.

python -m tests.fuzz                           20,000 suites
python -m tests.fuzz --count 1000 --seed 7     fewer, others
"""

import argparse
import contextlib
import io
import json
import tempfile
from pathlib import Path

from tests.fuzz.check import fault_of
from tests.fuzz.suites import hostile_suites


def main() -> int:
    """Print each suite that is treated badly, and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    printed, errors = io.StringIO(), io.StringIO()
    bad = 0

    def output() -> tuple[str, str]:
        texts = printed.getvalue(), errors.getvalue()
        for stream in (printed, errors):
            stream.seek(0)
            stream.truncate()
        return texts

    with tempfile.TemporaryDirectory() as folder:
        for suite, changed in hostile_suites(options.count, options.seed):
            with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(errors):
                fault = fault_of(suite, Path(folder), output)
            if fault:
                bad += 1
                print(f"{changed}: {fault}\n{json.dumps(suite, default=str)[:2000]}", flush=True)
    print(f"{options.count} suites, {bad} treated badly")
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main())
