"""Option values, Greeks, implied volatility, forwards and the surface, against identities and published values."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from aggregator.model.errors import PolicyError
from aggregator.pricing.black76 import Floats, greeks, implied_volatility, value
from aggregator.pricing.forward import ForwardCurve
from aggregator.pricing.surface import Slice, Surface, SviSlice, ssvi_slice

prices = st.floats(10, 10_000)
terms = st.floats(0.01, 3)
volatilities = st.floats(0.05, 2.5)


def normal(x: float) -> float:
    """Standard normal distribution function."""
    return 0.5 * math.erfc(-x / math.sqrt(2))


def test_value_known() -> None:
    """At the money F = K = 100, one year, 20 %: 100 (2 N(0.1) - 1) = 7.9655674554 for both call and put."""
    assert value(100, 100, 1, 0.2, True) == pytest.approx(7.965567455405804, rel=1e-12)
    assert value(100, 100, 1, 0.2, False) == pytest.approx(7.965567455405804, rel=1e-12)


def test_value_known_off_the_money() -> None:
    """F = 19, K = 20, nine months, 28 %: written out with the complementary error function."""
    deviation = 0.28 * math.sqrt(0.75)
    d1 = math.log(19 / 20) / deviation + deviation / 2
    expected = 20 * normal(deviation - d1) - 19 * normal(-d1)
    assert value(19, 20, 0.75, 0.28, False) == pytest.approx(expected, rel=1e-12)


@given(prices, prices, terms, volatilities)
def test_put_call_parity_and_bounds(f: float, k: float, t: float, v: float) -> None:
    """C - P = F - K undiscounted; intrinsic <= C <= F and intrinsic <= P <= K."""
    call, put = float(value(f, k, t, v, True)), float(value(f, k, t, v, False))
    assert call - put == pytest.approx(f - k, abs=1e-9 * (f + k))
    assert max(f - k, 0) - 1e-9 * f <= call <= f * (1 + 1e-12)
    assert max(k - f, 0) - 1e-9 * k <= put <= k * (1 + 1e-12)


@pytest.mark.parametrize(("years", "volatility"), [(0.0, 0.5), (1.0, 0.0), (0.0, 0.0)])
def test_without_time_or_volatility_only_the_intrinsic_value_is_left(years: float, volatility: float) -> None:
    """No NaN and no warning at the edges, at the money included."""
    strikes = np.array([90.0, 100.0, 110.0])
    assert value(100, strikes, years, volatility, True).tolist() == [10, 0, 0]
    assert value(100, strikes, years, volatility, False).tolist() == [0, 0, 10]


@given(prices, st.floats(0.5, 2), terms, volatilities, st.booleans())
def test_greeks_are_the_slopes_of_the_value(
    f: float, moneyness: float, t: float, v: float, call: bool
) -> None:
    """Each Greek agrees with a central difference."""
    k = f * moneyness
    g = greeks(f, k, t, v, call)
    h = 1e-4 * f
    up, down = float(value(f + h, k, t, v, call)), float(value(f - h, k, t, v, call))
    assert float(g.delta) == pytest.approx((up - down) / (2 * h), abs=1e-5)
    deltas = [float(greeks(f + d, k, t, v, call).delta) for d in (h, -h)]
    assert float(g.gamma) * f == pytest.approx((deltas[0] - deltas[1]) / (2 * h) * f, rel=1e-3, abs=1e-4)
    vega = (float(value(f, k, t, v + 1e-5, call)) - float(value(f, k, t, v - 1e-5, call))) / 2e-5
    assert float(g.vega) == pytest.approx(vega, abs=1e-4 * f)
    theta = -(float(value(f, k, t * 1.0001, v, call)) - float(value(f, k, t * 0.9999, v, call))) / (2e-4 * t)
    assert float(g.theta) == pytest.approx(theta, rel=1e-3, abs=1e-4 * f)


@given(prices, st.floats(0.6, 1.6), terms, volatilities, st.booleans())
def test_implied_volatility_inverts_the_value(
    f: float, moneyness: float, t: float, v: float, call: bool
) -> None:
    """Wherever the value still depends on the volatility, it is found again."""
    k = f * moneyness
    assume(float(greeks(f, k, t, v, call).vega) > 1e-4 * f)
    price = value(f, k, t, v, call)
    assert float(implied_volatility(price, f, k, t, call)) == pytest.approx(v, abs=1e-8)


def test_implied_volatility_of_impossible_prices_is_not_a_number() -> None:
    """Below intrinsic and above the forward there is none; exactly intrinsic is zero; arrays mix freely."""
    found = implied_volatility([9.0, 10.0, 101.0, 12.0], 100, 90, 1.0, True)
    assert np.isnan(found[[0, 2]]).all()
    assert found[1] == 0
    assert 0 < found[3] < 1


def test_forward_curve_interpolates_rates() -> None:
    """Flat outside the knots, linear between, and a shock moves spot and rates together."""
    curve = ForwardCurve(3000, ((0.0, 0.10), (1.0, 0.06)))
    assert curve.forward(0) == 3000
    assert curve.rate(0.5) == pytest.approx(0.08)
    assert curve.forward(2) == pytest.approx(3000 * math.exp(0.12))
    assert curve.shocked(-0.5, 0.02).forward(1) == pytest.approx(1500 * math.exp(0.08))


@pytest.mark.parametrize(("spot", "knots"), [(1, ()), (1, ((1, 0), (0, 0))), (1, ((-1, 0),)), (0, ((0, 0),))])
def test_forward_curve_refuses_bad_knots(spot: float, knots: tuple[tuple[float, float], ...]) -> None:
    """Out of order, negative or missing knots, or no spot."""
    with pytest.raises(PolicyError):
        ForwardCurve(spot, knots)


def surface(rho: float = -0.3, eta: float = 1.0) -> Surface:
    return Surface(
        tuple(ssvi_slice(d / 365, v, rho, eta, 0.5) for d, v in ((7, 0.7), (30, 0.65), (180, 0.6)))
    )


def test_the_surface_hits_the_quoted_level_and_has_skew() -> None:
    """At the money the quoted volatility; with rho < 0 puts are dearer than calls, with rho = 0 neither."""
    for days, level in ((7, 0.7), (30, 0.65), (180, 0.6)):
        assert float(surface().volatility(0.0, days / 365)) == pytest.approx(level, rel=1e-12)
    put, call = surface().volatility([-0.2, 0.2], 30 / 365)
    assert put > call + 0.02
    even = surface(rho=0.0).volatility([-0.2, 0.2], 30 / 365)
    assert even[0] == pytest.approx(even[1])


def test_total_variance_never_falls_with_time() -> None:
    """Also between, before and after the quoted expiries."""
    days = [1, 3, 7, 12, 30, 90, 180, 360]
    k = np.linspace(-1, 1, 21)
    rows = np.array([surface().total_variance(k, d / 365) for d in days])
    assert (np.diff(rows, axis=0) > 0).all()


def test_option_prices_on_the_surface_admit_no_arbitrage() -> None:
    """Call prices fall and are convex in the strike, which is what the density factor promises."""
    strikes = np.linspace(1000, 9000, 200)
    for days in (3, 7, 60, 180, 400):
        years = days / 365
        calls = value(3000, strikes, years, surface().volatility(np.log(strikes / 3000), years), True)
        assert (np.diff(calls) <= 1e-9).all()
        assert (np.diff(calls, 2) >= -1e-9).all()


def test_the_density_factor_is_the_curvature_of_call_prices() -> None:
    """K C''(K) = g(k) n(d2) / sqrt(w): what makes g < 0 an arbitrage. Source: Gatheral & Jacquier, section 2.1."""
    for one in (surface().slices[1], SviSlice(1.0, -0.0410, 0.1331, 0.3060, 0.3586, 0.4153)):
        k = np.linspace(-0.6, 1.2, 37)
        strike, h = np.exp(k), 1e-4

        def call(x: Floats, one: Slice = one) -> Floats:
            return value(1.0, x, one.years, np.sqrt(one.total_variance(np.log(x)) / one.years), True)

        curvature = (call(strike + h) - 2 * call(strike) + call(strike - h)) / h**2
        root = np.sqrt(one.total_variance(k))
        d2 = -k / root - root / 2
        expected = one.density_factor(k) * np.exp(-d2 * d2 / 2) / np.sqrt(2 * np.pi) / root
        assert curvature * strike == pytest.approx(expected, abs=1e-4)


def test_butterfly_arbitrage_is_refused() -> None:
    """Axel Vogt's slice (Gatheral & Jacquier, section 2.2) fits SVI and is not free of butterfly arbitrage."""
    with pytest.raises(PolicyError, match="butterfly"):
        Surface((SviSlice(1.0, -0.0410, 0.1331, 0.3060, 0.3586, 0.4153),))


