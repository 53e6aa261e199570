"""A volatility surface with skew: one SVI slice of total variance per expiry, checked against arbitrage.

w(k) = a + b (rho (k - m) + sqrt((k - m)^2 + sigma^2)) with k = ln(K / F) and w = volatility^2 x years.
Sources: J. Gatheral, A. Jacquier, "Arbitrage-free SVI volatility surfaces", Quantitative Finance 14 (2014);
R. Lee, "The moment formula for implied volatility at extreme strikes", Mathematical Finance 14 (2004).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import ArrayLike

from aggregator.model.errors import PolicyError
from aggregator.pricing.black76 import Floats

ARBITRAGE_GRID: Final = np.linspace(-2.5, 2.5, 401)
"""Log-moneyness at which arbitrage is looked for: strikes from 8 % to 1200 % of the forward."""
MAX_WING_SLOPE: Final = 2.0
"""Lee: total variance grows at most like 2 abs(k), else moments of every order explode."""
_TOLERANCE: Final = 1e-9


@dataclass(frozen=True, slots=True)
class SviSlice:
    """Total variance of one expiry as a function of log-moneyness. `years` > 0; SVI letters as in the source."""

    years: float
    a: float
    b: float
    rho: float
    m: float
    sigma: float

    def total_variance(self, k: ArrayLike) -> Floats:
        """w(k), elementwise."""
        x = np.asarray(k, dtype=np.float64) - self.m
        return np.asarray(self.a + self.b * (self.rho * x + np.sqrt(x * x + self.sigma**2)), dtype=np.float64)

    def density_factor(self, k: ArrayLike) -> Floats:
        """g(k) of Gatheral & Jacquier (2.1): negative where a butterfly spread would cost less than nothing."""
        grid = np.asarray(k, dtype=np.float64)
        x = grid - self.m
        root = np.sqrt(x * x + self.sigma**2)
        w = self.total_variance(grid)
        slope = self.b * (self.rho + x / root)
        bend = self.b * self.sigma**2 / root**3
        return np.asarray(
            (1 - grid * slope / (2 * w)) ** 2 - slope**2 / 4 * (1 / w + 0.25) + bend / 2, dtype=np.float64
        )

    def check(self) -> None:
        """Raise PolicyError when the slice is malformed or admits butterfly arbitrage."""
        name = f"the volatility slice at {self.years:.4f} years"
        if not (self.years > 0 and self.b >= 0 and abs(self.rho) < 1 and self.sigma > 0):
            raise PolicyError(
                f"{name} needs years > 0, b >= 0, abs(rho) < 1 and sigma > 0; correct its parameters"
            )
        if self.a + self.b * self.sigma * float(np.sqrt(1 - self.rho**2)) <= 0:
            raise PolicyError(f"{name} has a variance at or below zero; raise its level")
        if self.b * (1 + abs(self.rho)) > MAX_WING_SLOPE:
            raise PolicyError(f"{name} has wings steeper than {MAX_WING_SLOPE}; lower eta or the skew")
        if float(self.density_factor(ARBITRAGE_GRID).min()) < -_TOLERANCE:
            raise PolicyError(f"{name} admits butterfly arbitrage; lower eta or the skew")


class Slice(Protocol):
    """One expiry of a surface."""

    @property
    def years(self) -> float:
        """To expiry, above 0."""
        ...

    def total_variance(self, k: ArrayLike) -> Floats:
        """Volatility squared x years at log-moneyness `k`."""
        ...

    def density_factor(self, k: ArrayLike) -> Floats:
        """g(k) of Gatheral & Jacquier (2.1): negative where a butterfly spread would cost less than nothing."""
        ...

    def check(self) -> None:
        """Raise PolicyError when it is malformed or admits butterfly arbitrage."""
        ...


@dataclass(frozen=True, slots=True)
class Surface:
    """Slices in order of expiry; between them total variance is linear in time at equal log-moneyness.

    Before the first slice volatility is that of the first, beyond the last that of the last.
    Raises PolicyError when the slices are out of order or admit butterfly or calendar arbitrage.
    """

    slices: tuple[Slice, ...]

    def __post_init__(self) -> None:
        if not self.slices:
            raise PolicyError("a volatility surface has no slices; give at least one expiry")
        for one in self.slices:
            one.check()
        for near, far in zip(self.slices, self.slices[1:], strict=False):
            rise = far.total_variance(ARBITRAGE_GRID) - near.total_variance(ARBITRAGE_GRID)
            if far.years <= near.years or float(rise.min()) < -_TOLERANCE:
                raise PolicyError(
                    f"the volatility slices at {near.years:.4f} and {far.years:.4f} years admit calendar arbitrage; "
                    "total variance must not fall with time"
                )

    def total_variance(self, k: ArrayLike, years: float) -> Floats:
        """w(k) at `years` > 0."""
        first, last = self.slices[0], self.slices[-1]
        if years <= first.years:
            return first.total_variance(k) * (years / first.years)
        if years >= last.years:
            return last.total_variance(k) * (years / last.years)
        far_index = next(n for n, one in enumerate(self.slices) if one.years >= years)
        near, far = self.slices[far_index - 1], self.slices[far_index]
        share = (years - near.years) / (far.years - near.years)
        return (1 - share) * near.total_variance(k) + share * far.total_variance(k)

    def volatility(self, k: ArrayLike, years: float) -> Floats:
        """Annual volatility at log-moneyness `k` and `years` > 0."""
        return np.sqrt(self.total_variance(k, years) / years)


def ssvi_slice(years: float, atm_volatility: float, rho: float, eta: float, gamma: float) -> SviSlice:
    """The slice with a given at-the-money volatility and the SSVI power-law skew.

    w(k) = theta/2 (1 + rho phi k + sqrt((phi k + rho)^2 + 1 - rho^2)), theta = volatility^2 x years,
    phi = eta / (theta^gamma (1 + theta)^(1 - gamma)). rho < 0 makes puts dearer than calls; a larger eta steepens
    the skew. No butterfly arbitrage while eta (1 + abs(rho)) <= 2. Source: Gatheral & Jacquier, section 4.
    Raises PolicyError when a parameter is out of range.
    """
    if not (years > 0 and atm_volatility > 0 and abs(rho) < 1 and eta > 0 and 0 < gamma <= 0.5):
        raise PolicyError(
            "a volatility smile needs days > 0, atm > 0, abs(rho) < 1, eta > 0 and 0 < gamma <= 0.5"
        )
    theta = atm_volatility**2 * years
    phi = eta / (theta**gamma * (1 + theta) ** (1 - gamma))
    return SviSlice(
        years=years,
        a=theta / 2 * (1 - rho**2),
        b=theta * phi / 2,
        rho=rho,
        m=-rho / phi,
        sigma=float(np.sqrt(1 - rho**2)) / phi,
    )
