"""Checksums of stored results and crafts.

A checksum covers the content and the name under which it is stored. So a changed digit and a file
that was renamed to another cell's or craft's name are both found. Files of earlier versions have no
checksum.
"""

import hashlib

_KEY = b', "checksum": "'
_DIGITS = 64


def checksum(name: str, *content: bytes | memoryview) -> str:
    """Return the SHA-256, in hexadecimal, of a name and the content that is stored under it."""
    hashed = hashlib.sha256(f"{name}\n".encode())
    for part in content:
        hashed.update(part)
    return hashed.hexdigest()


def with_checksum(name: str, record: str) -> str:
    """Return a JSON object with its checksum as the last entry.

    Args:
        name: The name under which the object is stored.
        record: The object as JSON, with at least one entry.
    """
    return f'{record[:-1]}{_KEY.decode()}{checksum(name, record.encode())}"}}'


def has_checksum(name: str, record: bytes) -> bool:
    """Return whether a stored JSON object ends with a checksum.

    Args:
        name: The name under which the object is stored.
        record: The object as `with_checksum` returned it.

    Raises:
        ValueError: The checksum belongs to another content or name.
    """
    content, key, end = record.rpartition(_KEY)
    if not key:
        return False
    given, rest = end[:_DIGITS], end[_DIGITS:].rstrip()
    if rest != b'"}' or given != checksum(name, content, b"}").encode():
        raise ValueError("its checksum does not fit its content and name")
    return True
