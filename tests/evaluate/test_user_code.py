"""Models of the user's own code: what it may do to a run, and what is done to its modules."""

import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench import load_results
from bench.models import build_model
from bench.models.batch_dependence import require_independence
from bench.run.suite_run import run_suite
from bench.suite.load import load_suite
from bench.suite.specs import NanoModel, PythonModel

CPU = torch.device("cpu")
CLIP = NanoModel(kind="nano", weights="clip")

EXITS = """
import argparse, os, sys, torch
class Model:
    logit_scale = 1.0
    def __init__(self, device): pass
    def encode_image(self, images): sys.exit("no images today")
    def encode_text(self, texts): return torch.ones(len(texts), 3)
def build(device): sys.exit(0)
def at_once(device): os._exit(0)
def options(device): argparse.ArgumentParser().parse_args(["--what"])
"""


def test_code_that_calls_exit_fails_its_cells_alone(
    suite_file: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exit at import, in factories and in a method; the last model is still computed."""
    (tmp_path / "exits_later.py").write_text(EXITS)
    (tmp_path / "exits_at_import.py").write_text("import sys\nsys.exit(3)\n")
    monkeypatch.syspath_prepend(tmp_path)
    targets = (
        "exits_at_import:m",
        "exits_later:build",
        "exits_later:options",
        "exits_later:Model",
        "exits_later:at_once",
    )
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
    assert list(status.values()) == [{"failed"}] * 5
    # without the path of the traceback, which differs from run to run
    frame["reason"] = frame["reason"].str.partition("; traceback: ")[0]
    reasons = frame.groupby("model")["reason"].agg(set).to_dict()
    told = "code of the model called exit: SystemExit: "
    assert reasons["at_import:m"] == {f"{told}3"}
    assert reasons["later:build"] == {f"{told}0"}
    assert reasons["later:at_once"] == {f"{told}0"}
    assert reasons["later:options"] == {f"{told}2"}
    assert reasons["later:Model"] == {f"{told}no images today"}


SIGNALS = """
import signal, torch
class Model:
    logit_scale = 1.0
    def __init__(self, device):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.alarm(1000)
    def encode_image(self, images): signal.raise_signal(signal.SIGALRM)
    def encode_text(self, texts): return torch.ones(len(texts), 3)
"""


def test_signals_of_a_model_fail_its_cells_alone(
    suite_file: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sets_timers.py").write_text(SIGNALS)
    monkeypatch.syspath_prepend(tmp_path)
    own = {"kind": "python", "target": "sets_timers:Model"}
    models = {"M": own, "CLIP": {"kind": "nano", "weights": "clip"}}
    suite = load_suite(suite_file(models=models, attacks=None, threats=None, samples=4))
    before = signal.getsignal(signal.SIGINT)
    report = run_suite(suite, results=tmp_path / "results", trust=True)
    frame = load_results(report.folder).set_index("model")
    assert frame.loc["CLIP", "status"] == "ok"
    assert "set a timer that ran out (SIGALRM)" in frame.loc["M", "reason"]
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_in_a_model_still_stops_the_run(
    suite_file: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "interrupted.py").write_text("def build(device): raise KeyboardInterrupt\n")
    monkeypatch.syspath_prepend(tmp_path)
    own = {"kind": "python", "target": "interrupted:build"}
    suite = load_suite(suite_file(models={"M": own}, attacks=None, threats=["white-box"]))
    with pytest.raises(KeyboardInterrupt):
        run_suite(suite, results=tmp_path / "results", trust=True)


class Listing(nn.Module):
    """A module that does not register the modules of its list, and whose `eval` returns nothing."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.all = [inner]

    def eval(self) -> None:  # type: ignore[override]
        super().eval()


class Slots:
    """An object without a dictionary."""

    __slots__ = ("inner",)

    def __init__(self, inner: object) -> None:
        self.inner = inner


HOLDING: dict[str, Callable[[nn.Module], Any]] = {
    "attribute": lambda inner: SimpleNamespace(model=inner),
    "nested": lambda inner: SimpleNamespace(parts={"a": [1, ("x", Slots({"b": inner}))]}),
    "method": lambda inner: SimpleNamespace(encode=inner.forward),
    "partial": lambda inner: SimpleNamespace(encode=partial(lambda m, x: m(x), inner)),
    "closure": lambda inner: SimpleNamespace(encode=lambda x: inner(x)),
    "class": lambda inner: type("Own", (), {"model": inner})(),
    "unregistered": Listing,
}


@pytest.mark.parametrize("way", HOLDING)
def test_modules_are_found_wherever_a_model_holds_them(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 3))
    model = HOLDING[way](inner)
    model.encode_image = model.encode_text = None
    model.logit_scale = 1.0
    model.itself = [model]  # a cycle
    monkeypatch.setattr(sys.modules[__name__], "made", lambda device: model, raising=False)
    spec = PythonModel(kind="python", target=f"{__name__}:made")
    build_model(spec, CPU, {}.__getitem__, trust=True)
    assert not any(module.training for module in inner.modules())
    assert not any(parameter.requires_grad for parameter in inner.parameters())


