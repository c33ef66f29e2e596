"""What papers did, as one line among a suite's attacks: `{preset: fare-paper, eps: 4/255}`."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

KEY = "preset"
_OWN = (KEY, "eps", "norm")

ATTACK_PRESETS: Mapping[str, Sequence[Mapping[str, Any]]] = {
    # Schlarmann et al. 2024 (arXiv:2402.12336) name 100 iterations of APGD-CE and APGD-T;
    # their code calls AutoAttack's `custom`, in which APGD-CE has 5 restarts.
    "fare-paper": [
        {
            "kind": "ensemble",
            "name": "fare-paper",
            "attacks": [{"kind": "apgd-ce", "restarts": 5}, {"kind": "apgd-t"}],
        }
    ],
    # R-Adapt (arXiv:2603.12799) states none; these are the settings of its authors' CSR code.
    "radapt-paper": [
        {"kind": "pgd", "name": "PGD-10"},
        {"kind": "cw", "name": "C&W-30"},
        {
            "kind": "pgd",
            "name": "APGD-30",
            "steps": 30,
            "step": 60,  # begins at 2 eps
            "halve": [0.22, 0.48, 0.78],
            "keep": "best",
        },
    ],
    "standard": [{"kind": "pyautoattack", "name": "standard", "attack": "standard"}],
}


def expand_attacks(entries: Sequence[Any]) -> Iterator[tuple[int, Any]]:
    """Yield each attack that the entries stand for, with its entry's place.

    An entry whose preset is at fault is left out; `preset_faults` tells of it.
    """
    for place, entry in enumerate(entries):
        if not isinstance(entry, dict) or KEY not in entry:
            yield place, entry
        elif not list(_faults(place, entry)):
            given = {key: value for key, value in entry.items() if key != KEY}
            for attack in ATTACK_PRESETS[entry[KEY]]:
                yield place, {**attack, **given}


def preset_faults(entries: Sequence[Any]) -> Iterator[str]:
    """Say what is wrong with the presets themselves; radii are checked as any other's."""
    for place, entry in enumerate(entries):
        if isinstance(entry, dict) and KEY in entry:
            yield from _faults(place, entry)


def _faults(place: int, entry: Mapping[Any, Any]) -> Iterator[str]:
    name = entry[KEY]
    if not isinstance(name, str) or name not in ATTACK_PRESETS:
        yield f"attacks.{place}.{KEY}: got {name!r}; allowed: {', '.join(ATTACK_PRESETS)}"
    for key in entry:
        if key not in _OWN:
            yield f"attacks.{place}.{key}: a preset fixes it; allowed keys: {', '.join(_OWN)}"
