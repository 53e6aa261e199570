"""European options on a forward: value, Greeks and implied volatility, vectorised.

Values are undiscounted and in USD per unit of the underlying: options here settle in USD stable collateral that
earns nothing inside the venue. Source: F. Black, "The pricing of commodity contracts", J. Financial Economics 3 (1976).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

Floats = NDArray[np.float64]

MAX_VOLATILITY: Final = 20.0
"""Implied volatilities are searched in 0..2000 % a year."""
_BISECTIONS: Final = 80
_SQRT_2PI: Final = float(np.sqrt(2.0 * np.pi))


@dataclass(frozen=True, slots=True)
class Greeks:
    """Sensitivities of one option per unit of the underlying.

    delta: USD per USD of forward; gamma: delta per USD; vega: USD per 1.00 of volatility; theta: USD per year; rho: USD
    per 1.00 of a discount rate, the forward held; vanna: delta per 1.00 of volatility; volga: vega per 1.00 of it.
    """

    delta: Floats
    gamma: Floats
    vega: Floats
    theta: Floats
    rho: Floats
    vanna: Floats
    volga: Floats


def _d1(forward: Floats, strike: Floats, deviation: Floats) -> Floats:
    """(ln(F/K) + s^2/2) / s with s = sigma sqrt(t); +-inf or 0 where s = 0."""
    log_ratio = np.log(forward / strike)
    with np.errstate(divide="ignore", invalid="ignore"):
        d1 = log_ratio / deviation + 0.5 * deviation
    return np.where(deviation > 0, d1, np.where(log_ratio == 0, 0.0, np.copysign(np.inf, log_ratio)))


def _arrays(*values: ArrayLike) -> list[Floats]:
    return [np.asarray(a, dtype=np.float64) for a in np.broadcast_arrays(*values)]


def value(
    forward: ArrayLike, strike: ArrayLike, years: ArrayLike, volatility: ArrayLike, is_call: ArrayLike
) -> Floats:
    """Undiscounted value; intrinsic value where `years` or `volatility` is 0.

    forward, strike: USD, > 0; years: >= 0; volatility: per year, >= 0; is_call: bool. Shapes broadcast.
    """
    f, k, t, v = _arrays(forward, strike, years, volatility)
    deviation = v * np.sqrt(t)
    d1 = _d1(f, k, deviation)
    d2 = d1 - deviation
    call = f * ndtr(d1) - k * ndtr(d2)
    put = k * ndtr(-d2) - f * ndtr(-d1)
    worth = np.where(np.asarray(is_call, dtype=bool), call, put)
    return np.asarray(np.maximum(worth, 0.0), dtype=np.float64)


def greeks(
    forward: ArrayLike, strike: ArrayLike, years: ArrayLike, volatility: ArrayLike, is_call: ArrayLike
) -> Greeks:
    """Analytic sensitivities; arguments as in `value`, with `years` and `volatility` above 0."""
    f, k, t, v = _arrays(forward, strike, years, volatility)
    root = np.sqrt(t)
    d1 = _d1(f, k, v * root)
    d2 = d1 - v * root
    vega = f * np.exp(-0.5 * d1 * d1) / _SQRT_2PI * root
    density = np.exp(-0.5 * d1 * d1) / _SQRT_2PI
    delta = np.where(np.asarray(is_call, dtype=bool), ndtr(d1), ndtr(d1) - 1.0)
    return Greeks(
        delta=delta,
        gamma=density / (f * v * root),
        vega=vega,
        theta=-f * density * v / (2.0 * root),
        rho=-t * value(f, k, t, v, is_call),
        vanna=-density * d2 / v,
        volga=vega * d1 * d2 / v,
    )


def implied_volatility(
    price: ArrayLike, forward: ArrayLike, strike: ArrayLike, years: ArrayLike, is_call: ArrayLike
) -> Floats:
    """Volatility at which `value` equals `price`; NaN where no volatility in 0..20 does.

    A price at intrinsic value gives 0. The value increases with the volatility, so bisection always converges;
    80 halvings reach the resolution of a double.
    """
    p, f, k, t = _arrays(price, forward, strike, years)
    call = np.broadcast_to(np.asarray(is_call, dtype=bool), p.shape)
    low = np.zeros_like(p)
    high = np.full_like(p, MAX_VOLATILITY)
    intrinsic = value(f, k, t, low, call)
    reachable = (p >= intrinsic) & (p <= value(f, k, t, high, call)) & (t > 0)
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        above = value(f, k, t, middle, call) > p
        high = np.where(above, middle, high)
        low = np.where(above, low, middle)
    found = np.where(p == intrinsic, 0.0, 0.5 * (low + high))
    return np.where(reachable, found, np.nan)
