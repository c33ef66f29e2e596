"""Read the text files of users: UTF-8 with or without a byte order mark, and any line ends.

A message about a file that is not UTF-8 names the file, the line and the byte. Guessing another
encoding could change a class name or a caption without notice.
"""

import codecs
import json
import re
from pathlib import Path
from typing import Any

# other encodings' byte order marks; the mark of UTF-32 begins with that of UTF-16
_MARKS = ((codecs.BOM_UTF32_LE, "UTF-32"), (codecs.BOM_UTF16_LE, "UTF-16"),
          (codecs.BOM_UTF16_BE, "UTF-16"))  # fmt: skip

# some programs end lines at the control characters of C0 and C1 and at U+2028 and U+2029; U+FEFF
# is the byte order mark of a file that was appended to another
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff]")


def decode_text(data: bytes, place: str) -> str:
    r"""Return the text of UTF-8 data, without a byte order mark and with `\n` as line end.

    Args:
        data: Content of a file or of an archive's member.
        place: Its path, for messages.

    Raises:
        ValueError: The data are not UTF-8.
    """
    for mark, name in _MARKS:
        if data.startswith(mark):
            raise ValueError(f"{place}: is {name}; save it as UTF-8")
    try:
        text = data.removeprefix(codecs.BOM_UTF8).decode("utf-8")
    except UnicodeDecodeError as error:
        before = _lines_with_feeds(error.object[: error.start].decode("utf-8")).split("\n")
        raise ValueError(
            f"{place}, line {len(before)}: the byte 0x{error.object[error.start]:02x} is not "
            f"UTF-8 (after {before[-1][-20:]!r}); save the file as UTF-8"
        ) from error
    return _lines_with_feeds(text)


def read_text(path: Path) -> str:
    """Return the text of a file; see `decode_text`.

    Raises:
        ValueError: The file cannot be read or is not UTF-8.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror or error})") from error
    return decode_text(data, str(path))


def read_list(path: Path) -> tuple[str, ...]:
    """Return the lines of a list, such as class names or prompts, without spaces around them.

    CLIP_benchmark strips the lines too. Empty lines at the end of the file are ignored.

    Raises:
        ValueError: The file cannot be read, is not UTF-8 or is empty; or a line is empty or has a
            control character.
    """
    lines = tuple(line.strip() for line in read_text(path).rstrip().split("\n"))
    if not any(lines):
        raise ValueError(f"{path}: is empty")
    for number, line in enumerate(lines, 1):
        if not line:
            raise ValueError(
                f"{path}, line {number}: is empty, which would shift the lines after it"
            )
        if found := _CONTROL.search(line):
            raise ValueError(
                f"{path}, line {number}: {line!r} has the control character U+{ord(found[0]):04X}"
            )
    return lines


def parse_json(text: str, place: str) -> Any:
    """Return the value of a JSON text.

    Raises:
        ValueError: The text is not valid JSON; the message names `place`, line and column.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{place}: not valid JSON ({error})") from error


def read_json(path: Path) -> Any:
    """Return the value in a JSON file.

    Raises:
        ValueError: The file cannot be read, is not UTF-8, or is not valid JSON.
    """
    return parse_json(read_text(path), str(path))


def _lines_with_feeds(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")
