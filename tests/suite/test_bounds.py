"""Sizes that no suite needs are refused at once, with the bound."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.core.errors import SuiteError
from bench.core.yaml_file import BYTES, DEPTH
from bench.suite.load import load_suite

_PGD = {"kind": "pgd", "eps": "4/255"}
_SWEPT = {"kind": "radapt", "base": "CLIP", "anchor": {"white": "CLIP"}}
_MANY = [round(0.001 * number, 3) for number in range(200)]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"attacks": [{**_PGD, "restarts": 10**21}]}, "attacks.0.restarts: got 1000000000000000"),
        ({"attacks": [{**_PGD, "steps": 10**12}]}, "allowed: a number of at most 1000000"),
        ({"attacks": [{"kind": "noise", "eps": 0.1, "draws": 10**12}]}, "attacks.0.draws"),
        (
            {"attacks": [{**_PGD, "eps": "1e999999999"}]},
            "attacks.0.eps.0: got '1e999999999'; a rad",
        ),
        ({"attacks": [{**_PGD, "eps": "1/" + "9" * 3000}]}, "attacks.0.eps.0: got '1/99"),
        (
            {"attacks": [{"kind": "torchattacks", "eps": 0.1, "args": {"steps": 10**9}}]},
            "steps: allowed: a number of at most 1,000,000",
        ),
        ({"samples": 10**12}, "samples: got 1000000000000; allowed: a number of at most"),
        (
            {"models": {"CLIP": {**_SWEPT, "sweep": {"alpha": _MANY, "cutoff": _MANY}}}},
            "models.CLIP.sweep: makes 40,000 models; allowed: 10,000",
        ),
        (
            {
                "seeds": list(range(2000)),
                "attacks": [{**_PGD, "eps": [i / 4e3 for i in range(3000)]}],
            },
            "has up to 36,000,003 cells; allowed: 5,000,000",
        ),
    ],
)
def test_numbers(suite_file: Callable[..., Path], changes: dict[str, Any], expected: str) -> None:
    with pytest.raises(SuiteError) as caught:
        load_suite(suite_file(**changes))
    assert expected in str(caught.value)


def _bomb(levels: int) -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    for level in range(1, levels):
        lines.append(f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]")
    return "\n".join(lines)


def _merge_bomb(levels: int) -> str:
    lines = ["a0: &a0 {x: 1}"]
    for level in range(1, levels):
        lines.append(f"a{level}: &a{level} {{<<: [{', '.join([f'*a{level - 1}'] * 10)}]}}")
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: " + "[" * 1000 + "]" * 1000, f"nested more than {DEPTH} deep"),
        ("a: " + "{b: " * 1000 + "}" * 1000, f"nested more than {DEPTH} deep"),
        (_bomb(9), "more than 200,000 values, aliases included"),
        (_merge_bomb(9), "more than 200,000 values, aliases included"),
        ("a: &a [*a]", "an alias refers to itself"),
        ("a: &a {b: {<<: *a}}", "an alias refers to itself"),
        ("suite: x" + " " * BYTES, f"has {BYTES + 8:,} bytes; allowed: {BYTES:,}"),
        ("samples: " + "9" * 5000, "is not valid YAML"),
        ("date: 2020-13-45", "is not valid YAML"),
        ("a: !!python/object/apply:os.system [ls]", "is not valid YAML"),
    ],
)
def test_files(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "suite.yaml"
    path.write_text(text)
    with pytest.raises(SuiteError) as caught:
        load_suite(path)
    assert expected in str(caught.value)


def test_a_few_aliases_are_fine(suite_file: Callable[..., Path]) -> None:
    path = suite_file()
    path.write_text(path.read_text() + "\nnote: &n hello\n")
    assert load_suite(path).note == "hello"


def test_pipes_and_devices(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    for path in (tmp_path / "pipe.yaml", Path("/dev/zero"), tmp_path):
        with pytest.raises(SuiteError, match="is not a regular file"):
            load_suite(path)
