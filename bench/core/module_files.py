"""Finds the file and package of a user's module without importing it; imports such modules."""

import importlib
import os
import site
import sys
import sysconfig
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

# folders that `import_module` has added; they belong to one suite, a process may run several
_added: list[str] = []
_THIS_PROJECT = ("bench", "radapt")
_SITE = (*site.getsitepackages(), site.getusersitepackages())
_INSTALLED = {os.path.realpath(folder) for folder in (*sysconfig.get_paths().values(), *_SITE)}


def module_file(name: str, folders: Sequence[Path] = ()) -> Path | None:
    """Return the file of a module, without importing the module or its parent packages.

    `importlib.util.find_spec` would import the parent packages of a dotted name. So a package
    that changes its search path during its import is not supported here.

    Args:
        name: Name of the module, dotted if it is in a package.
        folders: Folders to search after Python's path.

    Returns:
        The file, or None if no module has that name or the module has no file.
    """
    first, *rest = parts = name.split(".")
    if not all(parts):
        return None
    found = _top(first, [os.path.abspath(folder) for folder in folders])
    for part in rest:
        if found is None or found.submodule_search_locations is None:
            return None
        # only the last part of the name: Python looks up dotted names in the imported packages
        found = PathFinder.find_spec(part, list(found.submodule_search_locations))
    if found is None or not found.has_location or found.origin is None:
        return None
    return Path(found.origin)


def package_folders(name: str, folders: Sequence[Path] = ()) -> list[Path]:
    """Return the folders of a module's outermost package; none if the module is in no package.

    Arguments are those of `module_file`.
    """
    found = _top(name.partition(".")[0], [os.path.abspath(folder) for folder in folders])
    return [Path(folder) for folder in (found and found.submodule_search_locations) or ()]


def is_library(name: str, folders: Sequence[Path] = ()) -> bool:
    """Return whether a module is installed, or part of Python or of this project.

    Args:
        name: Name of a module that is in no package.
        folders: Folders to search after Python's path.
    """
    if name in sys.stdlib_module_names or name in _THIS_PROJECT:
        return True
    found = _top(name, [os.path.abspath(folder) for folder in folders])
    inside = (found and found.submodule_search_locations) or ()
    place = next(iter(inside), found.origin if found and found.has_location else None)
    return place is not None and os.path.realpath(os.path.dirname(place)) in _INSTALLED


def import_module(name: str, folders: Sequence[Path]) -> ModuleType:
    """Import a module of the user; call it only with `--trust`.

    The folders are added to the end of Python's path, since a module may import others later. At
    the front, a file in them could replace a module of a library.

    Raises:
        ImportError: No such module, or another suite's module of this name is already imported.
    """
    wanted = module_file(name, folders)
    sys.path[:] = [path for path in sys.path if path not in _added]
    _added[:] = [path for path in map(os.path.abspath, folders) if path not in sys.path]
    sys.path += _added
    module = importlib.import_module(name)
    loaded = module.__file__
    if wanted and loaded and os.path.realpath(loaded) != os.path.realpath(wanted):
        raise ImportError(
            f"module {name!r} was already imported from {loaded}, but this suite's is {wanted}; "
            "rename one of them, or use another process"
        )
    return module


def _top(name: str, folders: list[str]) -> ModuleSpec | None:
    path = [*(place for place in sys.path if place not in _added), *folders]
    for finder in sys.meta_path:
        found = finder.find_spec(name, path if finder is PathFinder else None)
        if found is not None:
            return found
    return None
