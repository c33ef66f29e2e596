"""Numbers for readers: one rounding, of the decimal number that the tables contain."""

from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction

import pytest

from bench.report.export import percent
from bench.results.number_format import PERCENT, Scale, decimal_text


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.2325, "23.2"),
        (0.2335, "23.4"),
        (0.2345, "23.4"),
        (0.58749999, "58.8"),  # 0.5875 in six digits
        (0.0005, "0.0"),
        (0.99949, "99.9"),
        (0.9995, "100.0"),
        (1.0, "100.0"),
    ],
)
def test_ties_go_to_the_even_digit(share: float, text: str) -> None:
    assert PERCENT.text(share) == percent(share) == text
    assert PERCENT.text(share, "+") == f"+{text}"
    assert PERCENT.text(-share) == f"-{text}"


@pytest.mark.parametrize("images", [400, 2000])
def test_a_share_of_images_is_rounded_as_a_decimal_number(images: int) -> None:
    for right in range(images + 1):
        exact = Fraction(100 * right, images)
        decimal = Decimal(exact.numerator) / Decimal(exact.denominator)
        expected = decimal.quantize(Decimal("0.1"), ROUND_HALF_EVEN)
        assert PERCENT.text(right / images) == str(expected)


def test_other_scales_have_their_digits() -> None:
    cider = Scale("CIDEr-D", 1.0, 3, "", "from 0 to 10")
    assert (cider.text(1.1545), cider.text(1.1555)) == ("1.154", "1.156")
    assert decimal_text(0.23455, 2, 100.0) == "23.46"
