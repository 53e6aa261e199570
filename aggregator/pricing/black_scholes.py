"""European options on a spot price with a rate and a yield: Black-76 on the forward, discounted.

Source: F. Black, M. Scholes, "The pricing of options and corporate liabilities", J. Political Economy 81 (1973), in
R. Merton's form with a continuous yield; Greeks as in J. Hull, "Options, Futures, and Other Derivatives".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from aggregator.pricing import black76
from aggregator.pricing.black76 import Floats


@dataclass(frozen=True, slots=True)
class SpotGreeks:
    """Sensitivities per unit of the underlying, to spot, 1.00 of volatility, a year, and 1.00 of the rate."""

    delta: Floats
    gamma: Floats
    vega: Floats
    theta: Floats
    rho: Floats
    vanna: Floats
    volga: Floats


def _carried(
    spot: ArrayLike, years: ArrayLike, rate: ArrayLike, dividend: ArrayLike
) -> tuple[Floats, Floats]:
    t, r, q = (np.asarray(x, dtype=np.float64) for x in (years, rate, dividend))
    return np.asarray(spot, dtype=np.float64) * np.exp((r - q) * t), np.exp(-r * t)


def value(
    spot: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    volatility: ArrayLike,
    is_call: ArrayLike,
    rate: ArrayLike = 0.0,
    dividend: ArrayLike = 0.0,
) -> Floats:
    """Discounted value; spot, strike > 0, years and volatility >= 0, rate and dividend per year. Shapes broadcast."""
    forward, discount = _carried(spot, years, rate, dividend)
    return discount * black76.value(forward, strike, years, volatility, is_call)


def greeks(
    spot: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    volatility: ArrayLike,
    is_call: ArrayLike,
    rate: ArrayLike = 0.0,
    dividend: ArrayLike = 0.0,
) -> SpotGreeks:
    """Analytic sensitivities; arguments as in `value`, with `years` and `volatility` above 0."""
    forward, discount = _carried(spot, years, rate, dividend)
    t, r, q = (np.asarray(x, dtype=np.float64) for x in (years, rate, dividend))
    inner = black76.greeks(forward, strike, years, volatility, is_call)
    worth = discount * black76.value(forward, strike, years, volatility, is_call)
    per_spot = np.exp((r - q) * t)
    return SpotGreeks(
        delta=discount * per_spot * inner.delta,
        gamma=discount * per_spot**2 * inner.gamma,
        vega=discount * inner.vega,
        theta=discount * (inner.theta - (r - q) * forward * inner.delta) + r * worth,
        rho=t * (discount * forward * inner.delta - worth),
        vanna=discount * per_spot * inner.vanna,
        volga=discount * inner.volga,
    )