def test_calendar_arbitrage_is_refused() -> None:
    """A far expiry with less total variance than a near one."""
    with pytest.raises(PolicyError, match="calendar"):
        Surface((ssvi_slice(0.1, 1.0, -0.3, 1.0, 0.5), ssvi_slice(0.2, 0.5, -0.3, 1.0, 0.5)))
    with pytest.raises(PolicyError, match="calendar"):
        Surface(tuple(reversed(surface().slices)))


@pytest.mark.parametrize(
    "one",
    [
        SviSlice(1.0, 0.1, 0.1, 1.0, 0.0, 0.1),
        SviSlice(0.0, 0.1, 0.1, 0.0, 0.0, 0.1),
        SviSlice(1.0, -0.1, 0.1, 0.0, 0.0, 0.1),
        SviSlice(1.0, 0.1, 1.9, 0.5, 0.0, 0.1),
    ],
)
def test_malformed_slices_are_refused(one: SviSlice) -> None:
    """abs(rho) = 1, no time, negative variance, wings beyond Lee's bound."""
    with pytest.raises(PolicyError):
        Surface((one,))


@pytest.mark.parametrize(
    "arguments",
    [(0, 0.5, 0, 1, 0.5), (1, 0, 0, 1, 0.5), (1, 0.5, 1, 1, 0.5), (1, 0.5, 0, 0, 0.5), (1, 0.5, 0, 1, 0.6)],
)
def test_smile_parameters_are_checked(arguments: tuple[float, float, float, float, float]) -> None:
    """Each parameter out of its range is refused."""
    with pytest.raises(PolicyError, match="volatility smile"):
        ssvi_slice(*arguments)


def test_an_empty_surface_is_refused() -> None:
    """No expiry, no volatility."""
    with pytest.raises(PolicyError, match="no slices"):
        Surface(())
