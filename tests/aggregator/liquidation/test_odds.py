"""Probabilities of breach: closed forms where there are any, laws where there are none, and the same seed the same
answer.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import norm

from aggregator.liquidation.closed_forms import end_probability, touch_probability
from aggregator.liquidation.drivers import Driver, correlations, drivers, factor_of
from aggregator.liquidation.excess_table import ExcessTable, excess_at, mismatch, relevant, tabulate
from aggregator.liquidation.odds import Odds, breach_odds
from aggregator.liquidation.until import time_left
from aggregator.model.errors import InputError
from aggregator.risk.desk import Desk
from aggregator.risk.liquidation import liquidation_prices
from tests.aggregator.markets import AS_OF, E8, E12, prices, rates, spec

CHAIN = "eip155:31337001"
ETH, BTC, USDC, DEBT = (f"{name}@{CHAIN}" for name in ("ETH", "WBTC", "USDC", "USDC-DEBT"))
WEEK = 7 / 365
LOAN = {ETH: 10.0, DEBT: -23_000.0}
SHORT = {"ETH-PERP": -10.0, "USD": 38_000.0}


def desk_of(positions: dict[str, float]) -> Desk:
    held = {symbol: round(quantity * E8) for symbol, quantity in positions.items()}
    return Desk(spec(), prices(), rates(), AS_OF, held)


def prepared(
    positions: dict[str, float], years: float = WEEK
) -> tuple[ExcessTable, tuple[Driver, ...], Desk]:
    desk = desk_of(positions)
    every = drivers(desk, years)
    spread = {one.price: one.volatility * math.sqrt(years) for one in every}
    found = relevant(desk, every, spread)
    return tabulate(desk, found, spread), found, desk


def odds(positions: dict[str, float], years: float = WEEK, **options: object) -> Odds:
    table, found, desk = prepared(positions, years)
    return breach_odds(table, found, correlations(desk, found), years, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("drift", [-2.0, 0.0, 2.0])
@pytest.mark.parametrize(("positions", "way"), [(LOAN, 1), (SHORT, -1)])
def test_one_price_is_as_the_closed_forms_say(positions: dict[str, float], way: int, drift: float) -> None:
    """Touching (any time) and ending beyond the liquidation price, long and short, within four standard errors and 0.1
    %.
    """
    table, found, desk = prepared(positions)
    (root,) = liquidation_prices(desk, "ETH")
    made = breach_odds(table, found, correlations(desk, found), WEEK, {"ETH": drift}, pairs=40_000)
    sigma = found[0].volatility
    level = root.bad_e12 / E12
    touch = touch_probability(3000, level, sigma, WEEK, drift)
    end = end_probability(3000, level, sigma, WEEK, drift)
    end = end if way > 0 else 1 - end
    assert 0.05 < end < touch < 0.95
    assert abs(made.breach.value_e6 / 1e6 - touch) <= 4 * made.breach.error_e6 / 1e6 + 0.001
    assert abs(made.end.value_e6 / 1e6 - end) <= 4 * made.end.error_e6 / 1e6
    assert made.breach.error_e6 < 2_500


def test_watching_only_the_steps_would_miss_breaches() -> None:
    """The barrier is watched between the steps: far above the probability at the end, and alike with few steps."""
    few, many = odds(LOAN, steps=16), odds(LOAN, steps=128)
    assert many.breach.value_e6 > 1.8 * many.end.value_e6
    assert abs(few.breach.value_e6 - many.breach.value_e6) < 4 * (few.breach.error_e6 + many.breach.error_e6)


def test_the_shortfall_of_a_linear_account() -> None:
    """Excess = a S - c: the mean of the worst hundredth is a S N(z - s) / 0.01 - c for a lognormal S."""
    table, found, desk = prepared(LOAN)
    made = breach_odds(table, found, correlations(desk, found), WEEK, pairs=40_000)
    now, higher = (excess_at(desk, found, [move]) / 1e6 for move in (0.0, math.log(1.01)))
    slope = (higher - now) / 30
    s = found[0].volatility * math.sqrt(WEEK)
    tail = 3000 * norm.cdf(norm.ppf(0.01) - s) / 0.01
    expected = now + slope * (tail - 3000)
    assert abs(made.shortfall.value_e6 / 1e6 - expected) <= 5 * made.shortfall.error_e6 / 1e6 + 1


def test_the_table_is_the_engine() -> None:
    """At its nodes to a cent, and between and beside them at joint moves within a thousandth of the equity."""
    positions = {
        ETH: 20.0,
        BTC: 0.4,
        "BTC-PERP": 0.5,
        "ETH-20270214-3000-C": -10.0,
        USDC: 40_000.0,
        "USD": -30_000.0,
    }
    table, found, desk = prepared(positions)
    assert [one.price for one in found] == ["ETH", "BTC"]
    spread = {one.price: one.volatility * math.sqrt(WEEK) for one in found}
    for n in (0, 20, 40, 41, 80):
        moves = [float(table.nodes[0][n]), 0.0]
        exact = excess_at(desk, found, moves) / 1e6
        assert float(table.excess(np.array([moves]))[0]) == pytest.approx(exact, abs=0.01)
    assert mismatch(table, desk, found, spread) < 60


def test_more_collateral_is_never_more_likely_to_breach() -> None:
    """Path by path, on one seed."""
    found = [odds({**LOAN, "USD": more}, pairs=2_000, steps=16) for more in (0.0, 500.0, 3_000.0)]
    values = [one.breach.value_e6 for one in found]
    assert values == sorted(values, reverse=True)
    assert values[0] > values[-1]


def test_time_only_adds_breaches() -> None:
    made = odds(LOAN)
    shares = [share for _, share in made.by_time]
    assert shares == sorted(shares)
    assert shares[-1] == made.breach.value_e6
    assert made.by_time[-1][0] == 7 * 86_400
    assert made.half_time_s is not None
    assert 0 < made.half_time_s < 7 * 86_400


def test_a_seed_gives_the_same_answer_and_another_one_another() -> None:
    assert odds(LOAN, seed=3, pairs=500) == odds(LOAN, seed=3, pairs=500)
    assert odds(LOAN, seed=3, pairs=500) != odds(LOAN, seed=4, pairs=500)


def test_an_account_that_is_below_has_breached() -> None:
    made = odds({ETH: 10.0, DEBT: -27_000.0}, pairs=200)
    assert (made.breach.value_e6, made.half_time_s) == (10**6, 0)


def test_two_classes_move_by_the_policys_correlation() -> None:
    """Long both: likelier to breach together than with independent prices."""
    table, found, desk = prepared({ETH: 5.0, BTC: 0.25, DEBT: -22_500.0})
    rho = correlations(desk, found)
    assert rho.tolist() == [[1.0, 0.85], [0.85, 1.0]]
    joint = breach_odds(table, found, rho, WEEK)
    apart = breach_odds(table, found, np.eye(2), WEEK)
    assert joint.breach.value_e6 > apart.breach.value_e6 + 4 * apart.breach.error_e6


def test_volatilities_are_the_policys_or_those_given() -> None:
    desk = desk_of(LOAN)
    eth, btc = drivers(desk, WEEK)
    assert eth.volatility == pytest.approx(0.68)
    assert (btc.source, btc.volatility) == (
        "a third of the scan range a day",
        pytest.approx(0.13 / 3 * 365**0.5),
    )
    assert drivers(desk, WEEK, {"BTC": 0.5})[1].volatility == 0.5
    with pytest.raises(InputError, match="no risk class follows the price 'USDC'"):
        drivers(desk, WEEK, {"USDC": 0.5})
    with pytest.raises(InputError, match="volatility of BTC is 0"):
        drivers(desk, WEEK, {"BTC": 0.0})


def test_a_singular_correlation_has_a_factor() -> None:
    ones = np.ones((3, 3))
    assert np.allclose(factor_of(ones) @ factor_of(ones).T, ones)


def test_closed_forms_at_their_limits() -> None:
    assert touch_probability(100, 100, 0.5, 1) == 1
    assert touch_probability(100, 99.999, 0.5, 1) == pytest.approx(1, abs=1e-3)
    balanced = 0.5**2 / 2
    assert touch_probability(100, 80, 0.5, 1, balanced) == pytest.approx(
        2 * end_probability(100, 80, 0.5, 1, balanced)
    )
    assert touch_probability(100, 125, 0.5, 1, balanced) == pytest.approx(
        2 * (1 - end_probability(100, 125, 0.5, 1, balanced))
    )
    with pytest.raises(InputError, match="have to be above 0"):
        end_probability(100, 80, 0, 1)


def test_time_left_at_a_steady_fall() -> None:
    """At -5 % a day the price is at its liquidation price after ln(level / price) / ln(0.95) days, to a second."""
    _, found, desk = prepared(LOAN)
    (root,) = liquidation_prices(desk, "ETH")
    left = time_left(desk, found, -50_000)
    assert left.seconds == pytest.approx(86_400 * math.log(root.bad_e12 / 3000 / E12) / math.log(0.95), abs=2)
    assert time_left(desk, found, 50_000).seconds is None
    assert time_left(desk_of({ETH: 10.0, DEBT: -27_000.0}), found, -1).seconds == 0
    for drift in (0, -1_000_000):
        with pytest.raises(InputError, match="leads nowhere"):
            time_left(desk, found, drift)


def test_what_cannot_be_simulated_is_refused() -> None:
    table, found, desk = prepared(LOAN)
    for years, pairs in ((0.0, 100), (11.0, 100), (1.0, 2)):
        with pytest.raises(InputError, match="out of range"):
            breach_odds(table, found, correlations(desk, found), years, pairs=pairs)
    with pytest.raises(InputError, match="nothing moves at random"):
        tabulate(desk, (), {})
