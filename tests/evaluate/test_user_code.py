"""Models of the user's own code: what it may do to a run, and what is done to its modules."""

from collections.abc import Callable
from pathlib import Path

import pytest

from bench import load_results
from bench.run.suite_run import run_suite
from bench.suite.load import load_suite

EXITS = """
import argparse, sys, torch
class Model:
    logit_scale = 1.0
    def __init__(self, device): pass
    def encode_image(self, images): sys.exit("no images today")
    def encode_text(self, texts): return torch.ones(len(texts), 3)
def build(device): sys.exit(0)
def options(device): argparse.ArgumentParser().parse_args(["--what"])
"""


def test_code_that_calls_exit_fails_its_cells_alone(
    suite_file: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exit at import, in the factory and in a method; the last model is still computed."""
    (tmp_path / "exits_later.py").write_text(EXITS)
    (tmp_path / "exits_at_import.py").write_text("import sys\nsys.exit(3)\n")
    monkeypatch.syspath_prepend(tmp_path)
    targets = ("exits_at_import:m", "exits_later:build", "exits_later:options", "exits_later:Model")
    models = {target[6:]: {"kind": "python", "target": target} for target in targets}
    suite = load_suite(
        suite_file(
            models={**models, "CLIP": {"kind": "nano", "weights": "clip"}},
            attacks=[{"kind": "pgd", "eps": "1/255", "steps": 1}],
            threats=["white-box"],
            samples=4,
        )
    )
    report = run_suite(suite, results=tmp_path / "results", trust=True)
    frame = load_results(report.folder)
    status = frame.groupby("model")["status"].agg(set).to_dict()
    assert status.pop("CLIP") == {"ok"}
    assert list(status.values()) == [{"failed"}] * 4
    reasons = frame.groupby("model")["reason"].agg(set).to_dict()
    told = "code of the model called exit: SystemExit: "
    assert reasons["at_import:m"] == {f"{told}3"}
    assert reasons["later:build"] == {f"{told}0"}
    assert reasons["later:options"] == {f"{told}2"}
    assert reasons["later:Model"] == {f"{told}no images today"}


def test_ctrl_c_in_a_model_still_stops_the_run(
    suite_file: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "interrupted.py").write_text("def build(device): raise KeyboardInterrupt\n")
    monkeypatch.syspath_prepend(tmp_path)
    own = {"kind": "python", "target": "interrupted:build"}
    suite = load_suite(suite_file(models={"M": own}, attacks=None, threats=["white-box"]))
    with pytest.raises(KeyboardInterrupt):
        run_suite(suite, results=tmp_path / "results", trust=True)
