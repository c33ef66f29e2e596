from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.core.errors import SuiteError
from bench.suite.load import load_suite
from bench.suite.specs import RAdaptModel

CLIP = {"kind": "nano", "weights": "clip"}
RADAPT = {"kind": "radapt", "base": "CLIP", "anchor": {"white": "CLIP"}, "alpha": 1, "cutoff": 40}


def models(**changes: Any) -> dict[str, Any]:
    return {"CLIP": CLIP, "R": {**RADAPT, **changes}}


def test_one_model_per_value(suite_file: Callable[..., Path]) -> None:
    entry = {key: value for key, value in RADAPT.items() if key != "alpha"}
    swept = {"CLIP": CLIP, "R": {**entry, "sweep": {"alpha": [0, 0.2, 1.0]}}}
    suite = load_suite(suite_file(models=swept, threats=[{"transfer": "R[alpha=0.2]"}]))
    assert list(suite.models) == ["CLIP", "R[alpha=0]", "R[alpha=0.2]", "R[alpha=1.0]"]
    assert suite.models["R[alpha=0.2]"] == RAdaptModel.model_validate({**RADAPT, "alpha": 0.2})


def test_several_fields_give_all_combinations(suite_file: Callable[..., Path]) -> None:
    anchors = [{"white": "CLIP"}, {"file": "a"}]
    sweep = {"alpha": [0, 2], "cutoff": [20, None], "anchor": anchors}
    suite = load_suite(suite_file(models=models(sweep=sweep)))
    assert len(suite.models) == 1 + 2 * 2 * 2
    last = suite.models["R[alpha=2,cutoff=none,anchor={file: a}]"]
    assert isinstance(last, RAdaptModel)
    assert (last.alpha, last.cutoff, last.anchor.file) == (2.0, None, "a")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"sweep": {"alpha": [0, 3]}}, ["models.R.sweep.alpha[1]: got 3; "]),
        ({"sweep": {"alpha": [0, 1], "cutoff": [-1]}}, ["models.R.sweep.cutoff[0]: got -1; "]),
        ({"sweep": {"alfa": [0, 1]}}, ["models.R.sweep.alfa: unknown key"]),
        (
            {"sweep": {"base": ["CLIP", "X"]}},
            ["models.R.sweep.base[1]: got 'X'; declared models: CLIP, R[base=CLIP], R[base=X]"],
        ),
        (
            {"sweep": {"anchor": [{"white": "X"}]}},
            ["models.R.sweep.anchor[0].white: got 'X'; declared models: CLIP, R["],
        ),
        ({"sweep": [1]}, ["models.R.sweep: got [1]; a mapping to lists is needed"]),
        ({"sweep": {}}, ["models.R.sweep: got {}; a mapping to lists is needed"]),
        (
            {"sweep": {"alpha": [], "cutoff": 3}, "mix": "stir"},
            [
                "models.R.mix: got 'stir'",
                "models.R.sweep.alpha: got []; a list of at least one value",
                "models.R.sweep.cutoff: got 3; a list of at least one value",
            ],
        ),
        ({"sweep": {"alpha": [1, 1]}}, ["models: 'R[alpha=1]' appears 2 times"]),
        ({"sweep": {"alpha": [0, 1]}, "cutoff": -1}, ["models.R.cutoff: got -1"]),
    ],
)
def test_each_fault_is_told_once(
    suite_file: Callable[..., Path], changes: dict[str, Any], expected: list[str]
) -> None:
    with pytest.raises(SuiteError) as caught:
        load_suite(suite_file(models=models(**changes)))
    faults = caught.value.faults
    assert len(faults) == len(expected), faults
    for fault, beginning in zip(faults, expected, strict=True):
        assert fault.startswith(beginning)


def test_a_field_swept_over_nothing_is_not_called_missing_too(
    suite_file: Callable[..., Path],
) -> None:
    entry = {key: value for key, value in RADAPT.items() if key != "alpha"}
    with pytest.raises(SuiteError) as caught:
        load_suite(suite_file(models={"CLIP": CLIP, "R": {**entry, "sweep": {"alpha": []}}}))
    assert caught.value.faults == (
        "models.R.sweep.alpha: got []; a list of at least one value is needed",
    )


def test_a_name_that_a_sweep_makes_too(suite_file: Callable[..., Path]) -> None:
    swept = {**models(sweep={"alpha": [1]}), "R[alpha=1]": RADAPT}
    with pytest.raises(SuiteError, match=r"models: 'R\[alpha=1\]' appears 2 times"):
        load_suite(suite_file(models=swept))
