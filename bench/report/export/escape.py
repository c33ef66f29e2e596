"""Escapes texts for Markdown and LaTeX.

jinja2 escapes only HTML. The LaTeX escape of pandas does not handle brackets, stars, quotes and
letters that the fonts lack, and names of models may contain all of them.
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
    "[": "{[}",  # after `\\`, LaTeX would read [ or * as an argument
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
_MARKDOWN = re.compile(r"([\\`*_\[\]()#|~$:.@])")  # without the last three, URLs become links


def latex(text: str) -> str:
    """Return a text escaped for LaTeX; a letter outside the fonts becomes `(U+4E2D)`."""
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
    """Return a text escaped for a Markdown table cell, on one line."""
    safe = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKDOWN.sub(r"\\\1", " ".join(safe.split()))
