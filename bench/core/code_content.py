"""The content of a user's model: its code, and the files that the suite's arguments name."""

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

from bench.core.digests import hash_files, hash_folder
from bench.core.errors import CellError
from bench.core.module_files import module_file, package_folders

_Key = tuple[str | int, ...]  # names and places, from the arguments to a value inside them
_WITH_KEYS = re.compile(r"[0-9a-f]{64} (\[\[.*\]\])")


def hash_code(module: str, args: Mapping[str, object], folders: Sequence[Path] = ()) -> str:
    """Return a hash of a module's file, of its package's Python files, and of files in `args`.

    Paths are left out: a moved file keeps its hash. A module without a package whose arguments
    name no file has the hash of its file. If arguments name files, their key paths follow the hash
    as JSON, see `without_paths`.

    Args:
        module: Dotted name of the module.
        args: Arguments of the factory; texts at any depth may name files or folders.
        folders: Folders in which the module is looked for after Python's path.

    Raises:
        CellError: The module has no file.
        OSError: A file cannot be read.
    """
    file = module_file(module, folders)
    if file is None:
        places = ", ".join(map(str, folders))
        raise CellError(
            f"no module named {module!r} with a file on Python's path or in {places}; correct "
            "`target`"
        )
    code = hash_files([file])
    package = [hash_folder(folder, ".py") for folder in package_folders(module, folders)]
    named = list(_named_files((), args))
    if not package and not named:
        return code
    keys = [".".join(("args", *map(str, path))) for path, _ in named]
    contents = [f"{key} {content}" for key, (_, content) in zip(keys, named, strict=True)]
    whole = hashlib.sha256("\n".join([code, *package, *contents]).encode()).hexdigest()
    return f"{whole} {json.dumps([path for path, _ in named])}" if named else whole


def without_paths(args: Mapping[str, Any], content: str) -> dict[str, Any]:
    """Return arguments with None in place of each file or folder whose content is hashed.

    Args:
        args: Arguments of a factory.
        content: What `hash_code` returned for them; any other text changes nothing.
    """
    found: dict[str, Any] = deepcopy(dict(args))
    keyed = _WITH_KEYS.fullmatch(content)
    for *keys, last in json.loads(keyed[1]) if keyed else ():
        holder = reduce(getitem, keys, found)
        holder[last] = None
    return found


def _named_files(key: _Key, value: object) -> Iterator[tuple[_Key, str]]:
    """Yield the key path and the hash of every existing file or folder that a value names.

    A folder that contains the working folder is left out: it also contains the results, so its
    hash would change with every run.
    """
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _named_files((*key, name), inner)
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from _named_files((*key, place), inner)
    elif isinstance(value, str):
        path = os.path.expanduser(value)  # factories may do so too
        if os.path.isfile(path):  # unlike Path.is_file, it accepts texts that cannot be a path
            yield key, hash_files([Path(path)])
        elif os.path.isdir(path) and not Path.cwd().is_relative_to(Path(path).resolve()):
            yield key, hash_folder(Path(path))
