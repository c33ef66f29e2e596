"""Finding the file of a module by its name, where nothing of it may be imported yet."""

import sys
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path


def module_file(name: str) -> Path | None:
    """Return the file that a module would be imported from; no package around it is imported.

    `importlib.util.find_spec` imports the packages that a dotted name goes through. A package
    that changes its own search path while it is imported is therefore not followed here.

    Returns:
        The file, or None where there is no module of that name, or none with a file.
    """
    first, *rest = parts = name.split(".")
    if not all(parts):
        return None
    found = _top(first)
    for part in rest:
        if found is None or found.submodule_search_locations is None:
            return None
        # by its last part alone: a dotted name would be looked up among the imported packages
        found = PathFinder.find_spec(part, list(found.submodule_search_locations))
    if found is None or not found.has_location or found.origin is None:
        return None
    return Path(found.origin)


def _top(name: str) -> ModuleSpec | None:
    for finder in sys.meta_path:
        found = finder.find_spec(name, None)
        if found is not None:
            return found
    return None
