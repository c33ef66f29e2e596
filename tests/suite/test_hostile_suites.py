"""Random faults in valid suites: exit code 0 or 2, and a message with the key path."""

from pathlib import Path

import pytest

from bench.commands.main import main
from tests.fuzz.check import fault_of
from tests.fuzz.suites import CLASSIFICATION, LANGUAGE, hostile_suites


@pytest.mark.parametrize("seed", range(4))
def test_hostile_suites_are_refused_in_plain_words(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for suite, changed in hostile_suites(100, seed):
        fault = fault_of(suite, tmp_path, lambda: tuple(capsys.readouterr()))
        assert fault is None, (changed, fault)


@pytest.mark.parametrize("suite", [CLASSIFICATION, LANGUAGE])
def test_they_are_made_of_valid_suites(
    suite: dict[str, object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fault_of(suite, tmp_path, lambda: tuple(capsys.readouterr())) is None
    assert main(["plan", str(tmp_path / "hostile.yaml")]) == 0


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("{path}: 1 fault\n  samples: got 0; Input should be above 0", "'Input should' in"),
        ("{path}: 1 fault\n  it is wrong", "names no key"),
        ("somewhere: 1 fault\n  samples: got 0", "names no file"),
    ],
)
def test_an_unclear_message_is_found(
    message: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.fuzz.check.main", lambda arguments: 2)
    told = message.format(path=tmp_path / "hostile.yaml")
    fault = fault_of(CLASSIFICATION, tmp_path, lambda: ("", told))
    assert fault is not None
    assert expected in fault
