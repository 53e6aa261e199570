"""Surfaces fitted to quotes, Black-Scholes and the second-order Greeks, against published values and identities."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.model.errors import PolicyError
from aggregator.pricing import black76, black_scholes
from aggregator.pricing.fit import VolQuote, fit_slice, fit_surface
from aggregator.pricing.surface import ARBITRAGE_GRID, SviSlice, ssvi_slice

FORWARD = 3000.0
MONEYNESS = np.linspace(-0.5, 0.5, 11)


def quotes_of(one: SviSlice, spread: float = 0.001, shift: float = 0.0) -> list[VolQuote]:
    volatility = np.sqrt(one.total_variance(MONEYNESS) / one.years) + shift
    return [
        VolQuote(one.years, FORWARD, FORWARD * float(np.exp(k)), float(v) - spread / 2, float(v) + spread / 2)
        for k, v in zip(MONEYNESS, volatility, strict=True)
    ]


NEAR, FAR = (ssvi_slice(days / 365, 0.64, -0.25, 0.9, 0.5) for days in (30, 90))


def test_a_slice_is_found_again_from_its_own_quotes() -> None:
    """Within a hundredth of a volatility point at every quote."""
    fitted = fit_slice(quotes_of(NEAR))
    found = np.sqrt(fitted.total_variance(MONEYNESS) / NEAR.years)
    assert found == pytest.approx(np.sqrt(NEAR.total_variance(MONEYNESS) / NEAR.years), abs=1e-4)


def test_a_surface_keeps_the_order_of_time() -> None:
    """Two expiries from quotes; total variance does not fall."""
    surface = fit_surface([*quotes_of(FAR), *quotes_of(NEAR)])
    assert [one.years for one in surface.slices] == [NEAR.years, FAR.years]
    rise = surface.slices[1].total_variance(ARBITRAGE_GRID) - surface.slices[0].total_variance(ARBITRAGE_GRID)
    assert float(rise.min()) >= 0


def test_quotes_with_arbitrage_give_a_slice_without() -> None:
    """A far expiry quoted below the near one's variance, and one dented strike: the fit stays clean, or says no."""
    below = replace(NEAR, years=NEAR.years * 1.01)
    cheap = [replace(q, bid=q.bid * 0.97, ask=q.ask * 0.97) for q in quotes_of(below)]
    fitted = fit_slice(cheap, NEAR)
    fitted.check()
    rise = fitted.total_variance(ARBITRAGE_GRID) - NEAR.total_variance(ARBITRAGE_GRID)
    assert float(rise.min()) >= -1e-12
    assert float(rise[150:251].max()) < 0.01
    dented = quotes_of(NEAR)
    dented[5] = replace(dented[5], bid=0.3, ask=0.31)
    fit_slice(dented).check()


def test_bad_quotes_are_refused_by_name() -> None:
    """Crossed, not a number, negative, too few, mixed expiries."""
    good = quotes_of(NEAR)
    for change, reason in (
        ({"bid": 0.9, "ask": 0.8}, "crossed"),
        ({"ask": float("nan")}, "ask"),
        ({"strike": -1.0}, "strike"),
    ):
        with pytest.raises(PolicyError, match=reason):
            fit_slice([replace(good[0], **change), *good[1:]])
    with pytest.raises(PolicyError, match="at least 5"):
        fit_slice(good[:4])
    with pytest.raises(PolicyError, match="mixed"):
        fit_slice([*good, replace(good[0], years=1.0)])


def test_black_scholes_matches_hull() -> None:
    """Hull, chapter on Black-Scholes-Merton: S 42, K 40, 10 %, 20 %, half a year: 4.76 and 0.81."""
    call, put = (float(black_scholes.value(42, 40, 0.5, 0.2, side, rate=0.1)) for side in (True, False))
    assert (round(call, 2), round(put, 2)) == (4.76, 0.81)


def test_greeks_match_hull() -> None:
    """Hull, chapter on the Greek letters: S 49, K 50, 5 %, 20 %, 20 weeks."""
    g = black_scholes.greeks(49, 50, 0.3846, 0.2, True, rate=0.05)
    assert round(float(g.delta), 3) == 0.522
    assert round(float(g.gamma), 3) == 0.066
    assert round(float(g.vega), 1) == 12.1
    assert round(float(g.theta), 2) == -4.31
    assert round(float(g.rho), 2) == 8.91


@given(
    st.floats(50, 200),
    st.floats(0.7, 1.4),
    st.floats(0.05, 2),
    st.floats(0.1, 1.5),
    st.booleans(),
    st.floats(-0.1, 0.2),
)
def test_every_greek_is_a_slope(
    spot: float, moneyness: float, years: float, volatility: float, call: bool, rate: float
) -> None:
    """Rho, vanna and volga, and theta with a rate, agree with central differences."""
    strike, h = spot * moneyness, 1e-4
    g = black_scholes.greeks(spot, strike, years, volatility, call, rate)

    def value(**moved: float) -> float:
        at = {"spot": spot, "years": years, "volatility": volatility, "rate": rate} | moved
        return float(
            black_scholes.value(at["spot"], strike, at["years"], at["volatility"], call, rate=at["rate"])
        )

    def near(slope: float) -> object:
        return pytest.approx(slope, rel=1e-3, abs=1e-3 * spot)

    assert float(g.rho) == near((value(rate=rate + h) - value(rate=rate - h)) / (2 * h))
    assert float(g.theta) == near(-(value(years=years + h) - value(years=years - h)) / (2 * h))

    def greek(name: str, volatility: float) -> float:
        return float(getattr(black_scholes.greeks(spot, strike, years, volatility, call, rate), name))

    for second, first in (("vanna", "delta"), ("volga", "vega")):
        slope = (greek(first, volatility + h) - greek(first, volatility - h)) / (2 * h)
        assert float(getattr(g, second)) == pytest.approx(slope, rel=1e-3, abs=1e-4 * spot)


def test_the_forward_rho_is_minus_time_times_value() -> None:
    """With the forward held, a discount rate takes time x value."""
    g = black76.greeks(100, 100, 2.0, 0.3, True)
    assert float(g.rho) == pytest.approx(-2 * float(black76.value(100, 100, 2.0, 0.3, True)))
