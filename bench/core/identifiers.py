"""Checks of ids, paths and repository names that come from a file.

Code that reads one of them from a file, or builds a path from it, checks it here first. So no
text from a file can lead out of the folder that it is meant for.
"""

import re

ID_LENGTH = 20  # hexadecimal digits of a hash, see `bench.plan.identity.digest`
ID = rf"[0-9a-f]{{{ID_LENGTH}}}"  # of cells, crafts and findings
_ID = re.compile(ID)
_PART = re.compile("[0-9]{7,12}")  # see `bench.plan.shards.part_name`
# accepted by the hub's client; a leading `-` is refused, since programs take it for an option
_NAME = r"\w(?:[\w.-]{0,94}\w)?"
_REPOSITORY = re.compile(f"{_NAME}/{_NAME}")
_OLD_REPOSITORY = re.compile(_NAME)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_DRIVE = re.compile(r"[A-Za-z]:")
_LONGEST_NAME, _LONGEST_PATH = 255, 4000  # bytes; usual limits of file systems
_SHOWN = 80  # characters of a text that a message quotes


def is_id(text: object) -> bool:
    """Return whether a value is the id of a cell, a craft or a finding."""
    return isinstance(text, str) and _ID.fullmatch(text) is not None


def is_part(text: str) -> bool:
    """Return whether a text names a part (shard) of a cell or craft."""
    return _PART.fullmatch(text) is not None


def is_key(text: str) -> bool:
    """Return whether a text is the key of a part: `ID.PART`."""
    identity, _, part = text.partition(".")
    return is_id(identity) and is_part(part)


def is_repository(text: str) -> bool:
    """Return whether a text is the name of a hub repository, `OWNER/NAME`."""
    return _is_name(_REPOSITORY, text)


def is_old_repository(text: str) -> bool:
    """Return whether a text may be an old name of a hub repository without owner: `roberta-base`.

    The hub forwards such names, and many configurations contain them.
    """
    return _is_name(_OLD_REPOSITORY, text)


def _is_name(pattern: re.Pattern[str], text: str) -> bool:
    return pattern.fullmatch(text) is not None and not any(part in text for part in ("..", "--"))


def text_fault(text: str) -> str | None:
    """Return why a text cannot be written to a file, or None if it can."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return "has a lone surrogate, which cannot be written as UTF-8"
    return None


def path_fault(path: str) -> str | None:
    """Return why a text is not a valid path of a file anywhere, or None if it is."""
    if fault := text_fault(path):
        return fault
    if not path:
        return "is empty"
    if _CONTROL.search(path):
        return "has a control character"
    longest = max(len(name.encode()) for name in path.split("/"))
    if longest > _LONGEST_NAME or len(path.encode()) > _LONGEST_PATH:
        return f"is too long; allowed: {_LONGEST_NAME} bytes per name, {_LONGEST_PATH} per path"
    return None


def relative_path_fault(path: str) -> str | None:
    """Return why a path could lead out of its folder, or None if it stays inside.

    Links inside the folder are allowed: its owner made them.
    """
    if fault := path_fault(path):
        return fault
    if path.startswith("/") or "\\" in path or _DRIVE.match(path) or ".." in path.split("/"):
        return "must stay inside its folder: no leading /, no drive, no .. and no \\"
    return None


def is_file_name(name: str) -> bool:
    """Return whether a text is the name of a file directly in a folder."""
    return relative_path_fault(name) is None and "/" not in name and name != "."


def shown(text: object) -> str:
    """Return a value quoted for a message: on one line, cut if it is long."""
    quoted = repr(text)
    return quoted if len(quoted) <= _SHOWN else f"{quoted[:_SHOWN]}... ({len(quoted)} characters)"
