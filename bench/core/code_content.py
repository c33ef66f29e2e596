"""The content of a user's model: its code, and the files that code and arguments name."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from copy import deepcopy
from dataclasses import dataclass, field
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

from bench.core.digests import files_below, hash_files, hash_folder
from bench.core.errors import CellError
from bench.core.module_files import is_library, module_file, package_folders
from bench.core.named_files import NamedFile, named_in_args, named_in_code, names_in
from bench.core.resolved_names import UNHASHED

_FINGERPRINT = re.compile(rf"[0-9a-f]{{64}} (\[\[.*\]\])(?: {UNHASHED}\b.*)?")


@dataclass(frozen=True, slots=True)
class Content:
    """The content of a user's model.

    Attributes:
        fingerprint: A hash without paths, so a moved file keeps it. If arguments name files, their
            key paths follow as JSON, see `without_paths`. If a part could not be hashed, `UNHASHED`
            is the last word.
        unhashed: The parts that could not be hashed, each with the reason.
    """

    fingerprint: str
    unhashed: tuple[str, ...]


@dataclass
class _Parts:
    """The parts of a model's content, found one after another."""

    hashes: list[str] = field(default_factory=list)
    unhashed: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Code:
    """What a module's code contributes to the content of each model that names it.

    Attributes:
        whole: Hash of the module's file.
        modules: The module's package, and the modules that it imports.
        named: The files that the code names.
        near: The folders in which files are looked for.
    """

    whole: str
    modules: _Parts
    named: _Parts
    near: tuple[Path, ...]


_KnownCode = dict[tuple[str, Path, tuple[Path, ...]], _Code]
_known_code: ContextVar[_KnownCode | None] = ContextVar("_known_code", default=None)


def content_of(module: str, args: Mapping[str, object], folders: Sequence[Path] = ()) -> Content:
    """Return the content of a factory and its arguments; import nothing.

    Hashed are the module's file, all files of its package (if installed, its Python files), modules
    that these import and that are not installed, files of weights that this code names in a literal
    text, and files and folders that `args` name.

    Args:
        module: Dotted name of the module.
        args: Arguments of the factory; texts at any depth may name files or folders.
        folders: Folders in which modules are looked for after Python's path. Files are looked for
            in the working folder, in these folders, and beside the module.

    Raises:
        CellError: The module has no file.
        OSError: The module's file cannot be read.
    """
    file = require_module(module, folders)
    code = _code_of(module, file, tuple(folders))
    parts = _Parts([*code.modules.hashes], [*code.modules.unhashed])
    in_args = [each for each in named_in_args(args, code.near) if _add(each, parts)]
    parts.hashes += code.named.hashes
    parts.unhashed += code.named.unhashed
    whole = code.whole
    if parts.hashes:
        whole = hashlib.sha256("\n".join([whole, *parts.hashes]).encode()).hexdigest()
    keys = f" {json.dumps([each.path for each in in_args])}" if in_args else ""
    marked = f" {UNHASHED}" if parts.unhashed else ""
    return Content(f"{whole}{keys}{marked}", tuple(parts.unhashed))


def require_module(module: str, folders: Sequence[Path] = ()) -> Path:
    """Return the file of a module; arguments are those of `content_of`.

    Raises:
        CellError: The module has no file.
    """
    if (file := module_file(module, folders)) is not None:
        return file
    places = ", ".join(map(str, folders))
    raise CellError(
        f"no module named {module!r} with a file on Python's path or in {places}; correct `target`"
    )


@contextmanager
def code_read_once() -> Iterator[None]:
    """Read the code of each module once in the block, though several models name the module."""
    token = _known_code.set({})
    try:
        yield
    finally:
        _known_code.reset(token)


def _code_of(module: str, file: Path, folders: tuple[Path, ...]) -> _Code:
    known, key = _known_code.get(), (module, file, folders)
    if known is not None and key in known:
        return known[key]
    modules, named = _Parts(), _Parts()
    code = [file, *_package(module, folders, modules)]
    code += _imported(module, code, folders, modules)
    near = tuple(dict.fromkeys((Path.cwd(), *folders, file.parent)))
    for each in named_in_code(code, near):
        _add(each, named)
    found = _Code(hash_files([file]), modules, named, near)
    if known is not None:
        known[key] = found
    return found


def without_paths(args: Mapping[str, Any], fingerprint: str) -> dict[str, Any]:
    """Return arguments with None in place of each file or folder whose content is hashed.

    Args:
        args: Arguments of a factory.
        fingerprint: That of `content_of` for them; any other text changes nothing.
    """
    found: dict[str, Any] = deepcopy(dict(args))
    keyed = _FINGERPRINT.fullmatch(fingerprint)
    for *keys, last in json.loads(keyed[1]) if keyed else ():
        holder = reduce(getitem, keys, found)
        holder[last] = None
    return found


def _package(module: str, folders: Sequence[Path], parts: _Parts) -> list[Path]:
    """Hash the files of a module's package, if it is in a package; return its Python files."""
    code: list[Path] = []
    for folder in package_folders(module, folders):
        inside = Path.cwd().is_relative_to(folder.resolve())  # so are the results, probably
        if inside:
            parts.unhashed.append(
                f"files other than Python's in the package {folder}: it contains the working folder"
            )
        python_only = inside or is_library(module.partition(".")[0], folders)
        try:
            parts.hashes.append(hash_folder(folder, ".py" if python_only else ""))
            code += sorted(files_below(folder, ".py"))
        except OSError as error:
            parts.unhashed.append(f"the package {folder}: {error}")
    return code


def _imported(
    module: str, code: Sequence[Path], folders: Sequence[Path], parts: _Parts
) -> list[Path]:
    """Hash the modules that code imports, and those that these import; libraries are left out.

    Returns:
        Their Python files.
    """
    seen, queue = {module.partition(".")[0]}, list(code)
    for file in queue:  # the list grows
        for name in sorted(names_in(file).imports - seen):
            seen.add(name)
            if is_library(name, folders):
                continue
            packages, own = package_folders(name, folders), module_file(name, folders)
            try:
                if packages:
                    parts.hashes += [f"{name} {hash_folder(each, '.py')}" for each in packages]
                    queue += [each for top in packages for each in sorted(files_below(top, ".py"))]
                elif own is not None:
                    parts.hashes.append(f"{name} {hash_files([own])}")
                    queue.append(own)
            except OSError as error:
                parts.unhashed.append(f"the module {name!r}: {error}")
    return queue[len(code) :]


def _add(found: NamedFile, parts: _Parts) -> bool:
    """Hash a file that arguments or code name; return whether that was possible."""
    try:
        parts.hashes.append(f"{found.key} {found.content()}")
    except OSError as error:
        parts.unhashed.append(f"{found.key}: {error}")
        return False
    return True
