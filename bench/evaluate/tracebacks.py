"""Keeps the tracebacks of unexpected errors, such as errors in a user's model, as files of the run.

The reason in a cell's row names the file. Neither is part of a cell's identity or outcome.
"""

import hashlib
import os
import traceback
from contextlib import suppress
from pathlib import Path

from bench.core.errors import CellError, StoreError
from bench.core.terminal import legible
from bench.models.batch_size import memory_too_small
from bench.store.writing import write_text


def reason(error: BaseException, logs: Path | None = None) -> str:
    """Return an error as the reason in a cell's row, without control characters.

    Args:
        error: The error. A `CellError` explains itself, and lack of memory has no place in the
            code, so neither has a traceback.
        logs: Folder of the run, `<suite>/runs/<run>`, where the traceback is written; it is named
            relative to the suite's folder. None for no traceback. If it cannot be written, the
            reason is all that is kept.
    """
    if isinstance(error, CellError):
        return legible(str(error))
    code = "code of the model called exit: " if isinstance(error, SystemExit) else ""
    text = legible(f"{code}{type(error).__name__}: {error}")
    if logs is None or memory_too_small(error):
        return text
    # equal errors at the same line share a file, as where several cells need one model
    last = traceback.extract_tb(error.__traceback__)[-1:]
    places = [f"{frame.filename}:{frame.lineno}" for frame in last]
    digest = hashlib.sha256("\n".join([text, *places]).encode(errors="replace")).hexdigest()
    path = logs / f"error-{digest[:8]}.txt"
    lines = "".join(traceback.format_exception(error)).splitlines()
    with suppress(StoreError):  # then writing the result reports it
        write_text(path, "\n".join(map(legible, lines)) + "\n")
        return f"{text}; traceback: {os.path.relpath(path, logs.parents[1])}"
    return text
