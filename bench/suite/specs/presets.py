"""Presets of attacks with the settings of papers: `{preset: fare-paper, eps: 4/255}`."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bench.core.suggestions import listed

KEY = "preset"
_ALLOWED_KEYS = (KEY, "eps", "norm")

# Schlarmann et al. 2024 (arXiv:2402.12336), as in their code of vision-language models: 100
# iterations against each of 5 texts in half precision, then in single precision from the best
# point. Each stage attacks only images whose score is above the threshold. Three details differ:
# half precision is float16 there and bfloat16 here; the first step is eps there and 2 eps here, as
# in Auto-PGD; the start is the clean image there and a random point of the ball here.
_REFERENCES: Mapping[str, Any] = {"kind": "apgd-text", "references": 5}
_CAPTIONS: Mapping[str, Any] = {**_REFERENCES, "precision": "bf16"}


def _answers(name: str, *targets: str) -> Sequence[Mapping[str, Any]]:
    """Return RobustVLM's ensemble for questions, whose targeted attacks run in fp32 only.

    Args:
        name: Name of the ensemble in tables.
        targets: Target answers.
    """
    targeted = [{"kind": "apgd-text-targeted", "target": target} for target in targets]
    ensemble = {"kind": "ensemble", "name": name, "precision": "bf16"}
    return [{**ensemble, "attacks": [dict(_REFERENCES), *targeted]}]


def _custom(name: str) -> Sequence[Mapping[str, Any]]:
    """Return AutoAttack's version `custom` with APGD-CE and APGD-T, where APGD-CE has 5 restarts.

    Args:
        name: Name of the ensemble in tables.
    """
    members = [{"kind": "apgd-ce", "restarts": 5}, {"kind": "apgd-t"}]
    return [{"kind": "ensemble", "name": name, "attacks": members}]


# Athalye et al. 2018 (arXiv:1802.00420) and Tramer et al. 2020 (arXiv:2002.08347): the gradient of
# the defence, stand-ins where it may be cut, images made on the base, which is the threat model of
# most papers on test-time defences, and an attack without gradients.
_ADAPTIVE: Mapping[str, Mapping[str, Any]] = {
    "own": {},  # exact, or straight-through if the defence has no derivative
    "identity": {"backward": {"without": "unrolling"}},
    "base": {"backward": {"without": "defence"}},
    "transfer": {"source": "base"},
}


def _adaptive() -> Mapping[str, Any]:
    """Return attacks on a test-time defence, each on the images that withstood the earlier ones.

    Members that need a base or a stand-in that the model does not have are left out.
    """
    gradients = [{"kind": "apgd-ce", "name": name, **how} for name, how in _ADAPTIVE.items()]
    square = {"kind": "pyautoattack", "name": "square", "attack": "square"}
    members = [*gradients, square]
    return {"kind": "ensemble", "name": "adaptive", "eot": "model", "attacks": members}


ATTACK_PRESETS: Mapping[str, Sequence[Mapping[str, Any]]] = {
    # Schlarmann et al. 2024 (arXiv:2402.12336) state 100 iterations of APGD-CE and APGD-T. Their
    # code calls AutoAttack's version `custom`, as do the two papers after it.
    "fare-paper": _custom("fare-paper"),
    # Zhang et al. 2025 (arXiv:2502.18176), which attacks CLIPure with CLIPure's own gradient.
    "clipure-paper": _custom("clipure-paper"),
    # Abad Rocamora et al. 2025 (arXiv:2506.03355), on images.
    "leaf-paper": _custom("leaf-paper"),
    # Xing et al. 2025 (arXiv:2503.03613), as in their code: transfer from the undefended CLIP.
    # AutoAttack is its version `standard` with two attacks, which have one restart each.
    "ttc-paper": [
        {"kind": "pgd", "name": "TTC-PGD-10", "steps": 10, "step_size": "1/255"},
        {"kind": "cw", "name": "TTC-C&W-10", "steps": 10, "step_size": "1/255", "kappa": 50},
        {
            "kind": "ensemble",
            "name": "TTC-AutoAttack",
            "attacks": [{"kind": "apgd-ce"}, {"kind": "apgd-dlr"}],
        },
    ],
    # Yu et al. 2024 (arXiv:2410.21802), as in their code.
    "tga-paper": [{"kind": "pgd", "name": "PGD-100", "steps": 100, "step_size": "1/255"}],
    # Sheng et al. 2025 (arXiv:2504.11195), as in their code: transfer from CLIP; steps of eps / 4.
    "r-tpt-paper": [{"kind": "pgd", "name": "PGD-7", "steps": 7, "step": 1.75}],
    # R-Adapt (arXiv:2603.12799) states no settings; these are of the code of CSR, by its authors.
    "radapt-paper": [
        {"kind": "pgd", "name": "PGD-10"},
        {"kind": "cw", "name": "C&W-30"},
        {
            "kind": "pgd",
            "name": "APGD-30",
            "steps": 30,
            "step": 60,  # the first step is 2 eps
            "halve": [0.22, 0.48, 0.78],
            "keep": "best",
        },
    ],
    "robustvlm-coco": [{**_CAPTIONS, "name": "robustvlm-coco", "threshold": 0.1}],
    "robustvlm-flickr30k": [{**_CAPTIONS, "name": "robustvlm-flickr30k", "threshold": 0.02}],
    "robustvlm-vqa": _answers("robustvlm-vqa", "maybe", "Word"),
    "robustvlm-textvqa": _answers("robustvlm-textvqa", "maybe"),
    "standard": [{"kind": "pyautoattack", "name": "standard", "attack": "standard"}],
    "adaptive": [_adaptive()],
}


def expand_attacks(entries: Sequence[Any]) -> Iterator[tuple[int, Any]]:
    """Yield each attack, presets expanded, after the index of its entry.

    An entry with an invalid preset is left out; `preset_faults` reports it.
    """
    for place, entry in enumerate(entries):
        if not isinstance(entry, dict) or KEY not in entry:
            yield place, entry
        elif not list(_faults(place, entry)):
            given = {key: value for key, value in entry.items() if key != KEY}
            for attack in ATTACK_PRESETS[entry[KEY]]:
                yield place, {**attack, **given}


def preset_faults(entries: Sequence[Any]) -> Iterator[str]:
    """Yield the faults of entries with a preset; radii are checked with the expanded attacks."""
    for place, entry in enumerate(entries):
        if isinstance(entry, dict) and KEY in entry:
            yield from _faults(place, entry)


def _faults(place: int, entry: Mapping[Any, Any]) -> Iterator[str]:
    name = entry[KEY]
    if not isinstance(name, str) or name not in ATTACK_PRESETS:
        yield f"attacks.{place}.{KEY}: got {name!r}; allowed: {listed(name, ATTACK_PRESETS)}"
    for key in entry:
        if key not in _ALLOWED_KEYS:
            allowed = ", ".join(_ALLOWED_KEYS)
            yield f"attacks.{place}.{key}: the preset fixes it; allowed keys: {allowed}"
