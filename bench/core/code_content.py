"""The content of a user's model: its code, and the files that the suite's arguments name."""

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bench.core.digests import hash_files, hash_folder
from bench.core.errors import CellError
from bench.core.module_files import module_file, package_folders


def hash_code(module: str, args: Mapping[str, object], folders: Sequence[Path] = ()) -> str:
    """Return a hash of a module's file, of its package's Python files, and of files in `args`.

    Paths are left out: a moved file keeps its hash. A module without a package whose arguments
    name no file has the hash of its file.

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
    named = list(_named_files("args", args))
    if not package and not named:
        return code
    parts = [code, *package, *(f"{key} {content}" for key, content in named)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _named_files(key: str, value: object) -> Iterator[tuple[str, str]]:
    """Yield the key path and the hash of every existing file or folder that a value names.

    A folder that contains the working folder is left out: it also contains the results, so its
    hash would change with every run.
    """
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _named_files(f"{key}.{name}", inner)
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from _named_files(f"{key}.{place}", inner)
    elif isinstance(value, str):
        path = os.path.expanduser(value)  # factories may do so too
        if os.path.isfile(path):  # unlike Path.is_file, it accepts texts that cannot be a path
            yield key, hash_files([Path(path)])
        elif os.path.isdir(path) and not Path.cwd().is_relative_to(Path(path).resolve()):
            yield key, hash_folder(Path(path))
