"""Probabilities that one lognormal price passes a level: what the simulation is checked against."""

from __future__ import annotations

import math

from aggregator.model.errors import InputError


def _normal(x: float) -> float:
    return 0.5 * math.erfc(-x / math.sqrt(2))


def _check(spot: float, level: float, volatility: float, years: float) -> None:
    if not (spot > 0 and level > 0 and volatility > 0 and years > 0):
        raise InputError("a price, a level, a volatility and a time have to be above 0; correct them")


def end_probability(spot: float, level: float, volatility: float, years: float, drift: float = 0.0) -> float:
    """That the price ends below `level`: N(-d2) of Black and Scholes, with `drift` in place of the rate.

    volatility and drift are annual. Source: F. Black, M. Scholes, "The pricing of options and corporate liabilities",
    J. Political Economy 81 (1973).
    """
    _check(spot, level, volatility, years)
    spread = volatility * math.sqrt(years)
    return _normal((math.log(level / spot) - (drift - volatility**2 / 2) * years) / spread)


def touch_probability(
    spot: float, level: float, volatility: float, years: float, drift: float = 0.0
) -> float:
    """That the price is at `level` at any time within `years`, from either side; 1 at the level.

    With b = ln(level / spot), nu = drift - volatility^2 / 2 and s = volatility sqrt(years), for b < 0:

        N((b - nu t) / s) + exp(2 nu b / volatility^2) N((b + nu t) / s)

    Source: the reflection principle for Brownian motion with drift; J. M. Harrison, "Brownian motion and stochastic
    flow systems" (1985), section 1.8.
    """
    _check(spot, level, volatility, years)
    distance, trend = math.log(level / spot), (drift - volatility**2 / 2) * years
    spread = volatility * math.sqrt(years)
    side = 1.0 if distance < 0 else -1.0
    image = math.exp(2 * trend * distance / spread**2)
    return min(
        1.0, _normal(side * (distance - trend) / spread) + image * _normal(side * (distance + trend) / spread)
    )
