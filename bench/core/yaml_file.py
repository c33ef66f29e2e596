"""Reads a YAML file that anyone may have written: no duplicate keys, and bounded in every size."""

import stat
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from bench.core.errors import SuiteError

# A suite of 10,000 models has about 500,000 bytes. PyYAML reads 1,000,000 in seconds.
BYTES = 1_000_000
DEPTH = 30  # of lists and mappings; a suite needs 8
NODES = 200_000  # values in all, where each alias counts as much as what it stands for


def read_yaml(path: Path) -> Any:
    """Return the content of a YAML file.

    Raises:
        SuiteError: The file cannot be read, is no regular file, is not YAML, has a duplicate key,
            or exceeds a bound of this module.
    """
    try:
        about = path.stat()
        if not stat.S_ISREG(about.st_mode):
            raise SuiteError(str(path), ["is not a regular file"])
        if about.st_size > BYTES:
            raise SuiteError(str(path), [f"has {about.st_size:,} bytes; allowed: {BYTES:,}"])
        return yaml.load(path.read_text("utf-8"), Loader=_Loader)
    except OSError as error:
        raise SuiteError(str(path), [f"cannot be read: {error.strerror}"]) from error
    except (yaml.YAMLError, ValueError) as error:  # a ValueError: no UTF-8, a date of month 13
        raise SuiteError(str(path), [f"is not valid YAML: {error}"]) from error


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader with bounds, and an error for duplicate keys.

    PyYAML keeps the last of duplicate keys.
    """

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._depth = 0
        self._sizes: dict[int, int] = {}  # number of values by the identity of a finished node

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Compose a node, and count its values and its depth."""
        event = self.peek_event()  # type: ignore[no-untyped-call]
        mark = event.start_mark
        self._depth += 1
        if self._depth > DEPTH:
            raise yaml.composer.ComposerError(
                None, None, f"lists and mappings are nested more than {DEPTH} deep", mark
            )
        node = super().compose_node(parent, index)
        self._depth -= 1
        if node is not None:
            if isinstance(node, yaml.CollectionNode) and not isinstance(event, yaml.AliasEvent):
                self._sizes[id(node)] = 1 + sum(self._size(part, mark) for part in _parts(node))
            if self._size(node, mark) > NODES:
                raise yaml.composer.ComposerError(
                    None, None, f"more than {NODES:,} values, aliases included", mark
                )
        return node

    def _size(self, node: yaml.Node, mark: yaml.Mark) -> int:
        if isinstance(node, yaml.ScalarNode):
            return 1
        if id(node) not in self._sizes:  # it is not finished, so it contains itself
            raise yaml.composer.ComposerError(None, None, "an alias refers to itself", mark)
        return self._sizes[id(node)]

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Construct a mapping, and refuse duplicate keys."""
        seen = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                raise yaml.constructor.ConstructorError(
                    None, None, f"a key must be a word; got {key!r}", key_node.start_mark
                )
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} appears twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def _parts(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return list(node.value)
