"""The forms of texts that come from a file and then name a file, a folder or a repository.

Whoever reads such a text from a file, or makes a path of it, asks here first: then no text leads
out of the folder that its path begins in.
"""

import re

ID_LENGTH = 20  # hexadecimal digits of a hash, see `bench.plan.identity.digest`
ID = rf"[0-9a-f]{{{ID_LENGTH}}}"  # of cells, crafts and findings
_ID = re.compile(ID)
_PART = re.compile("[0-9]{7,12}")  # see `bench.plan.shards.part_name`
# what the client of the hub accepts, and no leading option sign
_REPOSITORY = re.compile(r"\w(?:[\w.-]{0,94}\w)?/\w(?:[\w.-]{0,94}\w)?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_DRIVE = re.compile(r"[A-Za-z]:")
_LONGEST_NAME, _LONGEST_PATH = 255, 4000  # bytes; usual limits of file systems
_SHOWN = 80  # letters of a text in a message


def is_id(text: object) -> bool:
    """Return whether a value is the id of a cell, a craft or a finding."""
    return isinstance(text, str) and _ID.fullmatch(text) is not None


def is_part(text: str) -> bool:
    """Return whether a text is the name of a part of a cell or craft."""
    return _PART.fullmatch(text) is not None


def is_key(text: str) -> bool:
    """Return whether a text is an id with the name of a part after it: `ID.PART`."""
    identity, _, part = text.partition(".")
    return is_id(identity) and is_part(part)


def is_repository(text: str) -> bool:
    """Return whether a text is the name of a repository of the hub, `OWNER/NAME`."""
    fits = _REPOSITORY.fullmatch(text) is not None
    return fits and not any(part in text for part in ("..", "--"))


def text_fault(text: str) -> str | None:
    """Say why a text cannot be written to a file; None where it can."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return "has half of a pair of code points, which no file can hold"
    return None


def place_fault(path: str) -> str | None:
    """Say why no file can have a path; None where one can, wherever it lies."""
    if fault := text_fault(path):
        return fault
    if not path:
        return "is empty"
    if _CONTROL.search(path):
        return "has a control character"
    longest = max(len(name.encode()) for name in path.split("/"))
    if longest > _LONGEST_NAME or len(path.encode()) > _LONGEST_PATH:
        return f"is longer than a path can be: {_LONGEST_NAME} bytes a name, {_LONGEST_PATH} in all"
    return None


def inside_fault(path: str) -> str | None:
    """Say why a path does not name something within the folder that it is taken from.

    Links that lie in the folder are its owner's affair.
    """
    if fault := place_fault(path):
        return fault
    if path.startswith("/") or "\\" in path or _DRIVE.match(path) or ".." in path.split("/"):
        return "must lie within its folder: a path that does not begin with / and has no .. or \\"
    return None


def is_beside(name: str) -> bool:
    """Return whether a text names something that lies directly in a folder."""
    return inside_fault(name) is None and "/" not in name and name != "."


def shown(text: object) -> str:
    """Return a value as a message quotes it: on one line, and not at any length."""
    quoted = repr(text)
    return quoted if len(quoted) <= _SHOWN else f"{quoted[:_SHOWN]}... ({len(quoted)} letters)"