NORMALISED = """
import torch
from bench.models import build_model
from bench.suite.specs import NanoModel

class Normalised(torch.nn.Module):
    def __init__(self):
        super().__init__()
        spec = NanoModel(kind="nano", weights="clip")
        self.clip = build_model(spec, torch.device("cpu"), None)
        self.norm = torch.nn.BatchNorm2d(3)
        self.logit_scale = self.clip.logit_scale
        self.encode_text = self.clip.encode_text
    def encode_image(self, images): return self.clip.encode_image(self.norm(images))

class Plain:
    def __init__(self, model):
        self.model, self.logit_scale = model, model.logit_scale
        self.encode_image, self.encode_text = model.encode_image, model.encode_text

LOST = Normalised()
class Global:
    logit_scale = LOST.logit_scale
    def encode_image(self, images): return LOST.encode_image(images)
    def encode_text(self, texts): return LOST.encode_text(texts)

def build(device, how):
    return {"module": Normalised, "plain": lambda: Plain(Normalised()), "global": Global}[how]()
"""


def test_a_model_in_training_mode_is_no_number(
    suite_file: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plain object is evaluated like a module; modules that are not found fail their cells."""
    (tmp_path / "normalised.py").write_text(NORMALISED)
    monkeypatch.syspath_prepend(tmp_path)
    own = {"kind": "python", "target": "normalised:build"}
    models = {how: {**own, "args": {"how": how}} for how in ("module", "plain", "global")}
    attacks = [{"kind": "pgd", "eps": "1/255", "steps": 1}]
    suite = load_suite(
        suite_file(models=models, attacks=attacks, threats=["white-box"], samples=16)
    )
    report = run_suite(suite, results=tmp_path / "results", trust=True)
    rows = load_results(report.folder).groupby("model")
    assert set(rows.get_group("global")["status"]) == {"failed"}
    (told,) = set(rows.get_group("global")["reason"])
    assert "'global' depends on its batch" in told
    assert "not training mode" in told
    module, plain = rows.get_group("module"), rows.get_group("plain")
    assert set(module["status"]) == set(plain["status"]) == {"ok"}
    assert module["value"].tolist() == plain["value"].tolist()


class Honest:
    """The embedded CLIP in another precision, or with random noise on its images."""

    logit_scale = 1.0

    def __init__(self, dtype: torch.dtype, noise: float) -> None:
        self.dtype, self.noise = dtype, noise
        self.clip = build_model(CLIP, CPU, {}.__getitem__)

    def encode_image(self, images: Tensor) -> Tensor:
        images = images + self.noise * torch.randn_like(images)
        with torch.autocast("cpu", self.dtype, enabled=self.dtype != torch.float32):
            return self.clip.encode_image(images).to(self.dtype)

    def encode_text(self, texts: Sequence[str]) -> Tensor:
        return self.clip.encode_text(texts)


@pytest.mark.parametrize(
    ("dtype", "noise"),
    [(torch.float32, 0.0), (torch.bfloat16, 0.0), (torch.float16, 0.0), (torch.float32, 0.5)],
)
def test_rounding_and_randomness_are_no_dependence_on_the_batch(
    dtype: torch.dtype, noise: float
) -> None:
    image = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(0))
    model = Honest(dtype, noise)
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    require_independence(model.encode_image, image, "M")
    assert torch.equal(torch.rand(1), expected)  # the run's random numbers stay as they were
