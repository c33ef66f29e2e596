"""A file system that refuses a file, and a count of the files that are read."""

import builtins
import io
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_counted: list[Counter[str]] = []


def refuse(
    monkeypatch: pytest.MonkeyPatch, path: Path, number: int, times: int | None = None
) -> None:
    """Let each attempt to open a file, or the first few, fail with an error of the system."""
    left = [times]

    def wrapped(real: Callable[..., Any]) -> Callable[..., Any]:
        def opened(file: Any, *arguments: Any, **options: Any) -> Any:
            if not isinstance(file, int) and os.fspath(file) == str(path) and left[0] != 0:
                if left[0] is not None:
                    left[0] -= 1
                raise OSError(number, os.strerror(number), str(path))
            return real(file, *arguments, **options)

        return opened

    for module in (os, io, builtins):
        monkeypatch.setattr(module, "open", wrapped(module.open))  # type: ignore[attr-defined]


def refuse_writes(monkeypatch: pytest.MonkeyPatch, folder: Path, number: int) -> None:
    """Let every write below a folder fail, also for root; files can be read."""

    def below(file: Any) -> bool:
        if isinstance(file, int):
            return False
        path = os.path.abspath(os.fsdecode(file))
        return os.path.commonpath((path, folder)) == str(folder)

    def fail(file: Any) -> None:
        raise OSError(number, os.strerror(number), os.fspath(file))

    def wrapped(real: Callable[..., Any]) -> Callable[..., Any]:
        def opened(file: Any, mode: Any = "r", *arguments: Any, **options: Any) -> Any:
            writes = set(mode) & set("wax+") if isinstance(mode, str) else mode & WRITING
            if writes and below(file):
                fail(file)
            return real(file, mode, *arguments, **options)

        return opened

    real_mkdir = os.mkdir

    def mkdir(path: Any, *arguments: Any, **options: Any) -> None:
        if below(path) and not os.path.isdir(path):
            fail(path)
        real_mkdir(path, *arguments, **options)

    for module in (os, io, builtins):
        monkeypatch.setattr(module, "open", wrapped(module.open))  # type: ignore[attr-defined]
    monkeypatch.setattr(os, "mkdir", mkdir)


@contextmanager
def reads() -> Iterator[Counter[str]]:
    """Count by file name how often any code opens a file for reading."""
    counter: Counter[str] = Counter()
    _counted.append(counter)
    try:
        yield counter
    finally:
        _counted.remove(counter)


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and _counted and isinstance(arguments[0], str | bytes | os.PathLike):
        path, _, flags = arguments
        if flags & os.O_ACCMODE == os.O_RDONLY:
            for counter in _counted:
                counter[os.path.basename(os.fsdecode(path))] += 1


sys.addaudithook(_note)
