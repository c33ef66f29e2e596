"""A small version of `python -m tests.attacks.parity`, whose results are docs/parity.md."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from bench.core.types import Norm
from bench.suite.specs import Ensemble, PyAutoAttack
from tests.attacks import parity
from tests.attacks.parity import FULL_SETTINGS, SETTINGS, Setting, pair, reach

SMALL = {  # attack: its place, and as many images as it can afford
    ("pgd", "tecoa", 10, "linf"): 60,
    ("pgd", "tecoa", 100, "l2"): 60,
    ("mi-fgsm", "tecoa", 10, "linf"): 60,
    ("apgd-ce", "tecoa", 10, "linf"): 60,
    ("apgd-dlr", "fare", 4, "linf"): 60,
    ("apgd-dlr", "fare", 10, "l2"): 50,
    ("apgd-t", "fare", 4, "linf"): 50,
}


def key(setting: Setting) -> tuple[str, str, int, Norm]:
    place = setting.place
    return setting.attack, place.model, place.classes, place.norm


CHOSEN = [setting for setting in SETTINGS if key(setting) in SMALL]


@pytest.mark.parametrize("setting", CHOSEN, ids=lambda s: "-".join(map(str, key(s))))
def test_native_and_reference_agree(setting: Setting) -> None:
    samples = SMALL[key(setting)]
    native, reference = (reach(setting, attack, samples).correct for attack in pair(setting))
    assert 0.2 <= reference.mean() <= 0.8  # agreement at 0 or 100% would prove nothing
    assert abs(int(native.sum()) - int(reference.sum())) <= 2
    assert (native == reference).mean() >= 0.97


def test_the_ensemble_of_fares_preset_and_the_official_one_agree() -> None:
    """As in the preset but for the steps: 5 restarts of APGD-CE, then 9 targets."""
    setting = next(s for s in SETTINGS if key(s) == ("apgd-ce", "tecoa", 10, "linf"))
    eps, steps = (setting.place.eps,), 6
    members = [
        {"kind": "apgd-ce", "restarts": 5, "steps": steps},
        {"kind": "apgd-t", "steps": steps},
    ]
    ours = Ensemble.model_validate({"kind": "ensemble", "eps": eps, "attacks": members})
    official = PyAutoAttack(
        kind="pyautoattack", eps=eps, attack=("apgd-ce", "apgd-t"), steps=steps, restarts=5
    )
    native, reference = (reach(setting, attack, 50).correct for attack in (ours, official))
    assert 0.2 <= reference.mean() <= 0.8
    assert abs(int(native.sum()) - int(reference.sum())) <= 2
    assert (native == reference).mean() >= 0.97


def test_the_settings_meet_every_number_of_classes() -> None:
    assert len(CHOSEN) == len(SMALL)
    seen = {(setting.attack, setting.place.classes) for setting in SETTINGS}
    for attack in ("pgd", "mi-fgsm", "apgd-ce", "apgd-dlr", "apgd-t"):
        least = 4 if attack in ("apgd-dlr", "apgd-t") else 2
        assert {n for name, n in seen if name == attack} == {
            n for n in (2, 4, 10, 100) if n >= least
        }


def test_only_a_run_on_all_images_writes_the_page_and_its_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, setting in (("SETTINGS", CHOSEN[0]), ("FULL_SETTINGS", FULL_SETTINGS[0])):
        monkeypatch.setattr(parity, name, (replace(setting, steps=2),))
    monkeypatch.setattr(parity, "PAGE", tmp_path / "parity.md")
    monkeypatch.setattr(parity, "DATA", tmp_path)
    parity.main(["--samples", "10"])
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr(parity, "SAMPLES", 10)
    parity.main([])
    attacks, crafts = (pd.read_csv(tmp_path / f"parity-{n}.csv") for n in ("attacks", "crafts"))
    assert attacks["images"].tolist() == [10]
    assert crafts["attack"].tolist() == ["native", "reference again", "PGD"]
    page = (tmp_path / "parity.md").read_text().splitlines()
    assert page[0] == "# Parity with the reference implementations"
    (row,) = attacks.itertuples()
    assert f"| 1 | {row.robust_apart} | {row.agreement:.1%} |" in "\n".join(page)
    assert len([line for line in page if line.startswith("|")]) == (2 + 1) + (2 + 3)


def test_the_page_is_that_of_the_committed_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    committed = parity.PAGE.read_text()
    monkeypatch.setattr(parity, "PAGE", tmp_path / "parity.md")
    tables = (pd.read_csv(parity.DATA / f"parity-{n}.csv") for n in ("attacks", "crafts"))
    assert parity.write_page(*tables).read_text() == committed


def test_full_crafts_reach_the_losses_of_the_reference() -> None:
    setting = FULL_SETTINGS[3]  # the largest budget: weaker attacks fall short of it most
    native, reference = (reach(setting, attack, 50) for attack in pair(setting))
    assert native.loss.mean() >= 0.998 * reference.loss.mean()
    assert (native.loss >= reference.loss).mean() >= 0.35  # PGD with these steps: 0.0
    assert abs(int(native.correct.sum()) - int(reference.correct.sum())) <= 2
