"""What papers did, as one line among a suite's attacks: `{preset: fare-paper, eps: 4/255}`."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

KEY = "preset"
_OWN = (KEY, "eps", "norm")

# Schlarmann et al. 2024 (arXiv:2402.12336), as their code of vision-language models has it: 100
# iterations against each of 5 texts in half precision, then in single precision from the best
# point, each where the last left a score above the threshold. Their half precision is float16
# where this is bfloat16; their step begins at eps where Auto-PGD's own, which this has, begins at
# 2 eps; their start is the image where this is a random point of the ball.
_REFERENCES: Mapping[str, Any] = {"kind": "apgd-text", "references": 5}
_CAPTIONS: Mapping[str, Any] = {**_REFERENCES, "precision": "bf16"}


def _answers(name: str, *targets: str) -> Sequence[Mapping[str, Any]]:
    """Return their ensemble for questions, which ends with targets in single precision."""
    towards = [{"kind": "apgd-text-targeted", "target": target} for target in targets]
    own = {"kind": "ensemble", "name": name, "precision": "bf16"}
    return [{**own, "attacks": [dict(_REFERENCES), *towards]}]


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
    "robustvlm-coco": [{**_CAPTIONS, "name": "robustvlm-coco", "threshold": 0.1}],
    "robustvlm-flickr30k": [{**_CAPTIONS, "name": "robustvlm-flickr30k", "threshold": 0.02}],
    "robustvlm-vqa": _answers("robustvlm-vqa", "maybe", "Word"),
    "robustvlm-textvqa": _answers("robustvlm-textvqa", "maybe"),
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
