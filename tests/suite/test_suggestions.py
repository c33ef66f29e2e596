"""A wrong word is answered with the nearest that is allowed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic_core.core_schema import ErrorType

from bench.commands.main import main
from bench.core.errors import SuiteError
from bench.suite.field_faults import ALLOWED
from bench.suite.load import load_suite

_CLIP = {"kind": "nano", "weights": "clip"}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"sampels": 3}, "sampels: unknown key; did you mean 'samples'?"),
        ({"models": {"C": {"kind": "Nano", "weights": "clip"}}}, "did you mean 'nano'?"),
        ({"models": {"C": {"kind": "nano", "weights": "Clip"}}}, "did you mean 'clip'?"),
        ({"models": {"C": {**_CLIP, "gpu": 1}}}, "models.C.gpu: unknown key; did you mean 'gpus'?"),
        (
            {"models": {"alpha": {**_CLIP, "wieghts": 1}}},
            "models.alpha.wieghts: unknown key; did you mean 'weights'?",
        ),
        (
            {"protocol": {"preset": "radapt-paper", "pixels": {"sise": 32, "fit": "crop"}}},
            "protocol.pixels.sise: unknown key; did you mean 'size'?",
        ),
        ({"protocol": "fare-papier"}, "did you mean 'fare-paper'?"),
        ({"datasets": ["cifar-10"]}, "did you mean 'cifar10'?"),
        ({"threats": [{"transfer": "clip"}]}, "did you mean 'CLIP'?"),
        ({"attacks": [{"kind": "PGD", "eps": 0.1}]}, "did you mean 'pgd'?"),
        (
            {"attacks": [{"kind": "pgd", "eps": 0.1, "stpes": 1}]},
            "attacks.0.stpes: unknown key; did you mean 'steps'?",
        ),
        (
            {"attacks": [{"kind": "pgd", "eps": 0.1, "backward": {"model": "clip"}}]},
            "R-Adapt_CLIP; did you mean 'CLIP'?",
        ),
        ({"attacks": [{"preset": "radapt_paper", "eps": 0.1}]}, "did you mean 'radapt-paper'?"),
        ({"attacks": [{"kind": "torchattacks", "attack": "pgd", "eps": 0.1}]}, "mean 'PGD'?"),
        ({"protocol": {"preset": "radapt-paper", "native": ["cifar_10"]}}, "mean 'cifar10'?"),
    ],
)
def test_of_a_suite(
    suite_file: Callable[..., Path], changes: dict[str, Any], expected: str
) -> None:
    with pytest.raises(SuiteError) as caught:
        load_suite(suite_file(**changes))
    assert expected in str(caught.value)


def test_of_a_word_that_is_like_none(suite_file: Callable[..., Path]) -> None:
    with pytest.raises(SuiteError) as caught:
        load_suite(suite_file(models={"C": {"kind": "qqq"}}))
    assert "did you mean" not in str(caught.value)


def test_of_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rnu", "suites/quickstart.yaml"]) == 2
    told = capsys.readouterr().err
    assert told.startswith("got the command 'rnu'; allowed: run, plan, ")
    assert told.endswith("or a suite; did you mean 'run'?\n")


def test_the_path_of_a_suite_is_no_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs.yaml"]) == 2
    assert "runs.yaml: 1 fault\n  cannot be read: No such file" in capsys.readouterr().err


def test_an_alternative_is_named_once(suite_file: Callable[..., Path]) -> None:
    protocol = {"preset": "radapt-paper", "pixels": 7}
    with pytest.raises(SuiteError) as caught:
        load_suite(suite_file(protocol=protocol))
    assert caught.value.faults == ("protocol.pixels: got 7; allowed: a mapping or 'native'",)


def test_faults_inside_hide_the_alternative(suite_file: Callable[..., Path]) -> None:
    protocol = {"preset": "radapt-paper", "pixels": {"size": 32, "fit": "zoom"}}
    with pytest.raises(SuiteError) as caught:
        load_suite(suite_file(protocol=protocol))
    assert caught.value.faults == ("protocol.pixels.fit: got 'zoom'; allowed: 'crop' or 'squash'",)


def test_types_of_errors_are_pydantics() -> None:
    assert set(ALLOWED) - {"invalid-json-value"} <= set(get_args(ErrorType))
