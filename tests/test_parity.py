"""A small version of `python -m tests.parity`, whose full table is docs/parity.md."""

import pytest

from tests.parity import SETTINGS, Setting, survivors


@pytest.mark.parametrize("setting", [SETTINGS[1], SETTINGS[5]], ids=lambda s: s.attack)
def test_native_and_reference_agree(setting: Setting) -> None:
    native, reference = survivors(setting, 150)
    assert 0.2 <= reference.mean() <= 0.8  # agreement at 0 or 100% would prove nothing
    assert abs(int(native.sum()) - int(reference.sum())) <= 2
    assert (native == reference).mean() >= 0.97
