"""Suites and tables of published numbers that come with this package, and how to name them.

They are `suites/` and `results/published/` of the repository. A wheel holds copies in
`bench/shipped/`; a checkout has them beside `bench/`.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from bench.core.errors import UserError
from bench.core.identifiers import shown
from bench.core.suggestions import listed

PACKAGE = Path(__file__).parents[1]
_COPIES = PACKAGE / "shipped"
_ROOT = _COPIES if _COPIES.is_dir() else PACKAGE.parent
_SUITES, _TABLES = "suites", "results/published"
# starts of paths in shipped suites, and the folder in which they begin
_BEGINNINGS = {_TABLES: _ROOT, "bench/nano": PACKAGE.parent}


@dataclass(frozen=True, slots=True)
class NamedSuite:
    """The file that a name of a suite stands for.

    Attributes:
        path: The file.
        remark: Which file was chosen, if the name is not its path; else empty.
    """

    path: Path
    remark: str = ""


def shipped_suites() -> dict[str, Path]:
    """Return the shipped suites by name."""
    return {path.stem: path for path in sorted((_ROOT / _SUITES).glob("*.yaml"))}


def named_suite(text: str) -> NamedSuite:
    """Return the suite that a user named by its path, or by its name without `.yaml`.

    A file of the working folder comes before a shipped suite.

    Args:
        text: A path; or a name, which has neither a folder nor an ending.

    Raises:
        UserError: There is no such file, and the text is a name or ends in one of a shipped suite.
    """
    path, shipped = Path(text), shipped_suites()
    if os.path.isfile(path):  # also of a text that no path can be
        return NamedSuite(path)
    if _is_name(text):
        own = Path(f"{text}.yaml")
        if os.path.isfile(own):
            over = ", not the shipped suite of this name" if text in shipped else ""
            return NamedSuite(own, f"suite: {own} of the working folder{over}")
        if text in shipped:
            return NamedSuite(shipped[text], f"suite: {text}, as shipped: {shipped[text]}")
    if os.path.lexists(path):
        return NamedSuite(path)  # a folder or a device, which the reader of the suite refuses
    if _is_name(text):
        raise UserError(
            f"got the suite {shown(text)}; allowed: a file, or the name of a shipped suite: "
            f"{listed(text, shipped)}"
        )
    if path.stem in shipped:
        raise UserError(f"{text}: no such file; the shipped suite has the name `{path.stem}`")
    return NamedSuite(path)


def shipped_file(path: Path) -> Path | None:
    """Return the file of this package that a path of a shipped suite names, wherever the suite is.

    Args:
        path: A path. Only those below `results/published` and `bench/nano` name files of this
            package.
    """
    text = path.as_posix()
    for start, folder in _BEGINNINGS.items():
        if text.startswith(f"{start}/") and ".." not in path.parts:
            found = folder / path
            return found if os.path.exists(found) else None
    return None


def named_table(text: str) -> Path | None:
    """Return the shipped table of published numbers that a user named: `fare`.

    Args:
        text: A path, or a name, which has neither a folder nor an ending.

    Returns:
        The table, or None if the text is a path.

    Raises:
        UserError: No shipped table has this name, and no file either.
    """
    if not _is_name(text) or os.path.lexists(text):
        return None
    tables = {path.stem: path for path in sorted((_ROOT / _TABLES).glob("*.csv"))}
    if text not in tables:
        raise UserError(
            f"got the published numbers {shown(text)}; allowed: a file, or the name of a "
            f"shipped table: {listed(text, tables)}"
        )
    return tables[text]


def _is_name(text: str) -> bool:
    return bool(text) and Path(text).name == text and not Path(text).suffix
