"""Histories, volatility, depth and haircuts: published numbers, bounds, and every bad file refused by its line."""

from __future__ import annotations

import json
import math
from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.model.errors import PolicyError
from aggregator.risk.depth import (
    DepthLevel,
    DepthProfile,
    SquareRootImpact,
    days_to_liquidate,
    marginal_costs,
)
from aggregator.risk.haircuts import (
    Bounds,
    VolatilityForecast,
    bounded_rates_e6,
    forecast,
    loss_quantile,
    tier_rates_e6,
)
from aggregator.risk.history import parse_history
from aggregator.risk.volatility import (
    Garch,
    ewma_min_returns,
    ewma_variance,
    fit_garch,
    garch_variances,
)
from tests.aggregator.histories import csv_of, simulated


def test_a_history_is_the_same_from_csv_and_json() -> None:
    text = csv_of([100.0, 110.0, 99.0])
    rows = [{"date": day, "close": float(close)} for day, close in (x.split(",") for x in text.split()[1:])]
    one, other = parse_history(text, "a.csv"), parse_history(json.dumps(rows), "a.json")
    assert (one.closes, one.last) == (other.closes, other.last)
    assert one.returns() == pytest.approx([math.log(1.1), math.log(0.9)])
    assert one.returns(1) == pytest.approx([math.log(0.9)])


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["2026-01-01,1", "2026-01-02,nan"], "line 3: close is 'nan'"),
        (["2026-01-01,1", "2026-01-02,-3"], "line 3: close is '-3'"),
        (["2026-01-01,1", "2026-01-02,inf"], "line 3: close is 'inf'"),
        (["2026-01-01,1", "2026-01-02,"], "line 3: close is ''"),
        (["2026-01-01,0", "2026-01-02,1"], "line 2: close is '0'"),
        (["2026-01-01,1", "2026-01-03,1"], "line 3: date 2026-01-03 leaves a gap after 2026-01-01"),
        (["2026-01-02,1", "2026-01-01,1"], "line 3: date 2026-01-01 does not come after"),
        (["2026-01-01,1", "2026-01-01,1"], "line 3: date 2026-01-01 does not come after"),
        (["2026-13-01,1"], "line 2: date is '2026-13-01'"),
        (["2026-01-01,1,2"], "line 2: has 3 fields"),
        (["2026-01-01,1"], "has 1 closes"),
        ([], "has 0 closes"),
    ],
)
def test_a_bad_history_is_refused_by_its_line(rows: list[str], message: str) -> None:
    with pytest.raises(PolicyError, match=r"prices\.csv") as caught:
        parse_history("\n".join(["date,close", *rows]), "prices.csv")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("close,date\n", "line 1: the header"),
        ("[", "is not JSON"),
        ("{}", "not a list"),
        ('[{"date": "2026-01-01"}]', r"\[0\]: is not an object"),
        ('[{"date": "2026-01-01", "close": true}]', r"\[0\]: close is True"),
        ('[{"date": 5, "close": 1}]', r"\[0\]: date is 5"),
    ],
)
def test_a_malformed_history_is_refused(text: str, message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        parse_history(text, "prices")


def test_a_history_has_to_be_fresh_and_long_enough() -> None:
    history = parse_history(csv_of([1.0, 2.0, 3.0], date(2026, 11, 18)), "eth.csv")
    moment = 1_795_132_800  # 2026-11-20 00:00 UTC
    history.check_age(moment, 2)
    with pytest.raises(PolicyError, match="2 days before the policy's date"):
        history.check_age(moment, 1)
    with pytest.raises(PolicyError, match="after the policy's date"):
        history.check_age(moment - 5 * 86_400, 7)
    with pytest.raises(PolicyError, match="has 2 daily returns and 3"):
        history.returns(3)


def test_ewma_takes_hull_s_step() -> None:
    """Hull, Risk Management and Financial Institutions, example 5.2: 1 % a day, a move of 2 %, lambda 0.90: 1.14 %."""
    long_past = np.full(2000, 0.01)
    before = ewma_variance(long_past, 0.90)
    after = ewma_variance(np.append(long_past, 0.02), 0.90)
    assert before == pytest.approx(0.0001, rel=1e-12)
    assert after == pytest.approx(0.00013, rel=1e-9)
    assert math.sqrt(after) == pytest.approx(0.0114, abs=5e-5)


def test_riskmetrics_lambda_needs_75_returns() -> None:
    """RiskMetrics: at 0.94, 74 days leave just over 1 % of the weight out; fewer returns than 75 are refused."""
    assert ewma_min_returns(0.94) == 75
    assert 0.94**75 < 0.01 < 0.94**74
    assert ewma_variance(np.full(75, 0.02)) == pytest.approx(0.0004)
    with pytest.raises(PolicyError, match="74 returns are too few"):
        ewma_variance(np.full(74, 0.02))
    with pytest.raises(PolicyError, match=r"inside 0\.\.1"):
        ewma_variance(np.full(99, 0.02), 1.0)


def test_garch_takes_hull_s_step() -> None:
    """Hull, chapter 5: omega 0.000002, alpha 0.13, beta 0.86; 1.6 % a day and a move of -1 % give 1.53 %."""
    model = Garch(0.000002, 0.13, 0.86)
    assert model.long_run == pytest.approx(0.0002)
    found = model.update(0.016**2, -0.01)
    assert found == pytest.approx(0.00023516)
    assert math.sqrt(found) == pytest.approx(0.0153, abs=5e-5)
    assert garch_variances(model, np.array([-0.01]), 0.016**2)[-1] == pytest.approx(found)


def test_garch_forecasts_go_to_the_long_run() -> None:
    """The sum over a horizon is that of its days, each a step of the expectation."""
    model, variance, total = Garch(0.000002, 0.13, 0.86), 0.0004, 0.0
    for _ in range(10):
        total += variance
        variance = model.omega + (model.alpha + model.beta) * variance
    assert model.horizon_variance(0.0004, 10) == pytest.approx(total)
    flat = VolatilityForecast(0.0004)
    assert flat.over(4) == pytest.approx(0.04)
    assert VolatilityForecast(0.0004, model).over(10) < flat.over(10)


def test_garch_finds_the_parameters_that_made_a_series() -> None:
    returns, variance = simulated(omega=2e-6, alpha=0.10, beta=0.85, days=4000, seed=1)
    model, tomorrow = fit_garch(returns)
    assert model.alpha == pytest.approx(0.10, abs=0.03)
    assert model.beta == pytest.approx(0.85, abs=0.05)
    assert math.sqrt(model.long_run) == pytest.approx(math.sqrt(2e-6 / 0.05), rel=0.1)
    assert math.sqrt(tomorrow) == pytest.approx(math.sqrt(variance), rel=0.1)
    with pytest.raises(PolicyError, match="too few for GARCH"):
        fit_garch(returns[:249])
    with pytest.raises(PolicyError, match="all zero"):
        fit_garch(np.zeros(300))
    with pytest.raises(PolicyError, match="'arch' is not known"):
        forecast(returns, "arch", 0.94)


def test_a_normal_quantile_makes_the_haircut() -> None:
    """99 %: 2.326 deviations. 3 % a day over 4 days is 6 %: long 1 - exp(-0.1396), short exp(0.1396) - 1."""
    assert loss_quantile(0.06, 0.99, short=False) == pytest.approx(0.130277, abs=1e-5)
    assert loss_quantile(0.06, 0.99, short=True) == pytest.approx(0.149792, abs=1e-5)
    with pytest.raises(PolicyError, match="confidence"):
        loss_quantile(0.06, 1.0, short=False)


def test_an_absurd_history_gives_a_bounded_haircut() -> None:
    """A price that jumps over its whole range is lost whole, not an overflow."""
    assert loss_quantile(1e6, 0.99, short=False) == pytest.approx(1.0)
    assert loss_quantile(1e6, 0.99, short=True) > 1e20
    closes = [1e-300, 1e300] * 50
    wild = parse_history(csv_of(closes), "wild.csv")
    volatility = forecast(wild.returns(), "ewma", 0.94)
    (rate,) = tier_rates_e6(volatility, 5, 0.99, SquareRootImpact(1, 10), [1.0], short=True)
    assert Bounds(0, 500_000, 10**6, 10**6).held(rate, None) == 500_000


def test_depth_costs_what_its_levels_say() -> None:
    profile = DepthProfile((DepthLevel(100, 0.001), DepthLevel(100, 0.003)))
    assert profile.cost(50, 0.0) == pytest.approx(0.001)
    assert profile.cost(200, 0.0) == pytest.approx(0.002)
    assert profile.cost(400, 0.0) == pytest.approx((0.4 + 200) / 400), "beyond the book all is lost"
    impact = SquareRootImpact(1.0, 1_000_000)
    assert impact.cost(10_000, 0.04) == pytest.approx(0.004)
    assert days_to_liquidate(-500, 1000, 0.1) == pytest.approx(5)
    for bad in (
        lambda: DepthProfile(()),
        lambda: DepthProfile((DepthLevel(0, 0.1),)),
        lambda: DepthProfile((DepthLevel(1, math.nan),)),
        lambda: DepthProfile((DepthLevel(1, 0.2), DepthLevel(1, 0.1))),
        lambda: SquareRootImpact(-1, 10),
        lambda: SquareRootImpact(1, math.nan),
        lambda: days_to_liquidate(1, 1000, 0),
    ):
        with pytest.raises(PolicyError):
            bad()


@given(
    st.floats(0, 0.5),
    st.floats(0.001, 0.2),
    st.lists(st.floats(1, 1e4), min_size=1, max_size=4),
    st.floats(0, 1),
)
def test_no_size_is_charged_less_than_the_model_says(
    market: float, volatility: float, steps: list[float], place: float
) -> None:
    """The chords lie on or above the convex cost, for any size up to the last tier's end."""
    ends = list(np.cumsum(steps))
    depth = SquareRootImpact(0.8, 20_000)
    rates = marginal_costs(depth, market, volatility, ends)
    size = place * ends[-1]
    charged, start = 0.0, 0.0
    for rate, end in zip(rates, ends, strict=True):
        charged += rate * max(0.0, min(size, end) - start)
        start = end
    assert charged >= size * (market + depth.cost(size, volatility)) * (1 - 1e-9) - 1e-9
    assert rates == sorted(rates) or min(np.diff(rates)) > -1e-9


def test_rates_keep_their_speed_limit_floor_and_cap() -> None:
    bounds = Bounds(20_000, 400_000, 100_000, 10_000)
    assert bounds.held(300_000, None) == 300_000
    assert bounds.held(300_000, 100_000) == 200_000, "up by at most 10 points"
    assert bounds.held(30_000, 100_000) == 90_000, "down by at most 1 point"
    assert bounds.held(1_000, None) == 20_000
    assert bounds.held(900_000, 390_000) == 400_000
    assert bounded_rates_e6([150_000, 120_000], [None, None, None], bounds) == [150_000, 150_000, 400_000]
    for low, high, rise, fall in ((3, 2, 0, 0), (0, 10**6 + 1, 0, 0), (0, 1, -1, 0)):
        with pytest.raises(PolicyError):
            Bounds(low, high, rise, fall)


def test_modelled_rates_round_up() -> None:
    """A rate of exactly a third of a millionth too much is a whole millionth more."""
    volatility = VolatilityForecast(0.03**2)
    (rate,) = tier_rates_e6(volatility, 4, 0.99, DepthProfile((DepthLevel(10, 0.0),)), [5.0], short=False)
    exact = loss_quantile(0.06, 0.99, short=False)
    assert rate == math.ceil(exact * 10**6)
    assert rate > exact * 10**6


def test_csv_of_writes_days_without_gaps() -> None:
    rows = [line.split(",")[0] for line in csv_of([1.0, 2.0, 3.0]).split()[1:]]
    days = [date.fromisoformat(row) for row in rows]
    assert days[2] - days[0] == timedelta(days=2)
