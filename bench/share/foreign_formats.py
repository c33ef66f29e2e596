"""Writes a suite's results in the formats of others, by the name of the format."""

import shutil
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from bench.store.writing import write_text, writing

if TYPE_CHECKING:  # the names of the formats are shown by a help text, which needs no tables
    from bench.share.shared_numbers import SharedResults

# name of the format -> its module in `bench.share.formats`
FORMATS: Mapping[str, str] = {
    "hub-eval-results": "hub_eval_results",
    "every-eval-ever": "every_eval_ever",
    "robustbench": "robustbench_json",
    "clip-benchmark": "clip_benchmark_files",
    "model-card": "model_card",
}


def write_format(shared: "SharedResults", name: str, folder: Path) -> None:
    """Write the files of a format, in place of everything in the folder.

    So no number stays behind that the suite no longer has.

    Args:
        shared: The numbers.
        name: Name of the format, a key of `FORMATS`.
        folder: Folder of the files.

    Raises:
        UserError: The format has no place for any of the numbers, or a file cannot be written.
    """
    found: Iterator[tuple[str, str]] = import_module(f"bench.share.formats.{FORMATS[name]}").files(
        shared
    )
    files = dict(found)
    with writing(folder):
        if folder.exists():
            shutil.rmtree(folder)
    for path, text in files.items():
        write_text(folder / path, text, flush=False)
