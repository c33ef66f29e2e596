"""The page docs/gpu.md and its tables, from what the parts of a campaign have saved."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from tests.gpu.saved import Saved
from tests.perf.page import Part, table

PAGE = Path("docs/gpu.md")
TABLES = Path("docs/data")

_TOP = """# On a GPU

`make gpu` measures what only a GPU can show, in at most nine minutes, and writes this page and the
CSV files behind it. Each part runs in its own process and saves `PART.json` in a folder
(`make gpu GPU="--out FOLDER"`, else `build/gpu`) after each row. A second call runs only the parts
that are not finished there; a part that fails is named below, and the others go on.
`python -m tests.gpu --small` runs all parts in small on any machine.
"""
_NO_GPU = """
**No GPU was seen: nothing on this page is measured yet.** All parts passed on a CPU in small, and
`tests/test_gpu.py` repeats that; it shows that they run, and nothing else.
"""
_RATE = ("model", "precision", "ms a step", "matrix TFLOP/s", "attack TFLOP/s", "share")
_VERSUS = (
    *("model", "attack", "eps", "images", "native robust", "reference robust", "speed-up"),
    "upper bound",
)

PARTS: Mapping[str, Part] = {  # in order of importance
    "rates": Part(
        "Share of the matrix rate",
        """A step of APGD on ViT-L/14 with random weights, against a large matrix product in the
same precision. A backward pass counts as one forward pass.""",
        _RATE,
    ),
    "devices": Part(
        "Outcomes on the GPU and on the CPU",
        """The same suite on embedded models. *Other outcomes* are images that only one device got
right.""",
        ("cell", "images", "accuracy", "other outcomes"),
    ),
    "memory": Part(
        "Estimated and allocated memory",
        """Weights, an attack's step, and answers (where the estimate is that of keys and values
alone). Language models have random weights in bf16.""",
        ("model", "what", "images", "estimate MB", "measured MB", "measured / estimate"),
    ),
    "against": Part(
        "Native attacks against reference implementations",
        """ViT-L/14 with random weights; TF32 on both sides. The reference is pyautoattack if the
attack's name has no other. *Upper bound* is explained in [perf.md](perf.md).""",
        _VERSUS,
    ),
    "agreement": Part(
        "Attacks in lower precisions",
        """APGD-CE in a lower precision, scored in fp32, beside APGD-CE in fp32. The last column
counts images that only the lower precision got wrong.""",
        (
            *("model", "precision", "images", "robust, fp32", "robust, proposed lower"),
            *("same outcome", "wrong only in the lower precision"),
        ),
    ),
    "out_of_memory": Part(
        "When memory runs out",
        """The process may use only 60% of the extra memory that an attack's full batch needs.
*Other pixels* counts images that differ from those of a run with the full batch.""",
        ("what", "batch at first", "batch at last", "images", "other pixels", "largest difference"),
    ),
    "again": Part(
        "A second run",
        "A suite and a gradient, computed twice on the same device.",
        ("what", "compared", "different"),
    ),
    "workers": Part(
        "Two workers on one GPU",
        "A suite by Ray workers, each on half of the GPU, against one process.",
        ("cells", "workers", "other outcomes", "one process s", "workers s"),
    ),
    "compiled": Part("With `--compile`", "As in the first part.", _RATE),
    "graphs": Part(
        "With `--compile` and CUDA graphs",
        "As in the first part; the compiler also records CUDA graphs, which no option does yet.",
        _RATE,
    ),
}


def write(saved: Sequence[Saved], page: Path = PAGE, tables: Path = TABLES) -> Path:
    """Write the page and its tables; parts without a row have no table."""
    sections: list[str] = []
    for each in saved:
        part = PARTS[each.part]
        about = part.about
        if each.rows:
            file = tables / f"gpu-{each.part}.csv"
            rows = [{**row, "where": each.where} for row in each.rows]
            pd.DataFrame(rows).to_csv(file, index=False)
            frame = pd.read_csv(file, dtype=str, keep_default_na=False)
            shown = frame.reindex(columns=list(part.columns), fill_value="")
            about += f" [All columns](data/{file.name})\n\n{table(shown)}"
        failed = f"\n**Not finished:** {each.error}\n" if each.error else ""
        sections.append(f"## {part.title}\n{about}{failed}")
    places = "; ".join(dict.fromkeys(each.where for each in saved))
    told = f"\nMeasured on: {places}.\n" if saved else _NO_GPU + "\n" + _planned()
    page.write_text("\n".join([_TOP + told, *sections]))
    return page


def _planned() -> str:
    lines = (f"- {part.title}: {' '.join(part.about.split())}\n" for part in PARTS.values())
    return f"It will measure:\n\n{''.join(lines)}"
