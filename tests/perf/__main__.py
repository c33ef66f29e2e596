"""Print and save the tables of speed.

python -m tests.perf                        all parts; tables in results/perf/*.csv
python -m tests.perf --only shares growth   some of them
"""

import argparse
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pandas as pd
import torch

from bench.devices import device_name
from tests.perf import engine, growth, versus
from tests.perf.subjects import DEVICE

FOLDER = Path("results/perf")


def main() -> None:
    """Run the chosen parts."""
    parser = argparse.ArgumentParser(prog="python -m tests.perf", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--samples", type=int, default=200, help="images of the embedded models")
    parser.add_argument("--sized", type=int, default=8, help="images of the tower of true size")
    options = parser.parse_args()
    where = f"{device_name(DEVICE)}, {torch.get_num_threads()} threads, torch {torch.__version__}"
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in options.only:
        print(f"\n{name} ({where})", flush=True)
        rows = []
        for row in PARTS[name](options):
            rows.append({**row, "where": where})
            print("  " + "   ".join(f"{key}: {value}" for key, value in row.items()), flush=True)
        if rows:
            pd.DataFrame(rows).to_csv(FOLDER / f"{name}.csv", index=False)


def _against(part: Callable[[int, int], Iterator[dict[str, object]]]) -> partial[object]:
    return partial(lambda run, options: run(options.samples, options.sized), part)


PARTS = {
    "apgd": _against(versus.apgd),
    "nested": _against(versus.nested),
    "fare": _against(versus.fare),
    "shares": lambda options: engine.shares(),
    "rate": lambda options: engine.rate(),
    "growth": lambda options: growth.growth(),
}


if __name__ == "__main__":
    main()
