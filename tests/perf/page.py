"""The page docs/perf.md, from the tables that `python -m tests.perf` saved in docs/data."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

PAGE = Path("docs/perf.md")
FOLDER = Path("docs/data")

_TOP = """# Speed

`make perf` measures and writes this page and the CSV files behind it.
Compared variants take turns in one process with the same model, images and threads, so that other
load on the machine affects them equally. Intervals are 95% intervals of the median over rounds.

On a GPU it uses a ViT-L/14 in place of the ViT-B/32. [gpu.md](gpu.md) has what only a GPU can show.
"""
_NO_GPU = """
**No figure on this page was measured on a GPU.** Speed on a GPU and the gain of bf16 are not known.
"""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the page.

    Attributes:
        title: Its heading.
        about: What was measured, and how to read it.
        columns: Which columns of its table the page shows.
    """

    title: str
    about: str
    columns: tuple[str, ...]


_VERSUS = ("model", "eps", "speed-up", "upper bound")
PARTS: Mapping[str, Part] = {
    "apgd": Part(
        "APGD-CE against pyautoattack",
        """100 steps, one run. *Speed-up* is the reference's time over ours. Robust images need all
steps in both implementations, which limits the speed-up: *upper bound* is the number of the
reference's gradients over those that robust images alone need. Without robust images, none.""",
        _VERSUS,
    ),
    "fare": Part(
        "The preset `fare-paper` against pyautoattack",
        """APGD-CE with 5 restarts, then APGD-T with 9 targets, 100 steps each. The native runs of
the last few images share batches, so that one gradient costs less than in the reference. The
speed-up may therefore exceed the upper bound, which assumes equal cost.""",
        _VERSUS,
    ),
    "nested": Part(
        "Three nested radii against three runs of pyautoattack",
        "With `nested: true` each radius attacks only the images that the smaller radii left.",
        _VERSUS,
    ),
    "shares": Part(
        "Overhead of the attack loop",
        """Attacks in mode `full`, against a bare loop with the same forward and backward passes on
the same images. *Time outside the model* is the time not spent in these passes.""",
        ("model", "attack", "time outside the model", "native / bare loop"),
    ),
    "options": Part(
        "Compiled towers and `channels_last`",
        "One step of an attack, forward and backward. Above 1 the option is faster.",
        ("model", "option", "without / with"),
    ),
    "adapting": Part(
        "Cost of adapting a tower",
        "A tower with R-Adapt's filter and anchor, against the bare tower.",
        ("tower", "pass", "adapted / bare"),
    ),
    "growth": Part(
        "Growth with the number of images",
        """Clean, white-box and transfer cells on 32-pixel images, with a model that costs next to
nothing, so that the figures are those of the harness. Each count runs in its own process.""",
        ("images", "seconds", "ms an image", "peak MB"),
    ),
    "images": Part(
        "Decoded images that two workers share",
        """Two processes of one machine load 2,000 JPEG files at the same time and resize them to
224 pixels, as the first cells of a run do. *MB* is the memory of both over their start; what they
share counts once. Shares are those of the first row.""",
        ("images come from", "speed-up", "CPU s", "share of the CPU s", "MB", "share of the MB"),
    ),
    "stored": Part(
        "Reading ten thousand stored cells",
        """25 models, 10 datasets, 20 attacks with their radii and two threat models, 1,000 images
per cell. The files are in the system's cache. *All tables* are the seven files of `export`.""",
        ("work", "s", "peak MB"),
    ),
    "million": Part(
        "A million stored cells",
        """125 models, 10 datasets, 100 attacks with four radii and two threat models, 1,000 images
per cell. *Name* is the hash of each cell's identity, which the first run of a suite computes.""",
        ("work", "s", "ms a cell", "GB", "peak MB", "page MB"),
    ),
    "scheduling": Part(
        "Cost of scheduling",
        """Cells that take no time or sleep, each result written to disk. Under Ray the clock starts
when all workers run. *Idle* is the share of the workers' time outside the cells.""",
        ("work", "workers", "ms a cell", "speed-up", "idle"),
    ),
    "simulation": Part(
        "Simulated clusters",
        """The scheduler on clusters whose GPUs and clock are simulated. A cell takes 60 seconds on
average, by its operations and a log-normal factor (sigma 0.5); a model takes 30 seconds to load and
a dataset 15. 1% of the jobs lose their worker, and another needs 60 seconds to start; 0.5% run out
of memory; 0.2% are 20 times slower. *Idle* is the share of the GPUs' time in which they neither
compute nor load. *ms a cell* is the processor's time, with what the simulation takes.""",
        (
            *("GPUs", "cells", "hours", "idle", "idle before the last job", "stored twice"),
            *("ms a cell", "peak MB"),
        ),
    ),
    "load": Part(
        "Two thousand cheap cells",
        """50 models of a user that cost next to nothing, each also with the images of 39 others:
2,050 cells, and 2,000 rows of the leaderboard. *Around its model* is the time from the first cell
to the last without the models' forward passes. The page is opened and sorted in headless
Chromium.""",
        ("work", "s", "CPU s", "KB"),
    ),
    "start": Part(
        "Start-up",
        """The processor's time of a command on the quickstart suite, and that of Python with the
three libraries that each of them needs: numpy, pydantic and yaml.""",
        ("command", "CPU s", "libraries alone", "ratio"),
    ),
}


def table_of(folder: Path, part: str) -> Path:
    """Return where the table of a part is saved."""
    return folder / f"speed-{part}.csv"


def write(folder: Path) -> Path:
    """Write the page from the tables in a folder; parts without a table are left out."""
    sections: list[str] = []
    places: dict[str, None] = {}  # in order
    for name, part in PARTS.items():
        path = table_of(folder, name)
        if path.exists():
            frame = pd.read_csv(path, dtype=str, keep_default_na=False)
            places[frame["where"].iloc[0]] = None
            shown = table(frame[list(part.columns)])
            about = f"{part.about} [All columns](data/{path.name})"
            sections.append(f"## {part.title}\n{about}\n\n{shown}")
    top = f"{_TOP}\nMeasured on: {'; '.join(places)} (column `where` of the CSV files).\n"
    if all("no GPU" in place for place in places):
        top += _NO_GPU
    PAGE.write_text("\n".join([top, *sections]))
    return PAGE


def table(frame: pd.DataFrame) -> str:
    """Return a table of texts in Markdown."""
    head, *rows = (f"| {' | '.join(row)} |" for row in [list(frame.columns), *frame.to_numpy()])
    return "\n".join([head, f"|{'---|' * len(frame.columns)}", *rows, ""])
