"""A volatility surface fitted to quotes: one SVI slice an expiry, free of butterfly and calendar arbitrage.

Least squares on total variance in units of the quotes' spreads. What arbitrage there is in a trial slice is a
residual as well, so the fit leaves it; the slices then pass the same checks as any other surface.
Source: J. Gatheral, A. Jacquier, "Arbitrage-free SVI volatility surfaces", Quantitative Finance 14 (2014), section 5.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from scipy.optimize import least_squares

from aggregator.model.errors import PolicyError
from aggregator.pricing.black76 import MAX_VOLATILITY, Floats
from aggregator.pricing.surface import ARBITRAGE_GRID, MAX_WING_SLOPE, Surface, SviSlice

MIN_QUOTES: Final = 5
"""A slice has five parameters."""
PENALTY: Final = 1e5
"""Weight of arbitrage against a quote missed by its own spread."""
MARGIN: Final = 1e-6
"""How far inside the arbitrage bounds the fit stays."""
LEAST_SPREAD: Final = 1e-4
"""Quotes tighter than a hundredth of a volatility point weigh as if they were that wide."""
_STARTS: Final = ((-0.3, 0.1), (0.0, 0.2), (0.3, 0.3), (-0.6, 0.05))


@dataclass(frozen=True, slots=True)
class VolQuote:
    """Bid and ask volatility of one strike; `years` to expiry, forward and strike in USD."""

    years: float
    forward: float
    strike: float
    bid: float
    ask: float

    def check(self) -> None:
        """Raise PolicyError when a number is not finite and positive, or the quote is crossed."""
        name = f"the volatility quote at {self.years:g} years, strike {self.strike:g}"
        for field in ("years", "forward", "strike", "bid", "ask"):
            number = getattr(self, field)
            if not math.isfinite(number) or number <= 0:
                raise PolicyError(f"{name} has the {field} {number}; give a number above zero")
        if self.ask > MAX_VOLATILITY:
            raise PolicyError(
                f"{name} has the ask {self.ask:g}, above {MAX_VOLATILITY:g}; write 64 % as 0.64"
            )
        if self.bid > self.ask:
            raise PolicyError(f"{name} is crossed, bid {self.bid:g} above ask {self.ask:g}; drop it")


def _slice(years: float, x: Floats) -> SviSlice:
    level, b, rho, m, sigma = (float(number) for number in x)
    return SviSlice(years, level - b * sigma * math.sqrt(1 - rho * rho), b, rho, m, sigma)


def _arbitrage(one: SviSlice, before: SviSlice | None) -> Floats:
    shortfall = [np.minimum(one.density_factor(ARBITRAGE_GRID) - MARGIN, 0.0)]
    shortfall.append(np.array([min(MAX_WING_SLOPE - MARGIN - one.b * (1 + abs(one.rho)), 0.0)]))
    if before is not None:
        rise = one.total_variance(ARBITRAGE_GRID) - before.total_variance(ARBITRAGE_GRID)
        shortfall.append(np.minimum(rise - MARGIN, 0.0))
    return PENALTY * np.concatenate(shortfall)


def check_slice_quotes(quotes: Sequence[VolQuote]) -> None:
    """Raise PolicyError for fewer than five quotes, mixed expiries or a bad quote."""
    if len(quotes) < MIN_QUOTES:
        raise PolicyError(f"a slice has {len(quotes)} volatility quotes; give at least {MIN_QUOTES}")
    for quote in quotes:
        quote.check()
    years = quotes[0].years
    if any(quote.years != years for quote in quotes):
        raise PolicyError(f"quotes of different expiries are mixed at {years:g} years; fit each expiry alone")


def targets(quotes: Sequence[VolQuote]) -> tuple[Floats, Floats, Floats]:
    """Log-moneyness, total variance at the middle of each quote, and what its spread is in total variance."""
    years = quotes[0].years
    k = np.array([math.log(quote.strike / quote.forward) for quote in quotes])
    middle = np.array([(quote.bid + quote.ask) / 2 for quote in quotes])
    spread = np.maximum([quote.ask - quote.bid for quote in quotes], LEAST_SPREAD)
    return k, middle**2 * years, 2 * middle * spread * years


def fit_slice(quotes: Sequence[VolQuote], before: SviSlice | None = None) -> SviSlice:
    """The slice nearest to quotes of one expiry, free of butterfly arbitrage, and of calendar arbitrage on `before`.

    What calendar arbitrage the least squares leave is lifted away: the whole slice is raised by it.

    Raises PolicyError for fewer than five quotes, mixed expiries, a bad quote, or when no slice without arbitrage
    was found.
    """
    check_slice_quotes(quotes)
    years = quotes[0].years
    k, target, width = targets(quotes)

    def residuals(x: Floats) -> Floats:
        one = _slice(years, x)
        return np.concatenate([(one.total_variance(k) - target) / width, _arbitrage(one, before)])

    top = float(target.max())
    low, high = (
        np.array([1e-8, 1e-8, -0.999, -2.0, 1e-4]),
        np.array([4 * top, MAX_WING_SLOPE, 0.999, 2.0, 5.0]),
    )
    best = None
    for rho, sigma in _STARTS:
        start = np.clip([float(target.min()), 0.5 * top / max(sigma, 0.1), rho, 0.0, sigma], low + 1e-9, high)
        found = least_squares(residuals, start, bounds=(low, high), x_scale=np.maximum(high - low, 1e-3))
        if best is None or found.cost < best.cost:
            best = found
    fitted = _slice(years, best.x) if best is not None else None
    if fitted is None:
        raise PolicyError(f"no slice was fitted at {years:g} years; check its quotes")
    if before is not None:
        rise = fitted.total_variance(ARBITRAGE_GRID) - before.total_variance(ARBITRAGE_GRID)
        fitted = replace(fitted, a=fitted.a + max(0.0, -float(rise.min())))
    fitted.check()
    return fitted


def fit_svi(quotes: Sequence[VolQuote]) -> tuple[SviSlice, ...]:
    """The slices of all quotes, expiry by expiry; PolicyError as `fit_slice` raises it."""
    slices: list[SviSlice] = []
    for years in sorted({quote.years for quote in quotes}):
        held = [quote for quote in quotes if quote.years == years]
        slices.append(fit_slice(held, slices[-1] if slices else None))
    return tuple(slices)


def fit_surface(quotes: Sequence[VolQuote]) -> Surface:
    """The surface of all quotes; PolicyError as `fit_slice` and `Surface` raise it."""
    return Surface(fit_svi(quotes))
