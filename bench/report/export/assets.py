"""Templates, style sheets and scripts of the HTML pages, with hashes for the security policy."""

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, Template
from markupsafe import Markup

from bench.results.number_format import percent

_PARTS = Path(__file__).parents[1] / "page"


@dataclass(frozen=True, slots=True)
class Inline:
    """A style sheet or script inside the page.

    Attributes:
        text: Content, joined from its parts.
        hash: Hash for the content security policy, so that the browser runs nothing else.
    """

    text: Markup
    hash: str


@cache
def template(name: str) -> Template:
    """Return a template by its name; all of its values are escaped."""
    environment = Environment(
        loader=FileSystemLoader(_PARTS), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["percent"] = percent
    return environment.get_template(name)


def styles(names: Sequence[str]) -> Inline:
    """Return several style sheets, joined."""
    return _inline(f"\n{_joined('css', tuple(names))}\n")


def scripts(names: Sequence[str]) -> Inline:
    """Return several scripts, joined in a function so that they define no global names."""
    return _inline(f'\n"use strict";\n(() => {{\n{_joined("js", tuple(names))}\n}})();\n')


def script_json(value: object) -> Markup:
    """Return JSON for a script element; a name with `</script>` cannot end the element."""
    return Markup(safe_in_script(json.dumps(value, separators=(",", ":"), allow_nan=False)))


def safe_in_script(text: str) -> str:
    """Return JSON text in ASCII without letters that could end a script element."""
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


@cache
def _joined(suffix: str, names: tuple[str, ...]) -> str:
    return "\n".join((_PARTS / f"{name}.{suffix}").read_text("utf-8") for name in names)


def _inline(text: str) -> Inline:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return Inline(Markup(text), f"sha256-{digest}")
