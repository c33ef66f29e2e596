"""Texts that mean nothing to Markdown and LaTeX but themselves.

By hand: jinja2 escapes HTML alone, and the LaTeX escape of pandas leaves brackets, stars, quotes
and letters that the fonts lack as they are, which names of models hold.
"""

import re
import unicodedata

_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\symbol{34}",
    "'": r"\textquotesingle{}",
    "`": r"\textasciigrave{}",
    "[": "{[}",  # the end of a row takes an option, or a star
    "]": "{]}",
    "*": "{*}",
    "–": r"\textendash{}",
    "·": r"\textperiodcentered{}",
    "×": r"\ensuremath{\times}",
    "†": r"\dag{}",
    "∞": r"\ensuremath{\infty}",
}
_GREEK = "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau"
_LATEX |= {
    unicodedata.lookup(f"GREEK SMALL LETTER {word.replace('lambda', 'lamda').upper()}"): (
        rf"\ensuremath{{\{word}}}"
    )
    for word in _GREEK.split()
}
_MARKDOWN = re.compile(r"([\\`*_\[\]()#|~$:.@])")  # the last three, so that nothing is linked


def latex(text: str) -> str:
    """Return a text for LaTeX; what its fonts do not have is named by code point: `(U+4E2D)`."""
    return "".join(map(_letter, text)).replace("--", "-{}-").replace("--", "-{}-")


def _letter(letter: str) -> str:
    if letter in _LATEX:
        return _LATEX[letter]
    if letter.isspace():
        return " "
    base = unicodedata.normalize("NFD", letter)
    known = letter.isascii() or (letter <= "\u00ff" and letter.isalpha() and base[0].isascii())
    return letter if known and letter.isprintable() else f"(U+{ord(letter):04X})"


def markdown(text: str) -> str:
    """Return a text for a cell of a Markdown table: neither markup nor HTML, on one line."""
    safe = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKDOWN.sub(r"\\\1", " ".join(safe.split()))
