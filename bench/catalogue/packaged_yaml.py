"""Reads the YAML files of the catalogue, which are part of the package."""

from pathlib import Path
from typing import Any

import yaml

# PyYAML's loader in C is ten times faster; PyYAML has it where it was built with libyaml
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_packaged(name: str) -> dict[str, Any]:
    """Return the content of a YAML file of the catalogue, a mapping.

    Args:
        name: Name of the file.
    """
    text = Path(__file__).with_name(name).read_text("utf-8")
    found: dict[str, Any] = yaml.load(text, Loader=_LOADER)
    return found
