"""Tiers as lines: the maximum of the lines is the tiered charge, never a hair less."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.model.errors import PolicyError
from aggregator.model.policy import Line
from aggregator.policy.haircut import Tier, lines_from_tiers

E8 = 10**8
E12 = 10**12


@st.composite
def tier_lists(draw: st.DrawFn, most: int) -> list[Tier]:
    sizes = sorted(draw(st.sets(st.integers(1, 10**16), max_size=most - 1)))
    rates = sorted(draw(st.lists(st.integers(0, 10**6), min_size=len(sizes) + 1, max_size=len(sizes) + 1)))
    return [Tier(up_to, rate) for up_to, rate in zip([*sizes, None], rates, strict=True)]


def charge(price_e12: int, tiers: list[Tier], quantity_e8: int) -> Fraction:
    """Tier by tier, in USD: the definition the lines must meet."""
    total, start = Fraction(0), 0
    for tier in tiers:
        end = quantity_e8 if tier.up_to_e8 is None else min(quantity_e8, tier.up_to_e8)
        total += Fraction(max(0, end - start), E8) * Fraction(price_e12, E12) * Fraction(tier.rate_e6, 10**6)
        start = tier.up_to_e8 or start
    return total


def height(lines: tuple[Line, ...], quantity_e8: int) -> Fraction:
    net_e14 = quantity_e8 * 10**6
    return Fraction(max(line.slope_e12 * net_e14 + line.intercept_e26 for line in lines), 10**26)


@given(st.integers(0, 10**17), tier_lists(3), tier_lists(3), st.integers(-(10**17), 10**17))
def test_lines_charge_the_tiers_rounded_up(
    price: int, long: list[Tier], short: list[Tier], quantity: int
) -> None:
    """At least the exact tiered charge on either side, and at most 1e-12 USD per unit and tier above it."""
    lines = lines_from_tiers(price, long, short)
    exact = charge(price, long if quantity > 0 else short, abs(quantity))
    slack = Fraction(abs(quantity), E8) * Fraction(3, E12)
    assert exact <= height(lines, quantity) <= exact + slack


def test_known_lines() -> None:
    """5 % up to 100 units and 10 % above at 3000 USD: slopes 150 and 300, meeting at 100 units (15 000 USD)."""
    lines = lines_from_tiers(3000 * E12, [Tier(100 * E8, 50_000), Tier(None, 100_000)], [Tier(None, 20_000)])
    assert lines == (
        Line(150 * E12, 0),
        Line(300 * E12, -15_000 * 10**26),
        Line(-60 * E12, 0),
        Line(0, 0),
        Line(0, 0),
        Line(0, 0),
    )
    assert height(lines, 150 * E8) == 30_000


def test_the_short_side_may_have_its_own_price() -> None:
    """A stale debt is charged at its raised price while the collateral side counts nothing."""
    lines = lines_from_tiers(0, [Tier(None, 50_000)], [Tier(None, 50_000)], 3300 * E12)
    assert lines[:2] == (Line(0, 0), Line(-165 * E12, 0))


@pytest.mark.parametrize(
    ("tiers", "message"),
    [
        ([Tier(10, 1), Tier(10, 2), Tier(None, 3)], "not above the tier before"),
        ([Tier(10, 2), Tier(None, 1)], "larger sizes cannot be cheaper"),
        ([Tier(10, 1), Tier(20, 2)], "must not have up_to"),
        ([Tier(None, 1), Tier(None, 2)], "must have up_to"),
        ([Tier(0, 1), Tier(None, 2)], "not above the tier before"),
        ([*(Tier(n, n) for n in range(1, 7)), Tier(None, 7)], "more than 6"),
    ],
)
def test_tiers_that_lines_cannot_express_are_refused(tiers: list[Tier], message: str) -> None:
    """Sizes and rates rise, only the last tier has no end, and six lines are all there is."""
    with pytest.raises(PolicyError, match=message):
        lines_from_tiers(E12, tiers)
