"""Scenarios and risk arrays: the table, linear instruments by hand, options by repricing."""

from __future__ import annotations

import numpy as np
import pytest

from aggregator.model.errors import PolicyError
from aggregator.policy.build import market_of
from aggregator.pricing import black76
from aggregator.pricing.black76 import Floats
from aggregator.risk.arrays import future_array, option_arrays, perp_array, spot_array
from aggregator.risk.scenarios import (
    EXTREME_COVER,
    STANDARD_SCENARIOS,
    ClassShocks,
    Scenario,
    check_scenarios,
)
from tests.aggregator.markets import E12, spec

ETH = spec().classes[0]
MARKET = market_of(ETH, 3000 * E12)
CALM = Scenario("nothing moves")


def test_the_standard_table_is_span_extended() -> None:
    """14 rows of thirds with volatility both ways, 4 partly covered extremes, skew, basis and two crises."""
    check_scenarios(STANDARD_SCENARIOS)
    core = {(round(3 * s.spot), s.volatility) for s in STANDARD_SCENARIOS[:14]}
    assert core == {(third, way) for third in range(-3, 4) for way in (1.0, -1.0)}
    extremes = STANDARD_SCENARIOS[14:18]
    assert {s.spot for s in extremes} == {2, -2, 3, -3}
    assert {s.cover for s in extremes} == {EXTREME_COVER}
    assert {s.skew for s in STANDARD_SCENARIOS} == {s.basis for s in STANDARD_SCENARIOS} == {-1, 0, 1}


@pytest.mark.parametrize(
    "table",
    [
        STANDARD_SCENARIOS[:31],
        (*STANDARD_SCENARIOS[:31], STANDARD_SCENARIOS[0]),
        (*STANDARD_SCENARIOS[:31], Scenario("x", cover=0.0)),
        (*STANDARD_SCENARIOS[:31], Scenario("x", cover=1.1)),
    ],
)
def test_other_tables_are_checked(table: tuple[Scenario, ...]) -> None:
    """32 rows, different names, covers in (0, 1]."""
    with pytest.raises(PolicyError):
        check_scenarios(table)


@pytest.mark.parametrize(
    "shocks",
    [
        ClassShocks(0.34, 0.3, 0, 0, 0),
        ClassShocks(0.1, 1.0, 0, 0, 0),
        ClassShocks(0.1, 0.3, 0, 0, 1.0),
        ClassShocks(-0.1, 0.3, 0, 0, 0),
    ],
)
def test_shocks_that_take_a_price_to_zero_are_refused(shocks: ClassShocks) -> None:
    """3 x 34 % down is below nothing; so are a volatility or basis shock of 100 %, and a negative size."""
    with pytest.raises(PolicyError, match="class X"):
        shocks.check("X", STANDARD_SCENARIOS)


def test_spot_moves_with_the_scan_range() -> None:
    """16 % of 3000 is 480 up and down; the extreme of 3 ranges counts 35 %: 504."""
    row = dict(
        zip(
            (s.name for s in STANDARD_SCENARIOS),
            spot_array(3000, ETH.shocks, STANDARD_SCENARIOS),
            strict=True,
        )
    )
    assert row["spot +3/3, vol up"] == pytest.approx(480)
    assert row["spot -1/3, vol down"] == pytest.approx(-160)
    assert row["extreme -3 scan ranges, vol up"] == pytest.approx(-504)
    assert row["spot 0, skew steeper"] == 0


def test_perp_and_future_part_from_the_index_by_their_basis() -> None:
    """A 1 % perp basis is 30 USD at 3000; a 10 % annual basis over half a year moves the forward by e^0.05."""
    up = Scenario("basis up", basis=1.0)
    assert perp_array(MARKET, [CALM, up]) == pytest.approx([0, 30])
    forward = MARKET.curve.forward(0.5)
    assert future_array(MARKET, 0.5, [CALM, up]) == pytest.approx([0, forward * (np.exp(0.05) - 1)])
    down = Scenario("spot down", spot=-1.0)
    assert perp_array(MARKET, [down]) == pytest.approx([-480])
    assert future_array(MARKET, 0.5, [down]) == pytest.approx([-0.16 * forward])


def options(scenario: Scenario, strikes: list[float], call: bool, years: float = 30 / 365) -> Floats:
    flags = np.full(len(strikes), call)
    return option_arrays(MARKET, np.array(strikes), years, flags, [scenario])[:, 0]


def test_an_option_is_repriced_on_the_shocked_forward_and_volatility() -> None:
    """At 30 days the level shock is exactly 30 % of the strike's own volatility."""
    years, strike = 30 / 365, np.array([2500.0])
    base = MARKET.volatility(strike, years)
    forward = MARKET.curve.forward(years)
    expected = black76.value(forward * 1.16, strike, years, base * 1.3, True) - black76.value(
        forward, strike, years, base, True
    )
    got = options(Scenario("x", spot=1.0, volatility=1.0), [2500.0], True)
    assert got == pytest.approx(expected, rel=1e-9)


def test_nothing_moves_when_nothing_moves() -> None:
    """The calm scenario costs nothing, to the last bit."""
    assert options(CALM, [2000.0, 3000.0, 4000.0], True).tolist() == [0, 0, 0]


def test_put_call_parity_holds_under_every_scenario() -> None:
    """A long call and a short put lose what the forward loses, whatever volatility and skew do."""
    strikes = [2000.0, 3000.0, 4500.0]
    future = future_array(MARKET, 0.25, STANDARD_SCENARIOS)
    for n, scenario in enumerate(STANDARD_SCENARIOS):
        pair = options(scenario, strikes, True, 0.25) - options(scenario, strikes, False, 0.25)
        assert pair == pytest.approx([future[n]] * 3, abs=1e-8)


def test_a_steeper_skew_lifts_puts_and_lowers_calls() -> None:
    """Three volatility points per standard deviation, none at the forward, and the reverse when it flattens."""
    steeper, flatter = Scenario("s", skew=1.0), Scenario("f", skew=-1.0)
    strikes = [2400.0, MARKET.curve.forward(30 / 365), 3700.0]
    up, down = options(steeper, strikes, False), options(flatter, strikes, False)
    assert up[0] > 1 and up[2] < -1  # noqa: PT018
    assert abs(up[1]) < 1e-9
    assert down[0] < 0 < down[2]


def test_near_volatility_moves_more_than_far() -> None:
    """The level shock is scaled by sqrt(30 days / expiry)."""
    shock = Scenario("v", volatility=1.0)
    moves = []
    for days in (10, 30, 120):
        strike = np.array([MARKET.curve.forward(days / 365)])
        base = MARKET.volatility(strike, days / 365)
        moves.append(float((MARKET.shocked_volatilities(strike, days / 365, (shock,))[0] / base - 1)[0]))
    assert moves == pytest.approx([0.3 * 3**0.5, 0.3, 0.15])


def test_an_option_class_needs_a_smile() -> None:
    """A class without a surface cannot price options, and says so."""
    plain = market_of(spec().classes[1], 60_000 * E12)
    with pytest.raises(PolicyError, match="no volatility surface"):
        plain.volatility(np.array([60_000.0]), 0.1)
