"""Haircuts from volatility, horizon, confidence and depth, held by a floor, a cap and a speed limit.

A haircut covers the loss that a holding suffers over the horizon with the confidence, and what closing its size costs:
long 1 - exp(-z s), short exp(z s) - 1, with s the volatility over the horizon and z the normal quantile. Each size tier
charges the chord of that cost, so the charge on any size is at or above the model's. The rate beyond the last tier is
the cap.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from scipy.special import ndtri

from aggregator.model.errors import PolicyError
from aggregator.model.units import RATE_SCALE
from aggregator.pricing.black76 import Floats
from aggregator.risk.depth import Depth, marginal_costs
from aggregator.risk.volatility import Garch, ewma_variance, fit_garch

MOST_MOVE: Final = 50.0
"""A log move beyond this is everything or nothing: exp(50) is 5e21."""


@dataclass(frozen=True, slots=True)
class VolatilityForecast:
    """Variance of the next day, and the model that carries it on; without one it stays as it is."""

    variance: float
    garch: Garch | None = None

    @property
    def daily(self) -> float:
        """Volatility of the next day."""
        return math.sqrt(self.variance)

    def over(self, days: float) -> float:
        """Volatility of the next `days` days together."""
        if self.garch is None:
            return math.sqrt(self.variance * days)
        return math.sqrt(self.garch.horizon_variance(self.variance, days))


def forecast(returns: Floats, model: str, decay: float) -> VolatilityForecast:
    """The forecast of `model` "ewma" or "garch"; PolicyError for another name or too few returns."""
    if model == "ewma":
        return VolatilityForecast(ewma_variance(returns, decay))
    if model == "garch":
        fitted, variance = fit_garch(returns)
        return VolatilityForecast(variance, fitted)
    raise PolicyError(f"the volatility model {model!r} is not known; use ewma or garch")


def loss_quantile(deviation: float, confidence: float, *, short: bool) -> float:
    """Relative loss not passed with `confidence` (inside 0.5..1) when the log price has the standard `deviation`."""
    if not 0.5 <= confidence < 1:
        raise PolicyError(f"the confidence of a haircut is {confidence:g}; use one from 0.5 to below 1")
    move = min(float(ndtri(confidence)) * deviation, MOST_MOVE)
    return math.expm1(move) if short else -math.expm1(-move)


@dataclass(frozen=True, slots=True)
class Bounds:
    """Rates in 1e-6: lowest, highest, and how far a rate may move against the one of the epoch before."""

    floor_e6: int
    cap_e6: int
    max_rise_e6: int
    max_fall_e6: int

    def __post_init__(self) -> None:
        if not 0 <= self.floor_e6 <= self.cap_e6 <= RATE_SCALE:
            raise PolicyError("a haircut's floor and cap are not 0 <= floor <= cap <= 1; correct them")
        if self.max_rise_e6 < 0 or self.max_fall_e6 < 0:
            raise PolicyError("a haircut's speed limit is negative; give the largest move of one epoch")

    def held(self, rate_e6: int, before_e6: int | None) -> int:
        """The rate within the speed limit of the one before, and then within floor and cap."""
        if before_e6 is not None:
            rate_e6 = max(before_e6 - self.max_fall_e6, min(before_e6 + self.max_rise_e6, rate_e6))
        return max(self.floor_e6, min(self.cap_e6, rate_e6))


def _up_e6(rate: float) -> int:
    """The one rounding of a modelled rate: up, against the holder."""
    return math.ceil(Fraction(rate) * RATE_SCALE)


def tier_rates_e6(
    volatility: VolatilityForecast,
    days: float,
    confidence: float,
    depth: Depth,
    ends: Sequence[float],
    *,
    short: bool,
) -> list[int]:
    """Unbounded rates (1e-6) of the tiers that end at `ends`, ascending and above 0, rounded up."""
    market = loss_quantile(volatility.over(days), confidence, short=short)
    return [_up_e6(rate) for rate in marginal_costs(depth, market, volatility.daily, ends)]


def bounded_rates_e6(rates_e6: Sequence[int], before_e6: Sequence[int | None], bounds: Bounds) -> list[int]:
    """Rates within `bounds`, the open tier at the cap added, and never falling with size.

    before_e6: the rates of the epoch before, one for each tier and one for the open tier, None where there was none.
    """
    wanted = [*rates_e6, bounds.cap_e6]
    held: list[int] = []
    for rate, before in zip(wanted, before_e6, strict=True):
        held.append(max(bounds.held(rate, before), held[-1] if held else 0))
    return held
