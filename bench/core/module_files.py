"""Finds the file of a module and its package by name, without importing anything."""

import sys
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path


def module_file(name: str) -> Path | None:
    """Return the file of a module, without importing the module or its parent packages.

    `importlib.util.find_spec` would import the parent packages of a dotted name. So a package
    that changes its search path during its import is not supported here.

    Returns:
        The file, or None if no module has that name or the module has no file.
    """
    first, *rest = parts = name.split(".")
    if not all(parts):
        return None
    found = _top(first)
    for part in rest:
        if found is None or found.submodule_search_locations is None:
            return None
        # only the last part of the name: Python looks up dotted names in the imported packages
        found = PathFinder.find_spec(part, list(found.submodule_search_locations))
    if found is None or not found.has_location or found.origin is None:
        return None
    return Path(found.origin)


def package_folders(name: str) -> list[Path]:
    """Return the folders of a module's outermost package; none if the module is in no package."""
    found = _top(name.partition(".")[0])
    return [Path(folder) for folder in (found and found.submodule_search_locations) or ()]


def _top(name: str) -> ModuleSpec | None:
    for finder in sys.meta_path:
        found = finder.find_spec(name, None)
        if found is not None:
            return found
    return None
