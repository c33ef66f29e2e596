"""What our pages are made of: templates, styles, scripts, and a policy that lets only those run."""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, Template
from markupsafe import Markup

from bench.report.export.numbers import percent

_PARTS = Path(__file__).parents[1] / "page"


@dataclass(frozen=True, slots=True)
class Inline:
    """A text that stands in the page itself.

    Attributes:
        text: Joined from its parts.
        hash: What a content security policy knows it by: nothing else runs.
    """

    text: Markup
    hash: str


@cache
def template(name: str) -> Template:
    """Return a template by its name; whatever it is given is escaped."""
    environment = Environment(
        loader=FileSystemLoader(_PARTS), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["percent"] = percent
    return environment.get_template(name)


def styles(names: Sequence[str]) -> Inline:
    """Return style sheets by their names, as one."""
    return _inline(f"\n{_joined('css', tuple(names))}\n")


def scripts(names: Sequence[str]) -> Inline:
    """Return scripts by their names, as one that leaves nothing global."""
    return _inline(f'\n"use strict";\n(() => {{\n{_joined("js", tuple(names))}\n}})();\n')


@cache
def _joined(suffix: str, names: tuple[str, ...]) -> str:
    return "\n".join((_PARTS / f"{name}.{suffix}").read_text("utf-8") for name in names)


def _inline(text: str) -> Inline:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return Inline(Markup(text), f"sha256-{digest}")
