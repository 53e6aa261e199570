"""Curves are monotone, losses are shared exactly, and the fund is never below zero."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.liquidation.curve import Curve, Knot
from aggregator.liquidation.losses import cover, socialise
from aggregator.model.errors import ConfigError, InputError
from tests.aggregator.liquidation.rules import curves

AMOUNTS = st.integers(0, 10**18)


@given(AMOUNTS, st.dictionaries(st.integers(0, 50), AMOUNTS, max_size=20))
def test_a_shared_loss_adds_up_exactly(loss: int, weights: dict[int, int]) -> None:
    """The sum is the loss or all weights; nobody pays above its weight, or more than a unit above its share."""
    paid = socialise(loss, weights)
    total = sum(weights.values())
    assert sum(paid.values()) == min(loss, total)
    for account, amount in paid.items():
        assert 0 < amount <= weights[account]
        assert amount * total <= min(loss, total) * weights[account] + total - 1


@given(AMOUNTS, st.dictionaries(st.integers(0, 50), AMOUNTS, max_size=10))
def test_the_order_of_accounts_has_no_effect(loss: int, weights: dict[int, int]) -> None:
    turned = dict(reversed(list(weights.items())))
    assert socialise(loss, weights) == socialise(loss, turned)


def test_a_loss_of_ten_over_three_equal_accounts() -> None:
    assert socialise(10, {7: 5, 3: 5, 9: 5}) == {3: 4, 7: 3, 9: 3}
    assert socialise(100, {1: 5, 2: 6}) == {1: 5, 2: 6}
    assert socialise(5, {}) == socialise(0, {1: 5}) == socialise(5, {1: 0}) == {}


@given(AMOUNTS, AMOUNTS)
def test_the_fund_pays_until_it_is_empty(deficit: int, fund: int) -> None:
    found = cover(deficit, fund)
    assert found.fund_e6 >= 0
    assert found.paid_e6 + found.uncovered_e6 == deficit
    assert found.fund_e6 + found.paid_e6 == fund
    assert found.uncovered_e6 == 0 or found.fund_e6 == 0


def test_negative_amounts_are_refused() -> None:
    for call in (
        lambda: cover(-1, 0),
        lambda: cover(0, -1),
        lambda: socialise(-1, {}),
        lambda: socialise(1, {1: -1}),
    ):
        with pytest.raises(InputError):
            call()


def test_a_curve_at_its_points_between_and_beyond() -> None:
    curve = Curve((Knot(500_000, 100_000), Knot(1_000_000, 20_000)))
    assert [curve.at(h) for h in (-5, 0, 500_000, 750_000, 1_000_000, 3_000_000)] == [
        *(100_000, 100_000, 100_000, 60_000, 20_000, 20_000),
    ]
    assert curve.at(999_999) == 20_001, "rounded up"


@given(curves(0, 10**6), st.integers(-(10**6), 3 * 10**6), st.integers(0, 10**6))
def test_a_better_account_never_has_a_higher_rate(curve: Curve, health: int, more: int) -> None:
    assert curve.at(health + more) <= curve.at(health)


@pytest.mark.parametrize(
    ("knots", "part"),
    [
        ((), "no points"),
        ((Knot(1, 5), Knot(1, 4)), "point 1 has no more health"),
        ((Knot(1, 5), Knot(2, 6)), "point 1 has a higher rate"),
    ],
)
def test_a_curve_has_to_fall(knots: tuple[Knot, ...], part: str) -> None:
    with pytest.raises(ConfigError, match=part):
        Curve(knots)
