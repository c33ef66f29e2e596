"""The page docs/perf.md, from the tables that `python -m tests.perf` saved."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

PAGE = Path("docs/perf.md")

_TOP = """# Speed

Written by `python -m tests.perf --markdown` from the tables that `make perf` saves in
`results/perf/`. `make perf` does both; `python -m tests.perf --only apgd fare` some parts.
Each part says where it ran. What is compared takes turns in one process, with the same model,
images and number of threads, so that what else the machine does meets both alike. Intervals are
of the median over the rounds, at 95%.

On an accelerator the same commands take a ViT-L/14 in place of the ViT-B/32, and measure the
share of the chip's matrix rate (`--only rate`).
"""
_NO_GPU = """
**No figure here is from an accelerator**: none was at hand, so speed there, that share of the
matrix rate and bf16's gain are not known.
"""

_PARTS: Mapping[str, tuple[str, str]] = {
    "apgd": (
        "APGD-CE against pyautoattack",
        """100 steps, one run. Survivors go through all steps on either side, and bound the ratio:
*most* is the reference's gradients over those that the survivors alone need. At a like cost of a
gradient no loop can be faster. An undefended model of true size has no survivors at 4/255; the
small one has none at 8/255. Where few survive, batches are small and a gradient costs more.""",
    ),
    "fare": (
        "The preset `fare-paper` against pyautoattack",
        """APGD-CE with 5 restarts, then APGD-T with 9 targets, 100 steps each. Natively the runs of
the few survivors share batches, so that a gradient costs less than the reference's.""",
    ),
    "nested": (
        "Three nested budgets against three runs of pyautoattack",
        "Natively each budget attacks what the smaller ones left (`nested: true`).",
    ),
    "shares": (
        "The loop beside the model",
        """Attacks in mode `full`, against a bare loop of the same passes on the same images. The
time outside the model is all that is not inside its forward and backward passes.""",
    ),
    "rate": (
        "Share of the chip's matrix rate",
        "A step of APGD in bfloat16 against a large product of matrices.",
    ),
    "options": (
        "Compiled towers and `channels_last`",
        "One step of an attack, forward and backward; above 1 the option pays.",
    ),
    "adapting": (
        "What adapting a tower costs",
        "R-Adapt's filter and anchor, against the bare tower.",
    ),
    "growth": (
        "Growth with the number of images",
        """Clean, white-box and a stored craft with its scoring, on 32-pixel images and a model
that costs next to nothing, so that what is seen is the harness. Each count has a process of its
own.""",
    ),
    "stored": (
        "Reading back ten thousand cells",
        """25 models, 10 datasets, 20 attacks with their budgets and two threats, all stored. Files
are in the system's cache. *All tables* are the seven files that `export` writes.""",
    ),
    "scheduling": (
        "What scheduling costs",
        """Cells that take no time, from the first that is looked for to the last that is kept,
each flushed to disk. Memory is that of the driver, over what it held after the first 1,000. Under
Ray the workers are told of accelerators that are not there, and time counts from when all are up.
*Idle* is the share of their time in which they did not sleep.""",
    ),
}


def write(folder: Path) -> Path:
    """Write the page from the tables there are."""
    found = {name: folder / f"{name}.csv" for name in _PARTS}
    sections, places = [], set()
    for name, (title, about) in _PARTS.items():
        if found[name].exists():
            frame = pd.read_csv(found[name], dtype=str, keep_default_na=False)
            where = frame.pop("where").iloc[0]
            places.add(where)
            sections.append(f"## {title}\n{about}\n\n*{where}*\n\n{_table(frame)}")
    top = _TOP + _NO_GPU if all("no GPU" in place for place in places) else _TOP
    PAGE.write_text("\n".join([top, *sections]))
    return PAGE


def _table(frame: pd.DataFrame) -> str:
    rows = [list(frame.columns), ["---"] * len(frame.columns), *frame.to_numpy().tolist()]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)
