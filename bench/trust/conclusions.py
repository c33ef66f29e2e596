"""What the findings of a whole suite mean together: causes, remarks, and multiple testing.

A check judges by itself. Here a finding loses its weight for one of three reasons. The model gives
one answer for all images, which explains every other failure. The model hides its gradient, but
an attack that does not need the gradient reaches the reported number, so the number stands. Or the
finding is what chance alone brings about among all tests of a suite.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from bench.stats import LEVEL, benjamini_hochberg
from bench.trust.findings import Examined, Finding
from bench.trust.reported_number import Pair
from bench.trust.significance import MATERIAL

# checks of how an attack can follow the model, not of how low an attack brings the number
OF_GRADIENTS = (
    *("gradients", "saturation", "finite-differences", "random-directions", "ascent"),
    "huge-budget",
)
# checks that attack the images which survive the reported attack
OF_NUMBERS = (
    *("noise", "other-loss", "transferred", "transfer", "stand-in", "more-steps"),
    *("more-restarts", "square"),
)
_BAD = ("warn", "fail")


def conclude(examined: Mapping[Pair, Examined]) -> dict[Pair, Examined]:
    """Return the findings of a suite, where each verdict takes account of the other findings.

    Among all tests of the suite the rate of false discoveries is kept at `LEVEL` (Benjamini and
    Hochberg 1995). So if all models are honest, the probability of any doubt is at most `LEVEL`.
    """
    adjusted = iter(
        benjamini_hochberg([found.p for found in _all(examined.values()) if found.p is not None])
    )
    tests = sum(found.p is not None for found in _all(examined.values()))

    def weigh(found: Finding) -> Finding:
        by_chance = found.p is not None and next(adjusted) >= LEVEL
        if not by_chance or found.verdict not in _BAD:
            return found
        return replace(
            found, verdict="remark",
            evidence=f"{found.evidence}; not significant among the {tests} tests of the suite",
        )  # fmt: skip

    weighed = {
        pair: replace(record, findings=tuple(map(weigh, record.findings)))
        for pair, record in examined.items()
    }
    return {
        pair: replace(record, findings=tuple(explain(record.findings)))
        for pair, record in weighed.items()
    }


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
    if reached := _number_without_gradient(by_check):
        return [
            replace(found, verdict="remark", evidence=f"{found.evidence}; {reached}")
            if found.verdict in _BAD and found.check in OF_GRADIENTS
            else found
            for found in findings
        ]
    return list(findings)


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


def _all(examined: Iterable[Examined]) -> Iterable[Finding]:
    return (found for record in examined for found in record.findings)
