"""Validation of radii (`eps`)."""

import re
from fractions import Fraction
from functools import lru_cache
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo
from pydantic_core import PydanticCustomError

from bench.suite.specs.base import as_list

# An exponent of three digits at most: Fraction computes all digits of 1e999999999.
_NUMBER = re.compile(r"[0-9.]{1,20}(e[+-]?[0-9]{1,3})?(/[0-9]{1,20})?", re.IGNORECASE)


@lru_cache(maxsize=4096)  # each cell asks for its radius several times
def eps_value(text: str) -> float:
    """Return a radius as a number.

    Args:
        text: The radius as written in a suite, such as `4/255` or `0.0157`.
    """
    return float(Fraction(text))


def _eps(value: Any, info: ValidationInfo) -> str:
    text = str(value).strip()
    try:
        number = eps_value(text) if _NUMBER.fullmatch(text) else -1.0
    except (ValueError, ZeroDivisionError, OverflowError):
        number = -1.0
    # An invalid norm is reported separately and is missing in `info.data`.
    linf = info.data.get("norm", "linf") == "linf"
    if number < 0 or (linf and number > 1):
        allowed = "in [0,1] pixels" if linf else "of at least 0"
        example = "4/255 or 0.0157" if linf else "0.5 or 128/255"
        raise PydanticCustomError("eps", f"a radius {allowed} is needed, written like {example}")
    return text


def _distinct(budgets: tuple[str, ...]) -> tuple[str, ...]:
    if len({eps_value(eps) for eps in budgets}) < len(budgets):
        raise PydanticCustomError("eps", "the same radius appears twice; each may appear once")
    return budgets


Radius = Annotated[str, BeforeValidator(_eps)]
EpsList = Annotated[
    tuple[Radius, ...],
    BeforeValidator(as_list),
    Field(min_length=1),
    AfterValidator(_distinct),
]
