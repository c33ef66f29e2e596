"""What the findings of a whole suite mean together: causes, remarks, and multiple testing.

A check judges by itself. Here a finding loses its weight for one of these reasons. The model gives
one answer for all images, which explains every other failure. The model hides its gradient, is
random, or was attacked without knowledge of its defence, but an attack that does without the
gradient, averages, or knows the defence reaches the reported number, so the number stands. Or the
finding is what chance alone brings about among all tests of a suite.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from bench.stats import LEVEL, benjamini_hochberg
from bench.trust.findings import Examined, Finding
from bench.trust.reported_number import Pair
from bench.trust.significance import MATERIAL

# checks of how an attack can follow the model, not of how low an attack brings the number
OF_GRADIENTS = (
    *("gradients", "saturation", "finite-differences", "random-directions", "ascent"),
    *("cut-gradient", "huge-budget"),
)
# checks that attack the images which survive the reported attack
OF_NUMBERS = (
    *("noise", "other-loss", "transferred", "transfer", "stand-in", "more-steps"),
    *("more-restarts", "draws", "square"),
)
_BAD = ("warn", "fail")


def conclude(examined: Mapping[Pair, Examined]) -> dict[Pair, Examined]:
    """Return the findings of a suite, where each verdict takes account of the other findings.

    Among all tests of the suite the rate of false discoveries is kept at `LEVEL` (Benjamini and
    Hochberg 1995). So if all models are honest, the probability of any doubt is at most `LEVEL`.
    """
    p_values = {
        (pair, place): found.p
        for pair, record in examined.items()
        for place, found in enumerate(record.findings)
        if found.p is not None
    }
    adjusted = dict(zip(p_values, benjamini_hochberg([*p_values.values()]), strict=True))
    unlikely = f"not significant among the {len(p_values)} tests of the suite"
    concluded = {}
    for pair, record in examined.items():
        weighed = [
            _remark(found, unlikely)
            if found.verdict in _BAD and adjusted.get((pair, place), 0.0) >= LEVEL
            else found
            for place, found in enumerate(record.findings)
        ]
        concluded[pair] = replace(record, findings=tuple(explain(weighed)))
    return concluded


def explain(findings: Sequence[Finding]) -> list[Finding]:
    """Return the findings of one model and dataset, where those that another explains say so."""
    by_check = {found.check: found for found in findings}
    chance = by_check.get("chance")
    if chance and chance.verdict in _BAD and chance.numbers.get("answers") == 1:
        why = "the model gives one answer for all images: see `chance`"
        return [
            replace(found, verdict="skip", evidence=why)
            if found.verdict in _BAD and found is not chance
            else found
            for found in findings
        ]
    reasons: dict[str, str] = {}
    if reached := _number_without_gradient(by_check):
        reasons |= dict.fromkeys(OF_GRADIENTS, reached)
    if averaged := _number_with_draws(by_check):
        reasons["stochastic"] = averaged
    if white_box := _number_with_knowledge(by_check):
        reasons["non-adaptive"] = white_box
    return [
        _remark(found, reasons[found.check])
        if found.verdict in _BAD and found.check in reasons
        else found
        for found in findings
    ]


def _number_without_gradient(by_check: Mapping[str, Finding]) -> str:
    """Return that an attack without the model's gradient reaches the number, or nothing.

    The attack must be strong on this model: it breaks at least half of the images, and alone it
    comes within `MATERIAL` of the reported number. No other attack may lower the number.
    """
    found = by_check.get("stand-in")
    attacks = [by_check[check] for check in OF_NUMBERS if check in by_check]
    square = by_check.get("square")
    if found is None or square is None or square.verdict == "skip" or not found.numbers:
        return ""
    if any(item.verdict in _BAD for item in attacks):
        return ""
    stood, alone, clean, images = (found.numbers[k] for k in ("stood", "alone", "clean", "images"))
    if 2 * stood > clean or alone - stood > MATERIAL * images:
        return ""
    return (
        f"but the number stands: {stood / images:.1%} is reported, and an attack that does not "
        f"need this gradient leaves {alone / images:.1%}"
    )


def _number_with_knowledge(by_check: Mapping[str, Finding]) -> str:
    """Return that a white-box attack leaves a transfer number, up to `MATERIAL`, or nothing.

    The white-box attack must have the best gradient, and no other attack may lower the number.
    """
    found = by_check.get("transferred")
    if found is None or found.verdict != "pass" or not found.numbers:
        return ""
    others = [by_check[check] for check in ("cut-gradient", *OF_NUMBERS) if check in by_check]
    if any(item.verdict in _BAD for item in others):
        return ""
    lost = found.numbers["transferred"] - found.numbers["white_box"]
    return f"but the number stands: {found.evidence}" if lost <= MATERIAL else ""


def _number_with_draws(by_check: Mapping[str, Finding]) -> str:
    """Return that the randomness of a defence does not raise its number, or nothing.

    Either the reported attack averages over enough passes, or an attack that does leaves no less
    than the reported number, up to `MATERIAL`.
    """
    found = by_check.get("draws")
    if found is None or found.verdict != "pass":
        return ""
    numbers = found.numbers
    if numbers and numbers["stood"] - numbers["alone"] > MATERIAL * numbers["images"]:
        return ""
    return f"but {found.evidence}"


def _remark(found: Finding, why: str) -> Finding:
    return replace(found, verdict="remark", evidence=f"{found.evidence}; {why}")
