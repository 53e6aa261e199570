"""SABR: Black volatilities of the lognormal expansion, a slice of a surface made of it, and its fit to quotes.

dF = a F^beta dW, da = nu a dZ, dW dZ = rho dt. Source: P. Hagan, D. Kumar, A. Lesniewski, D. Woodward, "Managing smile
risk", Wilmott Magazine (September 2002), equations 2.17 and 2.18. The expansion admits arbitrage far from the forward
for long expiries or a large nu, so a slice passes the same checks as an SVI slice before it prices anything.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import least_squares

from aggregator.model.errors import PolicyError
from aggregator.pricing.black76 import Floats
from aggregator.pricing.fit import VolQuote, check_slice_quotes, targets
from aggregator.pricing.surface import ARBITRAGE_GRID

MAX_NU: Final = 20.0
_STEP: Final = 1e-3
_NEAR: Final = 1e-7
_TOLERANCE: Final = 1e-7
_PENALTY: Final = 1e4
_STARTS: Final = ((-0.3, 0.5), (0.0, 1.5), (-0.5, 3.0))


def lognormal_volatility(
    forward: ArrayLike, strike: ArrayLike, years: float, alpha: float, beta: float, rho: float, nu: float
) -> Floats:
    """Black volatility; forward, strike > 0, years >= 0, alpha > 0, 0 <= beta <= 1, abs(rho) < 1, nu >= 0."""
    f, k = np.broadcast_arrays(np.asarray(forward, dtype=np.float64), np.asarray(strike, dtype=np.float64))
    log = np.log(f / k)
    power = (f * k) ** ((1 - beta) / 2)
    skewed = (1 - beta) ** 2 * log * log
    z = nu / alpha * power * log
    x = np.log((np.sqrt(1 - 2 * rho * z + z * z) + z - rho) / (1 - rho))
    small = np.abs(z) < _NEAR
    ratio = np.where(small, 1 - rho * z / 2, z / np.where(small, 1.0, x))
    growth = (
        (1 - beta) ** 2 / 24 * alpha**2 / power**2
        + rho * beta * nu * alpha / (4 * power)
        + (2 - 3 * rho * rho) / 24 * nu * nu
    )
    return np.asarray(
        alpha / (power * (1 + skewed / 24 + skewed * skewed / 1920)) * ratio * (1 + growth * years),
        dtype=np.float64,
    )


@dataclass(frozen=True, slots=True)
class SabrSlice:
    """One expiry at its forward (USD); SABR letters as in the source."""

    years: float
    forward: float
    alpha: float
    beta: float
    rho: float
    nu: float

    def total_variance(self, k: ArrayLike) -> Floats:
        """Volatility squared x years at log-moneyness k = ln(K / F)."""
        strike = self.forward * np.exp(np.asarray(k, dtype=np.float64))
        found = lognormal_volatility(
            self.forward, strike, self.years, self.alpha, self.beta, self.rho, self.nu
        )
        return np.asarray(found * found * self.years, dtype=np.float64)

    def density_factor(self, k: ArrayLike) -> Floats:
        """g(k) of Gatheral & Jacquier (2.1), by central differences: negative where a butterfly is below nothing."""
        grid = np.asarray(k, dtype=np.float64)
        w = self.total_variance(grid)
        up, down = self.total_variance(grid + _STEP), self.total_variance(grid - _STEP)
        slope, bend = (up - down) / (2 * _STEP), (up - 2 * w + down) / _STEP**2
        return np.asarray(
            (1 - grid * slope / (2 * w)) ** 2 - slope**2 / 4 * (1 / w + 0.25) + bend / 2, dtype=np.float64
        )

    def check(self) -> None:
        """Raise PolicyError when the slice is malformed or admits butterfly arbitrage."""
        name = f"the SABR slice at {self.years:.4f} years"
        numbers = (self.years, self.forward, self.alpha, self.beta, self.rho, self.nu)
        if not all(math.isfinite(number) for number in numbers) or not (
            self.years > 0
            and self.forward > 0
            and self.alpha > 0
            and 0 <= self.beta <= 1
            and abs(self.rho) < 1
            and 0 <= self.nu <= MAX_NU
        ):
            raise PolicyError(
                f"{name} needs years, forward and alpha > 0, beta in 0..1, abs(rho) < 1 and nu in 0..{MAX_NU:g}; "
                "correct its parameters"
            )
        if float(self.total_variance(ARBITRAGE_GRID).min()) <= 0:
            raise PolicyError(f"{name} has a variance at or below zero; lower nu or use svi")
        if float(self.density_factor(ARBITRAGE_GRID).min()) < -_TOLERANCE:
            raise PolicyError(f"{name} admits butterfly arbitrage; lower nu or use svi")


def fit_sabr_slice(quotes: Sequence[VolQuote], beta: float, before: SabrSlice | None = None) -> SabrSlice:
    """The slice nearest to quotes of one expiry at a given beta, in units of their spreads, free of arbitrage.

    Raises PolicyError for fewer than five quotes, mixed expiries or forwards, a bad quote, or when none was found.
    """
    check_slice_quotes(quotes)
    years, forward = quotes[0].years, quotes[0].forward
    if any(quote.forward != forward for quote in quotes):
        raise PolicyError(f"quotes at {years:g} years have different forwards; give one for each expiry")
    k, target, width = targets(quotes)
    level = math.sqrt(float(np.median(target)) / years) * forward ** (1 - beta)

    def residuals(x: Floats) -> Floats:
        one = SabrSlice(years, forward, float(x[0]) * level, beta, float(x[1]), float(x[2]))
        missed = [(one.total_variance(k) - target) / width]
        missed.append(_PENALTY * np.minimum(one.density_factor(ARBITRAGE_GRID), 0.0))
        if before is not None:
            rise = one.total_variance(ARBITRAGE_GRID) - before.total_variance(ARBITRAGE_GRID)
            missed.append(_PENALTY * np.minimum(rise, 0.0))
        return np.concatenate(missed)

    low, high = [0.05, -0.999, 1e-4], [5.0, 0.999, MAX_NU]
    found = min(
        (least_squares(residuals, (1.0, rho, nu), bounds=(low, high)) for rho, nu in _STARTS),
        key=lambda one: float(one.cost),
    )
    alpha, rho, nu = (float(number) for number in found.x)
    fitted = SabrSlice(years, forward, alpha * level, beta, rho, nu)
    fitted.check()
    return fitted


def fit_sabr(quotes: Sequence[VolQuote], beta: float) -> tuple[SabrSlice, ...]:
    """Slices of all quotes, expiry by expiry; PolicyError as `fit_sabr_slice`. `Surface` checks calendar arbitrage."""
    slices: list[SabrSlice] = []
    for years in sorted({quote.years for quote in quotes}):
        held = [quote for quote in quotes if quote.years == years]
        slices.append(fit_sabr_slice(held, beta, slices[-1] if slices else None))
    return tuple(slices)
