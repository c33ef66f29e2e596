"""Paths in a suite: relative to the suite's file or, failing that, to the working folder.

A path of a file that comes with this package is found from everywhere.
"""

import os
from collections.abc import Callable
from pathlib import Path

from bench.core.shipped_files import shipped_file


class SuitePath(str):
    """A text of a suite that may be a path.

    It equals the text in the suite, so that no identity or table depends on where the suite is.

    Attributes:
        folder: Folder of the suite's file.
    """

    folder: Path

    @classmethod
    def of(cls, text: str, folder: Path) -> "SuitePath":
        """Return a text of the suite whose file is in `folder`."""
        path = cls(text)
        path.folder = folder
        return path


def find_path(text: str, exists: Callable[[Path], bool] = os.path.exists, prefix: str = "") -> Path:
    """Return the path that a text of a suite stands for.

    Args:
        text: The text; one that was read from no file of a suite starts at the working folder.
        exists: Tells whether a path in the suite's folder is what is looked for.
        prefix: Start of the text that is not part of the path.
    """
    path = Path(text.removeprefix(prefix))
    if not isinstance(text, SuitePath) or not exists(text.folder / path):
        return path if exists(path) else shipped_file(path) or path
    beside, here = text.folder / path, Path.cwd()
    # short in messages: as the suite has it, if the suite is in the working folder
    return beside.relative_to(here) if beside.is_relative_to(here) else beside


def tried(*texts: str) -> str:
    """Return the folders in which missing paths were looked for, as the end of a message.

    Args:
        texts: Texts of a suite. The result is empty if none is a relative path from a file.
    """
    for text in texts:
        if isinstance(text, SuitePath) and not os.path.isabs(text):
            folders = dict.fromkeys((str(text.folder), str(Path.cwd())))
            return f"; looked for in {' and '.join(folders)}"
    return ""
