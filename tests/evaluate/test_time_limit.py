"""`--limit` ends a cell wherever it is: each slow step takes a second, by a clock of the tests."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.core.types import CellResult
from bench.plan.cells import Cell
from bench.suite.load import load_suite
from tests.evaluate.test_evaluate import evaluator
from tests.models.test_models import Own
from tests.support.clock import CLOCK, Clock

Write = Callable[..., Path]
PGD = {"kind": "pgd", "eps": ["1/255", "2/255"], "steps": 4, "nested": True}


class Slow(Own):
    """Takes a second for what it is told."""

    slow = ("image", "text", "build")

    def __init__(self, device: torch.device, width: int, slow: list[str]) -> None:
        super().__init__(device, width)
        self.slow = tuple(slow)
        self._take("build")

    def _take(self, what: str) -> None:
        if what in self.slow:
            CLOCK.sleep(1.0)

    def encode_image(self, images: Tensor) -> Tensor:
        self._take("image")
        return super().encode_image(images)

    def encode_text(self, texts: list[str]) -> Tensor:
        self._take("text")
        return super().encode_text(texts)


def slow(*what: str) -> dict[str, Any]:
    target = "tests.evaluate.test_time_limit:Slow"
    return {"kind": "python", "target": target, "args": {"width": 4, "slow": [*what]}}


def ended(
    write: Write, root: Path, limit: float, choose: Callable[[Cell], bool], **changes: Any
) -> CellResult:
    """Compute the first cell that is chosen, and return its result."""
    suite = load_suite(write(**{"threats": ["white-box"], **changes}))
    evaluate, cells = evaluator(suite, root, trust=True, limit=limit)
    return evaluate(next(filter(choose, cells)))


def test_within_the_texts_of_the_classes(
    suite_file: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    monkeypatch.setattr("bench.models.zero_shot._TEXTS_AT_ONCE", 1)
    result = ended(suite_file, tmp_path, 2.5, lambda cell: True, models={"M": slow("text")})
    assert "more than the 2.5 seconds of --limit" in str(result.reason)
    assert clock.now == 3


def test_between_the_models_of_a_cell(suite_file: Write, tmp_path: Path, clock: Clock) -> None:
    given = {"models": {name: slow("build") for name in "ABCD"}, "attacks": [PGD]}
    threat = {"transfer": ["A", "B", "C"]}
    result = ended(
        suite_file, tmp_path, 1.5, lambda cell: cell.target == "D" and cell.attack is not None,
        threats=[threat], **given,
    )  # fmt: skip
    assert "more than the 1.5 seconds of --limit" in str(result.reason)
    assert clock.now == 2


def test_within_the_passes_of_a_defence(suite_file: Write, tmp_path: Path, clock: Clock) -> None:
    models = {"M": slow("image"), "D": {"kind": "anti-adversary", "base": "M", "steps": 50}}
    result = ended(suite_file, tmp_path, 5.5, lambda cell: cell.target == "D", models=models)
    assert "more than the 5.5 seconds of --limit" in str(result.reason)
    assert clock.now == 6


def test_a_smaller_budget_takes_from_the_same_time(
    suite_file: Write, tmp_path: Path, clock: Clock
) -> None:
    def larger(cell: Cell) -> bool:
        return cell.below is not None

    given = {"models": {"M": slow("image")}, "attacks": [PGD]}
    patient = ended(suite_file, tmp_path / "patient", 1000, larger, **given)
    needed = clock.now
    assert patient.status == "ok"
    result = ended(suite_file, tmp_path / "hasty", needed - 1.5, larger, **given)
    assert "of --limit" in str(result.reason)
