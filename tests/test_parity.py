"""A small version of `python -m tests.parity`, whose full tables are docs/parity.md."""

import pytest

from tests.parity import FULL_SETTINGS, SETTINGS, Setting, pair, reach


@pytest.mark.parametrize("setting", [SETTINGS[1], SETTINGS[5]], ids=lambda s: s.attack)
def test_native_and_reference_agree(setting: Setting) -> None:
    native, reference = (reach(setting, attack, 150).correct for attack in pair(setting))
    assert 0.2 <= reference.mean() <= 0.8  # agreement at 0 or 100% would prove nothing
    assert abs(int(native.sum()) - int(reference.sum())) <= 2
    assert (native == reference).mean() >= 0.97


def test_full_crafts_reach_the_losses_of_the_reference() -> None:
    setting = FULL_SETTINGS[3]  # the largest budget: weaker attacks fall short of it most
    native, reference = (reach(setting, attack, 100) for attack in pair(setting))
    assert native.loss.mean() >= 0.998 * reference.loss.mean()
    assert (native.loss >= reference.loss).mean() >= 0.35  # PGD with these steps: 0.0
    assert abs(int(native.correct.sum()) - int(reference.correct.sum())) <= 2
