"""Finds the files that a user's model names: in its arguments, and in the texts of its code."""

import ast
import os
import re
import stat
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bench.core.digests import hash_files, hash_folder
from bench.core.remembered_digests import FileState, state_of

Key = tuple[str | int, ...]  # names and places, from the arguments to a value inside them
_LOCAL = re.compile("(?:file://|local-dir:)")  # before the path of a local file
_ELSEWHERE = re.compile("[A-Za-z][A-Za-z0-9+.-]+://|hf-hub:")
_WEIGHTS = (
    *(".pt", ".pth", ".bin", ".ckpt", ".safetensors", ".npz", ".npy", ".onnx", ".pkl", ".h5"),
    *(".gguf", ".msgpack"),
)


@dataclass(frozen=True, slots=True)
class NamedFile:
    """A file or folder, or content on another machine, that a text names.

    Attributes:
        key: Where the text is, for messages and hashes.
        path: Where the text is in the arguments; empty if it is in code.
        places: The files and folders; empty for content on another machine.
    """

    key: str
    path: Key
    places: tuple[Path, ...]

    def content(self) -> str:
        """Return a hash of the content.

        Raises:
            OSError: The content cannot be hashed.
        """
        if not self.places:
            raise OSError("it is on another machine")
        return " ".join(map(_content, self.places))


@dataclass(frozen=True, slots=True)
class Names:
    """Names in the code of a file.

    Attributes:
        imports: The first words of the names of imported modules.
        weights: Texts that end like the name of a file of weights.
    """

    imports: frozenset[str] = frozenset()
    weights: tuple[str, ...] = ()


def named_in_args(args: Mapping[str, object], near: Sequence[Path]) -> Iterator[NamedFile]:
    """Yield what the texts in arguments name, at any depth.

    Args:
        args: The arguments.
        near: Folders that relative paths start from; a path that exists in several counts in all.
    """
    yield from _named((), args, near)


def named_in_code(code: Sequence[Path], near: Sequence[Path]) -> Iterator[NamedFile]:
    """Yield the files of weights that literal texts in Python files name.

    Args:
        code: The Python files.
        near: Folders that relative paths start from.
    """
    for text in dict.fromkeys(text for file in code for text in names_in(file).weights):
        if places := [path for path in _existing(text, near) if path.is_file()]:
            yield NamedFile(f"code {Path(text).name}", (), tuple(places))


def names_in(file: Path) -> Names:
    """Return the names in a Python file; none for other files, and for code with faults."""
    return _names_in(state_of(file)) if file.suffix == ".py" else Names()


@cache
def _names_in(file: FileState) -> Names:
    try:
        tree = ast.parse(file.path.read_bytes())
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return Names()
    imports, weights = set[str](), list[str]()
    for node in _nodes(tree):
        match node:
            case ast.Import():
                imports |= {alias.name.partition(".")[0] for alias in node.names}
            case ast.ImportFrom(module=str(module), level=0):
                imports.add(module.partition(".")[0])
            case ast.Constant(value=str(text)) if text.endswith(_WEIGHTS):
                weights.append(text)
    return Names(frozenset(imports), tuple(weights))


def _nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield what `ast.walk` yields, in half of its time: a package may have hundreds of modules."""
    queue = deque([tree])
    while queue:
        node = queue.popleft()
        yield node
        for name in node._fields:
            value = getattr(node, name, None)
            if isinstance(value, ast.AST):
                queue.append(value)
            elif isinstance(value, list):
                queue.extend(each for each in value if isinstance(each, ast.AST))


def _named(path: Key, value: object, near: Sequence[Path]) -> Iterator[NamedFile]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _named((*path, name), inner, near)
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from _named((*path, place), inner, near)
    elif isinstance(value, str):
        key = ".".join(("args", *map(str, path)))
        places = tuple(_existing(_LOCAL.sub("", value, count=1), near))
        if places or (_ELSEWHERE.match(value) and not _LOCAL.match(value)):
            yield NamedFile(key, path, places)


def _existing(text: str, near: Sequence[Path]) -> Iterator[Path]:
    """Yield the different files and folders of a name; a factory may expand `~`, too."""
    seen = set[str]()
    for folder in near if text else ():
        path = os.path.join(folder, os.path.expanduser(text))
        real = os.path.realpath(path) if os.path.exists(path) else ""  # False for a long text
        if real and real not in seen:
            seen.add(real)
            yield Path(path)


def _content(path: Path) -> str:
    if path.is_dir():
        if Path.cwd().is_relative_to(path.resolve()):
            # it also contains the results, so its hash would change with every run
            raise OSError(f"the folder {path} contains the working folder")
        return hash_folder(path)
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(f"{path} is not a regular file")
    return hash_files([path])
