"""Fixed-point helpers: known values, edges, and laws against exact fractions."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import ceil, floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator import fixed
from aggregator.model.errors import InputError

integers = st.integers(-(2**130), 2**130)
positives = st.integers(1, 2**100)


@pytest.mark.parametrize(
    ("value", "denominator", "down", "up", "away"),
    [
        (7, 2, 3, 4, 4),
        (-7, 2, -4, -3, -4),
        (8, 2, 4, 4, 4),
        (-8, 2, -4, -4, -4),
        (0, 5, 0, 0, 0),
        (1, 10**14, 0, 1, 1),
    ],
)
def test_division_known_values(value: int, denominator: int, down: int, up: int, away: int) -> None:
    """Down is towards minus infinity, up towards plus infinity, away away from zero."""
    assert fixed.div_floor(value, denominator) == down
    assert fixed.div_ceil(value, denominator) == up
    assert fixed.div_away(value, denominator) == away


@given(integers, integers, positives)
def test_mul_div_agrees_with_fractions(a: int, b: int, d: int) -> None:
    """The product is exact and only the quotient is rounded."""
    exact = Fraction(a * b, d)
    assert fixed.mul_div_down(a, b, d) == floor(exact)
    assert fixed.mul_div_up(a, b, d) == ceil(exact)


@given(st.integers(0, 2**300))
def test_isqrt_up_is_the_smallest_dominating_root(value: int) -> None:
    """n^2 >= value and (n-1)^2 < value."""
    root = fixed.isqrt_up(value)
    assert root * root >= value
    assert root == 0 or (root - 1) ** 2 < value


@pytest.mark.parametrize(
    ("value", "root"), [(0, 0), (1, 1), (2, 2), (4, 2), (5, 3), (10**40, 10**20), (10**40 + 1, 10**20 + 1)]
)
def test_isqrt_up_known_values(value: int, root: int) -> None:
    """Perfect squares are exact, everything else goes up."""
    assert fixed.isqrt_up(value) == root


@pytest.mark.parametrize("denominator", [0, -1])
@pytest.mark.parametrize("divide", [fixed.div_floor, fixed.div_ceil, fixed.div_away])
def test_denominator_must_be_positive(divide: Callable[[int, int], int], denominator: int) -> None:
    """A zero or negative denominator would silently flip the rounding, so it is refused."""
    with pytest.raises(ValueError, match="denominator"):
        divide(1, denominator)


def test_isqrt_up_refuses_negatives() -> None:
    """There is no root of a negative number."""
    with pytest.raises(ValueError, match="square root"):
        fixed.isqrt_up(-1)


@pytest.mark.parametrize(
    ("text", "digits", "down", "up"),
    [
        ("1.5", 6, 1_500_000, 1_500_000),
        ("-1.5", 6, -1_500_000, -1_500_000),
        ("0.00000049", 6, 0, 1),
        ("-0.00000049", 6, -1, 0),
        ("3", 0, 3, 3),
        ("3.00", 0, 3, 3),
        ("007.1", 1, 71, 71),
    ],
)
def test_parse_decimal_rounding(text: str, digits: int, down: int, up: int) -> None:
    """The rounding variants differ only when digits are cut."""
    assert fixed.parse_decimal_down(text, digits) == down
    assert fixed.parse_decimal_up(text, digits) == up


@pytest.mark.parametrize(
    "text", ["", ".5", "5.", "+1", "1e3", "1,000", " 1", "1 ", "--1", "nan", "٣", "1" * 101, "1.2.3"]
)
def test_parse_decimal_refuses_what_is_not_a_number(text: str) -> None:
    """No exponents, blanks, separators, other scripts or endless digits."""
    with pytest.raises(InputError, match=r"not a decimal number|too long"):
        fixed.parse_decimal(text, 6)


def test_parse_decimal_refuses_to_round_silently() -> None:
    """More decimals than the scale holds is an error, trailing zeros are not."""
    assert fixed.parse_decimal("1.2340", 3) == 1234
    with pytest.raises(InputError, match="more than 3 decimals"):
        fixed.parse_decimal("1.2345", 3)


@given(integers, st.integers(0, 30))
def test_format_and_parse_round_trip(value: int, digits: int) -> None:
    """What is formatted exactly is parsed to the same integer."""
    assert fixed.parse_decimal(fixed.format_decimal(value, digits), digits) == value


@given(integers, st.integers(0, 20), st.integers(0, 20))
def test_display_brackets_the_value(value: int, digits: int, places: int) -> None:
    """The rounded texts lie on the stated sides of the value, within one unit of the last place."""
    exact = Fraction(value, 10**digits)
    low = Fraction(fixed.format_down(value, digits, places).replace(",", ""))
    high = Fraction(fixed.format_up(value, digits, places).replace(",", ""))
    assert low <= exact <= high
    assert high - low in (0, Fraction(1, 10**places))


def test_display_known_values() -> None:
    """Thousands are separated and the sign leads."""
    assert fixed.format_down(1234567899999, 6, 2) == "1,234,567.89"
    assert fixed.format_up(1234567891001, 6, 2) == "1,234,567.90"
    assert fixed.format_down(-1, 6, 2) == "-0.01"
    assert fixed.format_down(5, 0, 2) == "5.00"


@given(integers)
def test_parse_integer_round_trip(value: int) -> None:
    """Every integer has one canonical text."""
    assert fixed.parse_integer(str(value)) == value


@pytest.mark.parametrize("text", ["", "-0", "01", "+1", "1.0", " 1", "1_0", "0x1", "9" * 101])
def test_parse_integer_refuses_other_spellings(text: str) -> None:
    """A second spelling of a number would give a document a second hash."""
    with pytest.raises(InputError, match=r"canonical integer|too long"):
        fixed.parse_integer(text)


@pytest.mark.parametrize(
    ("amount_e6", "text"),
    [
        (170_000 * 10**6, "170,000.00"),
        (100_000_000_001, "100,000.000001"),
        (1_500_000, "1.50"),
        (0, "0.00"),
        (-1_234_560_000, "-1,234.56"),
    ],
)
def test_usd_for_reading_is_exact(amount_e6: int, text: str) -> None:
    assert fixed.format_usd(amount_e6) == text
