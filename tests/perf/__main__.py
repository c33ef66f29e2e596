"""Measure speed: print and save the tables, and write docs/perf.md from them.

python -m tests.perf                        all parts but the long ones; writes docs/data/*.csv
python -m tests.perf --only shares growth   some parts
python -m tests.perf --markdown             measure nothing; write the page from the saved tables
"""

import argparse
from collections.abc import Callable, Iterator
from functools import partial

import pandas as pd
import torch

from tests.perf import (
    decoded,
    engine,
    growth,
    load,
    options,
    page,
    scheduling,
    simulation,
    stored,
    versus,
)  # fmt: skip
from tests.perf.radapt_cost import adapting
from tests.perf.subjects import machine


def main() -> None:
    """Run the chosen parts."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.perf",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    usual = [name for name in PARTS if name not in LONG]
    parser.add_argument("--only", nargs="+", choices=PARTS, default=usual)
    parser.add_argument("--markdown", action="store_true", help="write the page, measure nothing")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--samples", type=int, default=150, help="images of the embedded models")
    parser.add_argument("--sized", type=int, default=4, help="images of the tower of true size")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    for name in () if given.markdown else given.only:
        print(f"\n{name} ({machine()})", flush=True)
        rows = []
        for row in PARTS[name](given):
            rows.append({**row, "where": machine()})
            print("  " + "   ".join(f"{key}: {value}" for key, value in row.items()), flush=True)
        if rows:
            pd.DataFrame(rows).to_csv(page.table_of(page.FOLDER, name), index=False)
    print(page.write(page.FOLDER))


def _against(part: Callable[[int, int], Iterator[dict[str, object]]]) -> partial[object]:
    return partial(lambda run, given: run(given.samples, given.sized), part)


PARTS = {
    "apgd": _against(versus.apgd),
    "fare": _against(versus.fare),
    "nested": _against(versus.nested),
    "shares": lambda given: engine.shares(),
    "options": lambda given: options.options(),
    "adapting": lambda given: adapting(),
    "growth": lambda given: growth.growth(),
    "images": lambda given: decoded.decoded(),
    "stored": lambda given: stored.stored(),
    "million": lambda given: stored.million(),
    "scheduling": lambda given: scheduling.scheduling(),
    "simulation": lambda given: simulation.simulation(),
    "load": lambda given: load.load(),
    "start": lambda given: load.start(),
}
LONG = ("million",)  # measured only when they are named


if __name__ == "__main__":
    main()
